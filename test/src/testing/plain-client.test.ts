/** Clients that are not ours: a stub made of the proto, and gRPC's own services. */
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { expect, it, onTestFinished } from 'vitest';
import { protoDirectory } from '../../../src/package-root.ts';
import { startTestCluster } from '../../../src/testing/index.ts';

type Call = (
  request: object,
  done: (error: grpc.ServiceError | null, answer: Record<string, unknown>) => void,
) => void;
type Stub = grpc.Client & Record<string, Call>;
type StubClass = new (address: string, credentials: grpc.ChannelCredentials) => Stub;

function stub(service: string, address: string): Stub {
  const file = `holdfast/v1/${service.toLowerCase()}.proto`;
  const definition = loadSync(file, { includeDirs: [protoDirectory()], keepCase: true });
  const packages = grpc.loadPackageDefinition(definition) as unknown as {
    holdfast: { v1: Record<string, StubClass> };
  };
  const client = new packages.holdfast.v1[service]!(address, grpc.credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
}

function ask(client: Stub, method: string, request: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    client[method]!(request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
  });
}

it('any node takes any call of a plain stub', async () => {
  const cluster = await startTestCluster();
  onTestFinished(() => cluster.stop());
  const [one, two, three] = cluster.servers;
  await ask(stub('Admin', one!), 'CreateTopic', { name: 'orders', queue_count: 1 });
  const deliver_at_ms = cluster.now() + 1000;
  const message = { key: 'order-1', body: Buffer.from('a book') };
  const produce = { topic: 'orders', queue: 0, messages: [message] };
  await ask(stub('Log', two!), 'Produce', { ...produce, deliver_at_ms });
  const read = () => ask(stub('Log', three!), 'Fetch', { topic: 'orders', queue: 0, offset: 0 });
  expect((await read()).batches ?? []).toEqual([]);
  await cluster.advance(1000);
  const { batches } = await read();
  expect(batches).toMatchObject([{ messages: [{ key: 'order-1', body: Buffer.from('a book') }] }]);
});

it('a killed node tells its callers nothing', async () => {
  const cluster = await startTestCluster();
  onTestFinished(() => cluster.stop());
  const [one, two] = cluster.servers;
  await ask(stub('Admin', one!), 'CreateTopic', { name: 'orders', queue_count: 1 });
  const log = stub('Log', two!);
  const place = { topic: 'orders', queue: 0, offset: 0 };
  const waiting = ask(log, 'Fetch', { ...place, max_wait_ms: 20_000 });
  const refused = expect(waiting).rejects.toMatchObject({ code: grpc.status.UNAVAILABLE });
  // A later call was answered: this one has arrived.
  await ask(log, 'Fetch', place);
  await cluster.kill(2);
  await refused;
  const error = (await waiting.catch((thrown: unknown) => thrown)) as grpc.ServiceError;
  expect(error.metadata.get('holdfast-reason')).toEqual([]);
  const again = ask(log, 'Fetch', place);
  await expect(again).rejects.toMatchObject({ code: grpc.status.UNAVAILABLE });
});

/**
 * No Holdfast library: only the proto, @grpc/grpc-js and @grpc/proto-loader, with their default
 * settings. Checks itself, with a message of exactly the largest size.
 *
 *     npm run build && node dist/examples/typescript/plain-grpc.js
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const LARGEST_MESSAGE_BYTES = 4_000_000;
/** Field number and length of the body. */
const BODY_OVERHEAD_BYTES = 5;

type Answer = Record<string, never>;
type Call = (request: object, done: (error: ServiceError | null, answer: Answer) => void) => void;
type Stub = Client & Record<string, Call>;
type StubClass = new (
  address: string,
  channel: ReturnType<typeof credentials.createInsecure>,
) => Stub;

const protoFolder = dirname(
  dirname(dirname(fileURLToPath(import.meta.resolve('holdfast/proto/holdfast/v1/log.proto')))),
);
const definition = loadSync(['holdfast/v1/log.proto', 'holdfast/v1/admin.proto'], {
  includeDirs: [protoFolder],
  keepCase: true,
});
const { holdfast } = loadPackageDefinition(definition) as unknown as {
  holdfast: { v1: { Log: StubClass; Admin: StubClass } };
};
const server = (process.env.HOLDFAST_SERVER ?? 'localhost:7401').split(',')[0] ?? '';
const log = new holdfast.v1.Log(server, credentials.createInsecure());
const admin = new holdfast.v1.Admin(server, credentials.createInsecure());

function call(stub: Stub, name: string, request: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    stub[name]?.call(stub, request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

const topic = `example-plain-${randomUUID()}`;
await call(admin, 'CreateTopic', { name: topic, queue_count: 1 });

const body = Buffer.alloc(LARGEST_MESSAGE_BYTES - BODY_OVERHEAD_BYTES, 'x');
const ack = await call(log, 'Produce', { topic, queue: 0, messages: [{ body }] });
assert.equal(Number(ack.base_offset), 0);
const answer = await call(log, 'Fetch', { topic, queue: 0, offset: 0 });
const batches = answer.batches as unknown as { messages: { body: Buffer }[] }[];
assert.ok(batches[0]?.messages[0]?.body.equals(body));
console.log('a message of exactly the largest size came back through default stubs');

const tooLarge = { topic, queue: 0, messages: [{ body: Buffer.alloc(LARGEST_MESSAGE_BYTES) }] };
const error = (await call(log, 'Produce', tooLarge).catch((e: unknown) => e)) as ServiceError;
const trailers = error.metadata ?? new Metadata();
assert.deepEqual(trailers.get('holdfast-reason'), ['MESSAGE_TOO_LARGE']);
assert.deepEqual(trailers.get('holdfast-outcome-unknown'), ['false']);
console.log(`one byte too many: ${error.details}`);

await call(admin, 'DeleteTopic', { name: topic });
log.close();
admin.close();
console.log('ok');

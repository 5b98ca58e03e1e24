import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { probe } from '../../../chaos/cluster/probe.ts';

const LONG_MS = 10_000;
const SHORT_MS = 100;

async function serve(onSocket: (socket: Socket) => void): Promise<[string, Server]> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return [`127.0.0.1:${address.port}`, server];
}

it('closed: somebody read it and hung up', async () => {
  const [address] = await serve((socket) => socket.once('data', () => socket.end()));
  expect(await probe(address, LONG_MS)).toMatchObject({ end: 'closed' });
});

it('silent: nobody did, in this time', async () => {
  const [address] = await serve(() => undefined);
  const seen = await probe(address, SHORT_MS);
  expect(seen.end).toBe('silent');
  expect(seen.ms).toBeGreaterThan(SHORT_MS - 2);
});

it('reset', async () => {
  const [address] = await serve((socket) => socket.once('data', () => socket.resetAndDestroy()));
  expect(await probe(address, LONG_MS)).toMatchObject({ end: 'reset' });
});

it('refused: nobody listens', async () => {
  const [address, server] = await serve(() => undefined);
  await new Promise((resolve) => server.close(resolve));
  expect(await probe(address, LONG_MS)).toMatchObject({ end: 'refused' });
});

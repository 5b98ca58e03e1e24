import { connect, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import {
  CONNECTIONS_MAX,
  HttpServer,
  jsonPage,
  type Pages,
} from '../../../src/observe/http-server.ts';

const at = { host: '127.0.0.1', port: 0 };

async function serving(pages: Pages): Promise<{ url: string; port: number; server: HttpServer }> {
  const server = new HttpServer(pages);
  onTestFinished(() => server.close());
  const { port } = await server.listen(at);
  return { url: `http://127.0.0.1:${port}`, port, server };
}

it('gives a page by its path, whatever the query is', async () => {
  const { url } = await serving({ '/a': () => jsonPage(503, { ready: false }) });
  const answer = await fetch(`${url}/a?x=1`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([503, 'application/json']);
  expect(await answer.json()).toEqual({ ready: false });
  const head = await fetch(`${url}/a`, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([503, '']);
});

it('knows no other path and no other method, and says which there are', async () => {
  const { url } = await serving({ '/a': () => jsonPage(200, {}), '/b': () => jsonPage(200, {}) });
  const unknown = await fetch(`${url}/c`);
  expect(unknown.status).toBe(404);
  expect(await unknown.text()).toContain('/a, /b');
  const written = await fetch(`${url}/a`, { method: 'POST', body: 'x'.repeat(100_000) });
  expect(written.status).toBe(405);
});

it('a page that fails is an answer, and the next one comes', async () => {
  let fails = true;
  const page = async () => {
    if (fails) throw new Error('the disk\nis gone');
    return jsonPage(200, {});
  };
  const { url } = await serving({ '/a': page });
  const answer = await fetch(`${url}/a`);
  expect([answer.status, await answer.text()]).toEqual([500, 'the disk is gone\n']);
  fails = false;
  expect((await fetch(`${url}/a`)).status).toBe(200);
});

it('a port that is taken is an error that names the keys', async () => {
  const { port } = await serving({});
  const second = new HttpServer({});
  await expect(second.listen({ ...at, port })).rejects.toThrow(/listen\.http.*metrics: false/);
});

it('takes so many connections and no more', async () => {
  const { port, url } = await serving({ '/a': () => jsonPage(200, {}) });
  const open = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket.resume()));
      socket.on('error', () => undefined);
    });
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS_MAX }, open));
  const refused = await open();
  await new Promise((resolve) => refused.once('close', resolve));
  sockets[0]!.destroy();
  await expect.poll(async () => (await fetch(`${url}/a`).catch(() => undefined))?.status).toBe(200);
  for (const socket of sockets) socket.destroy();
});

it('ends with connections open', async () => {
  const { port, server } = await serving({});
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const ended = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  await server.close();
  await ended;
});

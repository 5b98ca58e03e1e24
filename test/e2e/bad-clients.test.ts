/** Clients that send noise, or never read: the nodes stay up, small, and serve everybody else. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
} from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClusterProcess } from './cluster-process.ts';
import { eventually, methodOf, refused, Stubs } from './stubs.ts';

const TOPIC = 'orders';
const PEER_PORT_OFFSET = 100;
const MIB = 1024 * 1024;
/** The bar: no node above this, whatever clients do. */
const RSS_MAX_BYTES = 400 * MIB;
const TIMEOUT_MS = 90_000;

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bad-clients-'));
let cluster: ClusterProcess;
let stubs: Stubs;
let pids: readonly number[];

beforeAll(async () => {
  cluster = await ClusterProcess.start(directory);
  stubs = new Stubs(cluster.servers[0]!);
  await stubs.createTopic(TOPIC);
  pids = (await cluster.status()).nodes.map(({ pid }) => pid);
});

afterAll(async () => {
  stubs?.close();
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** The same processes as in the beginning: none has died and come back. */
async function expectNoneDied(): Promise<void> {
  const { nodes } = await cluster.status();
  expect(nodes.map(({ pid, up }) => [pid, up])).toEqual(pids.map((pid) => [pid, true]));
}

function rssBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

/** Sends the bytes and goes away; resolves when the connection is gone on this side too. */
function sendRaw(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
}

/** A connection that says nothing more; resolves when the bytes are out. */
function hold(port: number, bytes: Buffer): Promise<() => void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(bytes, () => resolve(() => socket.destroy())),
    );
    socket.on('error', () => undefined);
  });
}

/**
 * A call whose answers stay in the socket. Not a stub: those read ahead and keep what comes in
 * their own memory, so that the server would never notice.
 */
class DeafCall {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #method: ReturnType<typeof methodOf>;

  constructor(address: string, ...method: Parameters<typeof methodOf>) {
    this.#method = methodOf(...method);
    this.#session = connectHttp2(`http://${address}`);
    const headers = { ':method': 'POST', ':path': this.#method.path, te: 'trailers' };
    this.#stream = this.#session.request({ ...headers, 'content-type': 'application/grpc' });
    for (const part of [this.#session, this.#stream]) part.on('error', () => undefined);
  }

  write(request: object): void {
    const bytes = this.#method.requestSerialize(request);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(bytes.length, 1);
    this.#stream.write(Buffer.concat([prefix, bytes]));
  }

  close(): void {
    this.#session.destroy();
  }
}

const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** A head that promises four gigabytes. */
const HUGE_FRAME = Buffer.from('00000000ffffffff04000000', 'hex');
const noises: readonly [what: string, bytes: () => Buffer][] = [
  ['random bytes', () => randomBytes(64 * 1024)],
  ['zeros', () => Buffer.alloc(MIB)],
  ['text', () => Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['a preface, then noise', () => Buffer.concat([HTTP2_PREFACE, randomBytes(4096)])],
  ['a frame of four gigabytes', () => Buffer.concat([HUGE_FRAME, randomBytes(4096)])],
  ['nothing', () => Buffer.alloc(0)],
];

describe('garbage', () => {
  it.each(noises)('on every port: %s', async (_, bytes) => {
    const ports = cluster.servers.map((server) => Number(server.split(':')[1]));
    const all = [...ports, ...ports.map((port) => port + PEER_PORT_OFFSET)];
    const { end } = await stubs.range(TOPIC, 0);
    const holders = await Promise.all(all.map((port) => hold(port, bytes())));
    await Promise.all(all.flatMap((port) => [1, 2, 3].map(() => sendRaw(port, bytes()))));
    const ack = await stubs.produce(TOPIC, 0, 'still served');
    expect(ack.baseOffset?.toNumber()).toBe(end);
    expect((await stubs.fetch(TOPIC, 0, end)).batches).toHaveLength(1);
    for (const release of holders) release();
    await expectNoneDied();
  });

  const methods = [
    ['Log', 'Produce'],
    ['Log', 'Fetch'],
    ['Log', 'CommitOffset'],
    ['Log', 'ListOffsets'],
    ['Transactions', 'Prepare'],
    ['Transactions', 'End'],
    ['Admin', 'CreateTopic'],
  ] as const;
  it.each(methods)('instead of a request of %s.%s', async (service, name) => {
    const { path } = methodOf(service, name);
    const same = (bytes: Buffer): Buffer => bytes;
    const noise = [
      Buffer.alloc(50, 0xff),
      Buffer.from('0aff01', 'hex'),
      Buffer.from('ffff', 'hex'),
    ];
    for (const bytes of noise) {
      const call = new Promise((resolve, reject) => {
        stubs.client.makeUnaryRequest(path, same, same, bytes, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        );
      });
      expect(await refused(call)).toMatchObject({
        code: status.INVALID_ARGUMENT,
        reason: 'MALFORMED_REQUEST',
      });
    }
  });
});

describe('a client that never reads', { timeout: TIMEOUT_MS }, () => {
  it('a Subscribe with endless credit costs its bound, not the whole topic', async () => {
    await stubs.createTopic('big', 1, { durability: 1 });
    const chunk = Array.from({ length: 30 }, (_, at) => Buffer.alloc(100_000, 65 + at));
    for (let at = 0; at < 10; at++) await stubs.produce('big', 0, ...chunk);
    const deaf = Array.from({ length: 60 }, (_, at) => {
      const call = new DeafCall(cluster.servers[at % 3]!, 'Log', 'Subscribe');
      const queues = [{ queue: 0, offset: 0 }];
      call.write({ start: { topic: 'big', queues, credit: 1_000_000 } });
      return call;
    });
    const read = await stubs.readAll('big', 0);
    expect(read).toHaveLength(300);
    // 60 streams over three nodes that would each hold 30 MB.
    for (const pid of pids) expect(rssBytes(pid)).toBeLessThan(RSS_MAX_BYTES);
    for (const call of deaf) call.close();
    await expectNoneDied();
  });

  it('a ProduceStream whose answers nobody reads stops, and blocks nobody', async () => {
    await stubs.createTopic('deaf', 1);
    const call = new DeafCall(cluster.servers[1]!, 'Log', 'ProduceStream');
    const body = Buffer.alloc(500, 'd');
    // More than windows and bounds hold (some 3,000), less than this process may keep unsent.
    const sent = 8000;
    for (let requestId = 1; requestId <= sent; requestId++) {
      const request = { topic: 'deaf', queue: 0, messages: [{ body }] };
      call.write({ requestId, request });
    }
    await eventually(
      () => stubs.range('deaf', 0),
      ({ end }) => end > 500,
    );
    const ack = await stubs.produce('deaf', 0, 'from another client');
    expect(ack.durability).toBe(1);
    for (const pid of pids) expect(rssBytes(pid)).toBeLessThan(RSS_MAX_BYTES);
    call.close();
    const read = await stubs.readAll('deaf', 0);
    expect(read.length).toBeLessThan(sent);
    expect(read.map(({ offset }) => offset)).toEqual(read.map((_, at) => at));
    expect(read[ack.baseOffset!.toNumber()]!.body).toBe('from another client');
    await expectNoneDied();
  });
});

/**
 * Delayed messages on real processes: they come once and not before their time, whatever was killed
 * meanwhile; and what waits for long, delayed or half, holds no log, though its name stays.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Check, connect, type Holdfast, type Message } from '../../src/client/index.ts';
import { UpProcess } from '../processes/up-process.ts';
import { eventually } from './stubs.ts';

const TIMEOUT_MS = 120_000;
const RETENTION_BYTES = 64 * 1024;
const SETTINGS = [
  'logLevel=debug',
  'retention.checkIntervalMs=200',
  `retention.checkpointBytes=${RETENTION_BYTES}`,
];
const NODES = [1, 2, 3];

const root = mkdtempSync(join(tmpdir(), 'holdfast-delay-'));
const data = join(root, 'data');
let cluster: UpProcess;
let client: Holdfast;

beforeAll(async () => {
  cluster = await UpProcess.start({ data, settings: SETTINGS });
  client = connect({ servers: cluster.servers });
});

afterAll(async () => {
  await client?.close();
  await cluster?.stop();
  rmSync(root, { recursive: true, force: true });
});

interface Seen {
  readonly message: Message;
  readonly atMs: number;
}

/** Everything that the topic shows, as it comes, until the client is closed. */
class Follower {
  readonly seen: Seen[] = [];
  #look: () => void = () => undefined;

  constructor(topic: string) {
    void this.#follow(topic);
  }

  /** Resolves when what has come so far is enough. */
  until(isEnough: (seen: readonly Seen[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (isEnough(this.seen)) resolve();
      };
      this.#look();
    });
  }

  async #follow(topic: string): Promise<void> {
    for await (const message of client.consumer({ topic })) {
      this.seen.push({ message, atMs: Date.now() });
      this.#look();
    }
  }
}

const bodies = (seen: readonly Seen[]) => seen.map(({ message }) => message.body.toString());

it(
  'come once, and not before their time, though all nodes were killed',
  async () => {
    const topic = 'killed';
    await client.admin.createTopic({ name: topic, queueCount: 3 });
    const follower = new Follower(topic);
    const { seen } = follower;
    const producer = client.producer({ topic });
    const deliverAtMs = Date.now() + 6000;
    const sends = Array.from({ length: 30 }, (_, i) =>
      producer.send({ body: `m${i}`, deliverAtMs }),
    );
    const acks = await Promise.all(sends);
    expect(new Set(acks.map((ack) => ack.deliverAtMs))).toEqual(new Set([deliverAtMs]));
    await producer.send({ body: 'at once' });
    const { nodes } = await client.admin.describeCluster();
    for (const { pid } of nodes) process.kill(pid, 'SIGKILL');
    await follower.until(({ length }) => length >= 31);
    const wanted = ['at once', ...acks.map((_, i) => `m${i}`)];
    expect(bodies(seen).sort()).toEqual(wanted.sort());
    const delayed = seen.filter(({ message }) => message.body.toString() !== 'at once');
    expect(delayed.filter(({ atMs }) => atMs < deliverAtMs)).toEqual([]);
    const ids = acks.map(({ messageId }) => messageId);
    expect(delayed.map(({ message }) => message.messageId).sort()).toEqual([...ids].sort());
  },
  TIMEOUT_MS,
);

/** The highest that any node told of the shard. */
function logStart(shard: number): number {
  const lines = NODES.flatMap((node) =>
    readFileSync(join(data, `node-${node}`, 'node.log'), 'utf8').split('\n'),
  );
  const starts = lines
    .filter((line) => line.includes('log start moved'))
    .map((line) => JSON.parse(line) as { shard: number; start: number })
    .filter((told) => told.shard === shard);
  return Math.max(0, ...starts.map(({ start }) => start));
}

it(
  'hold no log while they wait, and keep their ids',
  async () => {
    const topic = 'long';
    const queueCount = 1;
    await client.admin.createTopic({ name: topic, queueCount, retentionBytes: RETENTION_BYTES });
    const producer = client.producer({ topic });
    const deliverAtMs = Date.now() + 3_600_000;
    const kept = await producer.send({ body: 'in an hour', deliverAtMs });
    const half = await client.transactions('g').prepare({ topic, messages: [{ body: 'half' }] });
    const shard = Number(kept.messageId.split('-')[0]);
    const passed = async (): Promise<number> => {
      for (let i = 0; i < 100; i++) await producer.send({ body: Buffer.alloc(500) });
      return logStart(shard);
    };
    await eventually(passed, (start) => start > half.logIndex, 60_000);
    const follower = new Follower(topic);
    expect(await client.recall(kept.messageId)).toEqual(1);
    const checks: Check[] = [];
    const loop = client.transactions('g').checks((check) => {
      checks.push(check);
      return 'commit';
    });
    await follower.until((seen) => bodies(seen).includes('half'));
    await loop.close();
    const shown = follower.seen.find(({ message }) => message.body.toString() === 'half');
    expect(shown?.message.messageId).toBe(half.firstMessageId);
    const asked = checks.flatMap(({ parts }) => parts.flatMap(({ messages }) => messages));
    expect(asked.map(({ body }) => body.toString())).toEqual(['half']);
  },
  TIMEOUT_MS,
);

/**
 * Real processes and real disks: a node that was away while the others let go of their logs is sent
 * snapshots, and holds afterwards, row for row, what they hold.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { decodeIndexRow } from '../../storage/index-reader.ts';
import { inspectLog } from '../../storage/inspect-log.ts';
import { inspectState } from '../../storage/inspect-state.ts';
import { decodeKey, KeyKind, TABLE_KINDS } from '../../storage/keys.ts';
import { openDatabase, scanSteps } from '../../storage/level-db.ts';
import { lastOffsetOf } from '../../storage/row-codec.ts';
import { GrowingCluster, type GrowingStatus } from './growing-cluster.ts';
import { Stubs } from './stubs.ts';

const TIMEOUT_MS = 120_000;
const AWAY = 3;
const OTHERS = [1, 2];
const TOPIC = 'orders';
/** One per data shard, so that each of them has a log to let go of. */
const QUEUES = Array.from({ length: 12 }, (_, queue) => queue);
const RETENTION_BYTES = 64 * 1024;
const BODY = 'x'.repeat(8 * 1024);
const CHECK_INTERVAL_MS = 100;
const PASSES_MS = 15 * CHECK_INTERVAL_MS;
const SETTINGS = [
  'logLevel=debug',
  `retention.checkIntervalMs=${CHECK_INTERVAL_MS}`,
  `retention.checkpointBytes=${RETENTION_BYTES}`,
  'retention.slowReplicaGraceMs=1200',
  'raft.snapshotChunkBytes=4096',
];

const root = mkdtempSync(join(tmpdir(), 'holdfast-snapshot-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** As in the proto. Half messages that are committed keep the log from going for long. */
const COMMIT = 1;
const ROLLBACK = 2;

/** Something in every table: messages, dedup windows, transactions, offsets. */
async function load(stubs: Stubs, round: string, ...decisions: number[]): Promise<void> {
  const bodies = QUEUES.map(() => BODY);
  await Promise.all(
    QUEUES.map(async (queue) => {
      await stubs.produce(TOPIC, queue, ...bodies);
      await stubs.produceSafely(
        TOPIC,
        queue,
        `safe-${round}-${queue}`,
        `producer-${queue}-${round}`,
      );
      for (const decision of decisions) {
        const producerGroup = `shop-${queue}`;
        const transactionId = await prepare(stubs, queue, `tx-${decision}-${round}-${queue}`);
        await stubs.call('Transactions', 'End', { producerGroup, transactionId, decision });
      }
      const { end } = await stubs.range(TOPIC, queue);
      const offsets = [{ queue, offset: end }];
      const group = `group-${queue}-${round}`;
      await stubs.call('Log', 'CommitOffset', { group, topic: TOPIC, offsets });
    }),
  );
}

async function prepare(stubs: Stubs, queue: number, body: string): Promise<string> {
  const parts = [{ topic: TOPIC, queue, messages: [{ body: Buffer.from(body) }] }];
  const request = { producerGroup: `shop-${queue}`, parts };
  const answer = await stubs.call<{ transactionId: string }>('Transactions', 'Prepare', request);
  return answer.transactionId;
}

/** Every replica of every shard has all that is committed. */
function isEven({ shards }: GrowingStatus): boolean {
  return shards.every(
    ({ applied_index, commit_index, replicas }) =>
      applied_index === commit_index &&
      replicas.length === 3 &&
      replicas.every(({ match_index }) => match_index === commit_index),
  );
}

/**
 * Shards of which a node has applied less than is committed. A follower that holds the last entry
 * hears a little later that it is.
 */
async function lagOf(cluster: GrowingCluster, { shards }: GrowingStatus): Promise<string[]> {
  const lagging = [1, 2, 3].map(async (node) => {
    const page = await fetch(`${cluster.httpUrl(node)}/readyz`);
    const { shards: own } = (await page.json()) as Readiness;
    return own.flatMap(({ shard, applied_index }) => {
      return applied_index < shards[shard]!.commit_index ? [`${node}: ${shard}`] : [];
    });
  });
  return (await Promise.all(lagging)).flat();
}

/** Trims and copies go on by themselves for a while: until many passes have found nothing to do. */
async function atRest(cluster: GrowingCluster): Promise<GrowingStatus> {
  for (let before = ''; ; ) {
    const status = await cluster.until(isEven);
    const ends = status.shards.map(({ commit_index }) => commit_index).join();
    if (ends === before) return status;
    before = ends;
    await setTimeout(PASSES_MS);
  }
}

interface Readiness {
  readonly shards: readonly { readonly shard: number; readonly applied_index: number }[];
}

/** Where each data shard's log starts on this node, as far as it told. */
function logStarts(node: number): Map<number, number> {
  const starts = new Map<number, number>();
  for (const line of readFileSync(join(root, `node-${node}.log`), 'utf8').split('\n')) {
    if (!line.includes('log start moved')) continue;
    const { shard, start } = JSON.parse(line) as { shard: number; start: number };
    starts.set(shard, start);
  }
  return starts;
}

interface Rows {
  /** By shard. */
  readonly tables: Map<number, string[]>;
  /** By shard and queue: offsets and places of what the queue holds. */
  readonly index: Map<string, { last: number; text: string }[]>;
}

async function rowsOf(directory: string): Promise<Rows> {
  const options = { directory: join(directory, 'state'), writeBufferBytes: 1 << 20 };
  const database = await openDatabase(options, false);
  if (typeof database === 'string') throw new Error(database);
  const rows: Rows = { tables: new Map(), index: new Map() };
  const everything = { from: Buffer.from([0]), before: Buffer.alloc(32, 0xff) };
  for await (const step of scanSteps(database, everything, Number.POSITIVE_INFINITY)) {
    for (const [key, value] of step) {
      const { kind, shard, queueId } = decodeKey(key);
      if (kind === KeyKind.queueIndex) {
        const row = decodeIndexRow([key, value]);
        const of = `${shard}/${queueId}`;
        const text = JSON.stringify(row);
        rows.index.set(of, [...(rows.index.get(of) ?? []), { last: lastOffsetOf(row), text }]);
      } else if (TABLE_KINDS.some((one) => one === kind)) {
        const text = [key, value].map((bytes) => Buffer.from(bytes).toString('hex')).join(' ');
        rows.tables.set(shard, [...(rows.tables.get(shard) ?? []), text]);
      }
    }
  }
  await database.close();
  return rows;
}

/** Rows below a queue's start go by and by, on each node in its own time. */
function expectSameIndex(left: Rows, right: Rows): void {
  expect([...left.index.keys()]).toEqual([...right.index.keys()]);
  for (const [queue, rows] of left.index) {
    const others = right.index.get(queue)!;
    const from = Math.max(rows[0]!.last, others[0]!.last);
    const kept = (all: typeof rows) => all.filter(({ last }) => last >= from);
    expect(kept(rows), `index of ${queue}`).toEqual(kept(others));
    expect(kept(rows).length).toBeGreaterThan(1);
  }
}

it('a node that needs snapshots of all shards ends with the others’ tables', {
  timeout: TIMEOUT_MS,
}, async () => {
  const cluster = await GrowingCluster.start(root, 3, 3, SETTINGS);
  const stubs = new Stubs(cluster.servers[0]!);
  try {
    await stubs.createTopic(TOPIC, QUEUES.length, { retentionBytes: RETENTION_BYTES });
    await load(stubs, 'first', ROLLBACK);
    const before = await cluster.until(isEven);
    await cluster.kill(AWAY);
    const ended = before.shards.filter(({ id }) => id > 0);
    const isGone = () =>
      OTHERS.every((node) => {
        const starts = logStarts(node);
        return ended.every(({ id, commit_index }) => (starts.get(id) ?? 0) > commit_index);
      });
    for (let round = 0; !isGone(); round++) await load(stubs, `away-${round}`, ROLLBACK);
    await load(stubs, 'late', COMMIT, ROLLBACK);
    await Promise.all(QUEUES.map((queue) => prepare(stubs, queue, `half-${queue}`)));
    await cluster.launch(AWAY);
    const back = await cluster.until(isEven);
    await load(stubs, 'last', COMMIT, ROLLBACK);
    const last = await atRest(cluster);
    await expect.poll(() => lagOf(cluster, last), { timeout: 15_000 }).toEqual([]);
    await cluster.stop();

    const [own, other] = await Promise.all(
      [AWAY, 1].map((node) => rowsOf(cluster.directory(node))),
    );
    const report = await inspectState(cluster.directory(AWAY), true);
    const log = await inspectLog(join(cluster.directory(AWAY), 'log'), { verify: true });
    for (const { id, commit_index } of ended) {
      const { firstIndex } = log.shards.find(({ shard }) => shard === id)!;
      expect(firstIndex).toBeGreaterThan(commit_index + 1);
      expect(last.shards[id]!.commit_index).toBeGreaterThan(back.shards[id]!.commit_index);
      const { index } = report.applied.find(({ shard }) => shard === id)!;
      expect(index).toBeGreaterThanOrEqual(last.shards[id]!.commit_index);
      expect(own!.tables.get(id)!.length).toBeGreaterThan(10);
    }
    for (const [shard, rows] of own!.tables) expect(rows).toEqual(other!.tables.get(shard));
    expect(own!.tables.size).toBe(13);
    expectSameIndex(own!, other!);
    expect([report.problems, log.damage]).toEqual([[], []]);
  } finally {
    stubs.close();
    await cluster.stop();
  }
});

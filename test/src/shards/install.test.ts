/**
 * A node that was away while the others let go of their log is given a snapshot, and is afterwards
 * in everything like them: state, dedup, half messages, groups, what it answers to consumers. Also
 * when it dies on the way, wherever.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Command } from '../../../src/broker/commands.ts';
import { SHARD, ShardCluster, type ShardNode, until } from '../../harness/shard-nodes.ts';

const QUEUES = 3;
const AWAY = 3;
/** Every half message of these is decided. */
const EARLY = 240;
/** The last of these is not. */
const LATE = 124;
/** Sent again, it must be known. */
const REPEATED = EARLY + LATE - 2;

/** Commands of every kind that leaves something in the state. */
function commandOf(at: number): Command {
  const queueId = 1 + (at % QUEUES);
  if (at < QUEUES) return { type: 'openQueue', queueId, topicId: 't', queue: queueId };
  const produce = { type: 'produce', queueId, count: 1, durability: 1 } as const;
  const producerGroup = `g${Math.floor(at / 6) % 5}`;
  const half = { producerGroup, callerId: `c${Math.floor(at / 6)}`, topic: 't', queueId, count: 1 };
  const producer = { producerId: `p${at % 4}`, producerEpoch: at, sequence: 0 };
  const offsets = [{ queue: queueId, offset: at }];
  switch (at % 6) {
    case 0:
      return { ...produce, producer: undefined };
    case 1:
    case 2:
      return { ...produce, producer };
    case 3:
      return { type: 'prepare', ...half, firstCheckAfterMs: 60, checkIntervalMs: 90 };
    case 4: {
      const transaction = { by: 'caller', callerId: half.callerId } as const;
      // What is committed is kept by a trim for long; the early part is to go.
      const decision = at < EARLY ? 'rollback' : 'commit';
      return { type: 'end', producerGroup, transaction, decision };
    }
    default:
      return { type: 'commitOffsets', group: `g${at % 5}`, topicId: 't', offsets };
  }
}

const payloadOf = (at: number): Buffer => {
  const text = `message ${at} ${'.'.repeat(at % 90)}`;
  return Buffer.concat([Buffer.from([0xc2, 0x3e, text.length]), Buffer.from(text)]);
};

async function proposeAll(cluster: ShardCluster, from: number, to: number): Promise<void> {
  const leader = await cluster.leader();
  for (let at = from; at < to; at++) {
    const command = commandOf(at);
    const carries = command.type === 'produce' || command.type === 'prepare';
    await leader.propose(command, carries ? payloadOf(at) : Buffer.alloc(0));
  }
}

function trimCommand(leader: ShardNode, logTrim: number): Command {
  const queues = [...leader.shards.host.data(SHARD).queues()].map(({ queueId, endOffset }) => {
    return { queueId, startOffset: endOffset, startIndex: 0 };
  });
  return { type: 'trim', queues, logTrim };
}

/** Two nodes whose logs start after a checkpoint, and a third that has not even got that far. */
async function withOneAway(top: string): Promise<ShardCluster> {
  const cluster = await ShardCluster.born(top);
  await proposeAll(cluster, 0, 20);
  await cluster.settled();
  const first = await cluster.leader();
  if (first.id === AWAY) {
    await new Promise((resolve) => first.shards.driver.transferLeadership(SHARD, 1, resolve));
    await until(() => cluster.node(1).isLeading);
  }
  cluster.cut(AWAY);
  await proposeAll(cluster, 20, EARLY);
  await until(() => cluster.node(1).applied === cluster.node(2).applied);
  const at = await cluster.node(1).checkpoint();
  await cluster.node(2).checkpoint();
  const leader = await cluster.leader();
  await leader.propose(trimCommand(leader, at), Buffer.alloc(0));
  await proposeAll(cluster, EARLY, EARLY + LATE);
  await until(() => cluster.node(1).applied === cluster.node(2).applied);
  for (const id of [1, 2]) {
    const { driver } = cluster.node(id).shards;
    const { term } = driver.status(SHARD);
    driver.setLogStart(SHARD, { index: at, term });
    await until(() => cluster.node(id).storage.log.durableLogStart(SHARD) === at);
  }
  await cluster.end();
  return cluster;
}

async function expectEqual(cluster: ShardCluster): Promise<void> {
  await cluster.settled();
  const leader = await cluster.leader();
  const wanted = await leader.rows();
  const read = leader.id === AWAY ? undefined : await leader.messages();
  expect(wanted.length).toBeGreaterThan(20);
  const { storage, shards } = cluster.node(AWAY);
  expect(await cluster.node(AWAY).rows()).toEqual(wanted);
  expect(shards.driver.logStart(SHARD).index).toBeGreaterThan(100);
  expect(storage.log.durableLogStart(SHARD)).toBe(shards.driver.logStart(SHARD).index);
  if (leader.id !== AWAY) {
    await until(() => cluster.node(AWAY).applied === leader.applied);
    await new Promise((resolve) => leader.shards.driver.transferLeadership(SHARD, AWAY, resolve));
    await until(() => cluster.node(AWAY).isLeading);
  }
  expect(await cluster.node(AWAY).messages()).toEqual(
    read ?? (await cluster.node(AWAY).messages()),
  );
  const result = await cluster.node(AWAY).propose(commandOf(REPEATED), payloadOf(REPEATED));
  expect(result).toMatchObject({ type: 'produced', duplicate: true });
}

/** Every test goes on with a copy of it. */
let base: ShardCluster;
let top: string;
beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  base = await withOneAway(top);
}, 60_000);
afterAll(() => rmSync(top, { recursive: true }));

async function twin(): Promise<ShardCluster> {
  const cluster = await base.twin();
  cluster.cut(AWAY);
  await cluster.leader();
  return cluster;
}

/** Calls `crash` at one moment of the install on that node. */
type Trap = (cluster: ShardCluster, crash: () => void) => void;

const atDelivery =
  (which: number): Trap =>
  (cluster, crash) => {
    let seen = 0;
    cluster.onDeliver = (to, { type, ...rest }) => {
      const isOf = 'shard' in rest && rest.shard === SHARD && to === AWAY;
      if (!isOf || (type !== 'snapshotChunk' && (type !== 'append' || seen === 0))) return;
      if (seen++ === which) crash();
    };
  };

const atRestore: Trap = (cluster, crash) => {
  const { machine } = cluster.node(AWAY).shards;
  const restore = machine.restore.bind(machine);
  machine.restore = (shard, id) => {
    restore(shard, id);
    crash();
  };
};

/** The log starts after the snapshot by then. `turns`: how far the rows are replaced. */
const atSwap =
  (turns: number): Trap =>
  (cluster, crash) => {
    const { state } = cluster.node(AWAY).storage;
    const replace = state.replaceShard.bind(state);
    state.replaceShard = (...request) => {
      replace(...request);
      let left = turns;
      const next = (): void => void (left-- === 0 ? crash() : setImmediate(next));
      next();
    };
  };

const TRAPS: Readonly<Record<string, Trap>> = {
  'at the offer': atDelivery(0),
  'in the middle of the chunks': atDelivery(2),
  'at the last chunk': atDelivery(3),
  'when the log goes on': atDelivery(4),
  'when the state is swapped': atRestore,
  'when the rows are about to be replaced': atSwap(0),
  'while the rows are replaced': atSwap(4),
  'a little later': atSwap(12),
};

describe('a node that comes back', () => {
  test('is given a snapshot and the log after it', async () => {
    const cluster = await twin();
    let chunks = 0;
    cluster.onDeliver = (_, { type }) => {
      if (type === 'snapshotChunk') chunks++;
    };
    cluster.heal(AWAY);
    await expectEqual(cluster);
    expect(chunks).toBeGreaterThan(2);
  });

  test('is given that of another node where the leader has a damaged one', async () => {
    const cluster = await twin();
    const before = await cluster.leader();
    const { index } = before.shards.driver.logStart(SHARD);
    const file = join(before.directory, 'checkpoints', `${SHARD}-${index}.ckpt`);
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(file, bytes);
    cluster.heal(AWAY);
    await until(() => cluster.node(AWAY).shards.driver.logStart(SHARD).index === index);
    await until(() => !before.isLeading);
    await expectEqual(cluster);
  });

  test.each(Object.keys(TRAPS))('and dies %s, is equal all the same', async (name) => {
    const cluster = await twin();
    let crash: Promise<string> | undefined;
    (TRAPS[name] as Trap)(cluster, () => {
      crash ??= cluster.crash(AWAY);
    });
    cluster.heal(AWAY);
    await until(() => crash !== undefined);
    await cluster.start(AWAY, await crash!);
    await expectEqual(cluster);
  });
});

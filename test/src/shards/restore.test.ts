/** A replica that is given a snapshot is afterwards, in all that it holds, as one that was not. */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DataShard } from '../../../src/broker/api.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { createMetaState } from '../../../src/cluster/meta-state.ts';
import { ShardMachine } from '../../../src/shards/shard-machine.ts';
import { StateFlush } from '../../../src/shards/state-flush.ts';
import { stateRows, TABLE_KIND } from '../../../src/shards/tables.ts';
import { QueueWaiters } from '../../../src/shards/waiters.ts';
import type { TableRow } from '../../../storage/level-db.ts';
import { type LevelState, openLevelState } from '../../../storage/level-state.ts';
import { entryOf, ShardFixture } from '../../harness/data-shard.ts';
import { MemoryRows } from '../../harness/state-rows.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const SHARD = 1;
const QUEUES = 3;
const QUIET_QUEUE = 99;

/** Commands of every kind that leaves something in the state, by their index in the log. */
function commandAt(index: number): Command {
  const queueId = 1 + (index % QUEUES);
  if (index <= QUEUES) return { type: 'openQueue', queueId, topicId: 't', queue: queueId };
  const plain = { type: 'produce', queueId, count: 2, durability: 1 } as const;
  const group = `g${index % 5}`;
  const prepare = { producerGroup: group, callerId: `c${index}`, topic: 't', queueId, count: 1 };
  const offsets = [{ queue: queueId, offset: index }];
  switch (index % 6) {
    case 0:
      return { ...plain, producer: undefined };
    case 1: {
      const producerId = `p${index % 4}`;
      return { ...plain, producer: { producerId, producerEpoch: index, sequence: 0 } };
    }
    case 2:
      return { type: 'prepare', ...prepare, firstCheckAfterMs: 60, checkIntervalMs: 90 };
    case 3:
      return {
        type: 'end',
        producerGroup: `g${(index - 1) % 5}`,
        transaction: { by: 'caller', callerId: `c${index - 1}` },
        decision: index % 4 === 3 ? 'commit' : 'rollback',
      };
    default:
      return { type: 'commitOffsets', group, topicId: 't', offsets };
  }
}

const entryAt = (index: number) => entryOf(commandAt(index), index, 1, 1000 + index * 10, 20);

class Node {
  readonly fixture = new ShardFixture();
  readonly machine: ShardMachine;
  readonly flush: StateFlush;
  readonly state: LevelState;
  logStart = 0;
  applied = 0;
  told: number[] = [];
  readonly woken: string[] = [];

  private constructor(state: LevelState) {
    this.state = state;
    this.flush = new StateFlush(state, {
      durableIndexOf: () => Number.MAX_SAFE_INTEGER,
      durableLogStartOf: () => this.logStart,
    });
    const meta = createMetaState({
      ...{ dataShards: 1, replicationFactor: 1, members: [{ node: 1, incarnation: 'a' }] },
    });
    const waiters = new QueueWaiters(10);
    this.machine = new ShardMachine(meta, this.flush, waiters, (shard) => this.told.push(shard));
    this.machine.hold(SHARD, this.fixture.state, 0);
    waiters.wait(SHARD, QUIET_QUEUE, 60_000, (reason) => this.woken.push(reason));
  }

  static async open(): Promise<Node> {
    const state = await openLevelState({
      directory: join(temporaryDirectory(), 'state'),
      identity: 'node 1',
      logEnds: new Map(),
      batchDelayMs: 0,
      onFatal: (error) => {
        throw error;
      },
    });
    await state.completeBuild();
    onTestFinished(() => state.close());
    return new Node(state);
  }

  apply(through: number): unknown[] {
    const results: unknown[] = [];
    while (this.applied < through) {
      this.applied++;
      results.push(this.machine.apply(SHARD, entryAt(this.applied)));
    }
    this.machine.applied(SHARD, { index: through, term: 1 });
    return results;
  }
}

/** What a replica that applied everything holds. */
function twin(through: number): ShardFixture {
  const fixture = new ShardFixture();
  for (let index = 1; index <= through; index++) fixture.state.apply(entryAt(index), fixture.rows);
  return fixture;
}

const tableRows = (fixture: ShardFixture): TableRow[] =>
  fixture.rows.rows().map(({ table, key, value }) => ({ kind: TABLE_KIND[table], key, value }));

const ends = (data: DataShard): (readonly number[])[] =>
  [...data.queues()]
    .sort((left, right) => left.queueId - right.queueId)
    .map((one) => [one.queueId, one.endOffset, one.cumulativeBytes]);

async function dump(state: LevelState): Promise<string[]> {
  const rows = new MemoryRows();
  const loaded = await state.loadShard(SHARD);
  for (const { table, key, value } of stateRows(loaded.rows)) rows.put(table, key, value);
  return rows.dump();
}

async function settled(node: Node): Promise<void> {
  // Each swap step is written and then scanned for: flush until the replacement is done.
  while (node.state.appliedOf(SHARD)?.index !== node.applied) {
    await node.state.flush();
    await new Promise(setImmediate);
  }
}

describe('a snapshot', () => {
  test.each([0, 5, 40, 99])(
    'over a state of %i entries makes it equal to a replay',
    async (old) => {
      const node = await Node.open();
      if (old > 0) node.apply(old);
      const mark = { shard: SHARD, index: 100, term: 1, timeMs: 2000 };
      node.machine.prepare(mark, tableRows(twin(100)));
      node.machine.restore(SHARD, { index: 100, term: 1 });
      node.applied = 100;
      expect(node.told.at(-1)).toBe(SHARD);
      const results = node.apply(200);
      const full = twin(100);
      const wanted: unknown[] = [];
      for (let index = 101; index <= 200; index++) {
        wanted.push(full.state.apply(entryAt(index), full.rows));
      }
      expect(results).toEqual(wanted);
      expect(node.machine.data(SHARD).counts()).toEqual(full.state.counts());
      expect(ends(node.machine.data(SHARD))).toEqual(ends(full.state));
      expect(node.woken).toEqual(['deposed']);
      // Not before the log starts there.
      await node.state.flush();
      expect(node.state.appliedOf(SHARD)?.index ?? 0).toBe(old);
      node.logStart = 100;
      node.flush.durable(SHARD, 200);
      await settled(node);
      expect(await dump(node.state)).toEqual(full.rows.dump());
    },
  );

  test('that was not prepared, or another one, is not put in', async () => {
    const node = await Node.open();
    expect(() => node.machine.restore(SHARD, { index: 9, term: 1 })).toThrow(/prepared/);
    node.machine.prepare({ shard: SHARD, index: 8, term: 1, timeMs: 1 }, []);
    expect(() => node.machine.restore(SHARD, { index: 9, term: 1 })).toThrow(/prepared/);
  });
});

test('a shard that leaves is not held any more', async () => {
  const node = await Node.open();
  node.apply(50);
  node.machine.release(SHARD);
  expect(node.woken).toEqual(['deposed']);
  expect(node.machine.holds(SHARD)).toBe(false);
  expect(() => node.machine.data(SHARD)).toThrow(/not held/);
  await new Promise<void>((resolve) => node.flush.drop(SHARD, resolve));
  expect(await dump(node.state)).toEqual([]);
});

import { expect, test } from 'vitest';
import type { Command } from '../../../src/broker/commands.ts';
import { createDataShard } from '../../../src/broker/data-shard.ts';
import { ROW_COPIES_LEVEL } from '../../../src/broker/feature-level.ts';
import { DATA_SHARD_LIMITS, LATE_REFERENCE_OFFSETS } from '../../../src/broker/limits.ts';
import { lowestOf } from '../../../src/shards/queue-front.ts';
import { entryOf, ShardFixture } from '../../harness/data-shard.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

/** Queue 1 with batches of one message in entries 2, 3 and 4. */
function filled(): ShardFixture {
  const shard = new ShardFixture();
  shard.open(1);
  for (let at = 0; at < 3; at += 1) shard.produce(1);
  return shard;
}

/** As a leader would that looked at the queue when it ended at `until`. */
function move(shard: ShardFixture, baseOffset: number, lowest: number, until = 3) {
  const isIt = (row: { queueId: number; baseOffset: number }) =>
    row.queueId === 1 && row.baseOffset === baseOffset;
  const { index, term, ...row } = shard.rows.index.find(isIt)!;
  return shard.apply({ type: 'copyRow', row, id: { term, index }, lowest, until }, 10);
}

const trim = (shard: ShardFixture, startOffset: number, logTrim: number, startIndex = 0) =>
  shard.apply({ type: 'trim', queues: [{ queueId: 1, startOffset, startIndex }], logTrim });

const places = (shard: ShardFixture) => shard.rows.index.map(({ index }) => index);

test('a batch that is appended again lies there, at its offsets, and the log before may go', () => {
  const shard = filled();
  const before = shard.rows.index[0];
  expect(move(shard, 0, 3)).toEqual({ type: 'copied', moved: true });
  expect(shard.rows.index[0]).toEqual({ ...before, index: 5 });
  for (const twin of [shard, shard.reloaded()]) {
    expect(twin.state.lowestLateIndex()).toBe(3);
    expect(trim(twin, 0, 2)).toEqual({ type: 'trimmed', logTrim: 2 });
  }
});

test('the log stays as far back as what is left of a bucket needs it', () => {
  const shard = filled();
  move(shard, 0, 3);
  expect(trim(shard, 0, 4)).toEqual({ type: 'trimmed', logTrim: 2 });
  move(shard, 1, 4);
  move(shard, 2, 5);
  expect(places(shard)).toEqual([5, 7, 8]);
  expect(trim(shard, 0, 8)).toEqual({ type: 'trimmed', logTrim: 4 });
  expect(lowestOf(shard.state.lateBuckets())).toBe(5);
  // One that was proposed long before says less.
  expect(move(shard, 0, 3)).toEqual({ type: 'copied', moved: true });
  expect(lowestOf(shard.state.lateBuckets())).toBe(5);
});

test('nothing moves when something came into the bucket since it was looked at', () => {
  const shard = filled();
  shard.prepare('late');
  shard.produce(1);
  expect(move(shard, 0, 3)).toEqual({ type: 'copied', moved: false });
  expect(shard.state.lowestLateIndex()).toBe(5);
  shard.end('late', 'commit');
  expect(move(shard, 0, 3, 4)).toEqual({ type: 'copied', moved: false });
  expect(places(shard)[0]).toBe(2);
  expect(move(shard, 0, 3, 5)).toEqual({ type: 'copied', moved: true });
});

test('a bucket that is full is not changed by what comes after it', () => {
  const shard = new ShardFixture();
  shard.open(1);
  shard.produce(1, LATE_REFERENCE_OFFSETS);
  shard.produce(1);
  const moved = move(shard, 0, 4, LATE_REFERENCE_OFFSETS);
  expect(moved).toEqual({ type: 'copied', moved: true });
  expect(shard.state.uncountedFrom(1, 0)).toBe(LATE_REFERENCE_OFFSETS);
  expect(shard.state.uncountedFrom(1, LATE_REFERENCE_OFFSETS)).toBe(LATE_REFERENCE_OFFSETS);
});

test('what is deleted, or was of a closed queue, does not come back', () => {
  const shard = filled();
  trim(shard, 1, 2, 3);
  expect(move(shard, 0, 3)).toEqual({ type: 'copied', moved: false });
  shard.apply({ type: 'closeQueue', queueId: 1 });
  expect(move(shard, 1, 3)).toEqual({ type: 'copied', moved: false });
  expect(shard.state.lowestLateIndex()).toBeUndefined();
});

test('what an emptied queue was known to need is forgotten', () => {
  const shard = filled();
  move(shard, 0, 3);
  expect(trim(shard, 3, 2)).toEqual({ type: 'trimmed', logTrim: 2 });
  for (const twin of [shard, shard.reloaded()]) {
    expect(twin.state.lowestLateIndex()).toBeUndefined();
  }
});

test('a message is not leased from where it was before the log there was given up', () => {
  const shard = filled();
  move(shard, 0, 3);
  trim(shard, 0, 2);
  for (const twin of [shard, shard.reloaded()]) {
    expect(twin.lease([[2]], { fromOffset: 0 })).toMatchObject({ messages: [] });
    expect(twin.lease([[5]])).toMatchObject({ messages: [{ offset: 0 }] });
  }
});

test('below its feature level a trim writes nothing that earlier builds do not know', () => {
  const commands: readonly Command[] = [
    { type: 'openQueue', queueId: 1, topicId: '7', queue: 0 },
    { type: 'produce', queueId: 1, count: 1, durability: 1, producer: undefined },
    { type: 'trim', queues: [{ queueId: 1, startOffset: 1, startIndex: 0 }], logTrim: 2 },
  ];
  const floorsAt = (level: number) => {
    const rows = new MemoryRows();
    const shard = createDataShard(1, DATA_SHARD_LIMITS, level);
    for (const [at, command] of commands.entries()) {
      shard.apply(entryOf(command, at + 1, 1, 1000, 0), rows);
    }
    return rows.rows().filter(({ table }) => table === 'log-floor').length;
  };
  expect(floorsAt(ROW_COPIES_LEVEL - 1)).toBe(0);
  expect(floorsAt(ROW_COPIES_LEVEL)).toBe(1);
});

import { expect, test } from 'vitest';
import type { DataShardLimits } from '../../../src/broker/limits.ts';
import { type HeldLogSource, heldLog } from '../../../src/shards/held-log.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

function sourceOf(shard: ShardFixture, other: Partial<HeldLogSource> = {}): HeldLogSource {
  return {
    ...{ shard: 1, bytes: 700, startIndex: 0, trimIndex: 0 },
    ...{ lastIndex: shard.index, applied: shard.index, isSendingSnapshot: false },
    data: shard.state,
    slowest: undefined,
    rowAt: async (queueId, offset) =>
      shard.rows.index.find(
        (row) => row.queueId === queueId && row.baseOffset + row.count > offset,
      ),
    ...other,
  };
}

const holders = async (shard: ShardFixture, other?: Partial<HeldLogSource>) =>
  (await heldLog(sourceOf(shard, other))).holders.map(({ what, index, topicId, queue }) =>
    topicId === undefined ? `${what} ${index}` : `${what} ${index} of ${topicId}/${queue}`,
  );

/** Entry 1 opened the queue; all that was in it is gone by now. */
function emptied(limits: Partial<DataShardLimits> = {}): ShardFixture {
  const shard = new ShardFixture(limits);
  shard.open(1);
  shard.produce(1);
  const queues = [{ queueId: 1, startOffset: 1, startIndex: 0 }];
  shard.apply({ type: 'trim', queues, logTrim: 2 });
  return shard;
}

test('each kind of what is needed, the lowest first; of each only its lowest', async () => {
  const shard = emptied();
  shard.delay(5000);
  shard.prepare();
  shard.produce(1, 2);
  shard.lease([[6]], { fromOffset: 1 });
  shard.delay(6000);
  expect(await holders(shard, { trimIndex: 2, startIndex: 2 })).toEqual([
    ...['DELAYED 4 of 7/1', 'HALF 5', 'MESSAGES 6 of 7/1', 'LEASED 6 of 7/1'],
  ]);
});

test('what waits for its next attempt; dead letters; what was shown late', async () => {
  const shard = emptied({ maxDeliveryAttempts: 1 });
  shard.produce(1);
  shard.lease([[4]], { freshOffset: 1, fromOffset: 1 });
  shard.settle(1, shard.index, { type: 'nack', delayMs: 60_000 });
  const queues = [{ queueId: 1, startOffset: 2, startIndex: 0 }];
  shard.apply({ type: 'trim', queues, logTrim: 3 });
  const through3 = { trimIndex: 3, startIndex: 3 };
  expect(await holders(shard, through3)).toEqual(['DEAD_LETTER 4 of 7/1']);

  const other = emptied();
  other.produce(1);
  other.lease([[4]], { fromOffset: 1 });
  other.settle(1, other.index, { type: 'nack', delayMs: 60_000 });
  other.prepare();
  other.end(7, 'commit');
  const late = { queueId: 1, startOffset: 2, startIndex: 0 };
  other.apply({ type: 'trim', queues: [late], logTrim: 3 });
  const found = await holders(other, through3);
  expect(found).toEqual(['RETRY 4 of 7/1', 'MESSAGES 7 of 7/1', 'SHOWN_LATE 7']);
});

test('a slow replica, by its node, and only where it is far behind', async () => {
  const shard = emptied();
  while (shard.index < 270) shard.deliver();
  shard.produce(1);
  const at = (matched: number) => ({
    ...{ trimIndex: 2, startIndex: 2 },
    slowest: { node: 3, matched },
  });
  const { holders: found } = await heldLog(sourceOf(shard, at(10)));
  expect(found).toEqual([
    { what: 'SLOW_REPLICA', index: 11, node: 3 },
    { what: 'MESSAGES', index: 271, topicId: '7', queue: 1 },
  ]);
  expect(await holders(shard, at(16))).toEqual(['TRIM 3', 'MESSAGES 271 of 7/1']);
});

test('a few entries that nothing needs are no reason; many of them are', async () => {
  const shard = emptied();
  while (shard.index < 260) shard.deliver();
  shard.delay(5000);
  const from = (trimIndex: number) => holders(shard, { trimIndex, startIndex: trimIndex });
  expect(await from(4)).toEqual(['TRIM 5', 'DELAYED 261 of 7/1']);
  expect(await from(5)).toEqual(['DELAYED 261 of 7/1']);
});

test('what nothing needs: not agreed yet, no checkpoint yet, a snapshot on its way', async () => {
  const shard = emptied();
  expect(await holders(shard)).toEqual(['TRIM 1']);
  expect(await holders(shard, { trimIndex: 3, startIndex: 3 })).toEqual([]);
  expect(await holders(shard, { trimIndex: 2 })).toEqual(['CHECKPOINT 1']);
  const sending = { trimIndex: 2, startIndex: 1, isSendingSnapshot: true };
  expect(await holders(shard, sending)).toEqual(['SNAPSHOT 2']);
  // After a restart, where the trim point is not known yet.
  expect(await holders(shard, { startIndex: 2 })).toEqual(['TRIM 3']);
  expect(await holders(shard, { data: undefined, trimIndex: 1, startIndex: 1 })).toEqual([
    'TRIM 2',
  ]);
});

test('a damaged index keeps all of it; one that is trimmed meanwhile keeps nothing', async () => {
  const shard = emptied();
  shard.produce(1);
  const bad = () => Promise.reject(new Error('index of queue 1 lacks 1'));
  const through2 = { trimIndex: 2, startIndex: 2 };
  expect(await holders(shard, { ...through2, rowAt: bad })).toEqual(['DAMAGE 3 of 7/1']);
  const moving = () => {
    const queues = [{ queueId: 1, startOffset: 2, startIndex: 0 }];
    shard.apply({ type: 'trim', queues, logTrim: 4 });
    return bad();
  };
  expect(await holders(shard, { ...through2, rowAt: moving })).toEqual(['TRIM 3']);
});

test('what was appended again holds the log from where it lies now', async () => {
  const shard = emptied();
  shard.produce(1);
  shard.produce(1);
  const { index, term, ...row } = shard.rows.index.find(({ baseOffset }) => baseOffset === 1)!;
  const copy = { type: 'copyRow', row, id: { term, index }, lowest: 5, until: 3 } as const;
  shard.apply(copy, 10);
  expect(await holders(shard, { trimIndex: 3, startIndex: 3 })).toEqual(['MESSAGES 5 of 7/1']);
});

/** A queue refuses writes that were picked before its fence, and nothing else. */
import { expect, it } from 'vitest';
import type { Command } from '../../../src/broker/commands.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

const plain = { type: 'produce', queueId: 1, count: 1, durability: 1 } as const;
const produce = (queueEpoch?: number): Command => ({
  ...{ ...plain, producer: undefined },
  ...(queueEpoch === undefined ? {} : { queueEpoch }),
});
const fence = (minQueueEpoch: number): Command => ({
  ...{ type: 'fenceQueue', queueId: 1, minQueueEpoch },
});
const half = { producerGroup: 'g', callerId: '', topic: 't', queueId: 1, count: 1 } as const;
const prepare = (queueEpoch: number): Command => ({
  ...{ type: 'prepare', ...half, queueEpoch, maxChecks: 15 },
  ...{ firstCheckAfterMs: 6000, checkIntervalMs: 30_000 },
});
const transaction = { shard: 1, term: 1, index: 1 };

function opened(): ShardFixture {
  const test = new ShardFixture();
  test.apply({ type: 'openQueue', queueId: 1, topicId: '7', queue: 0 });
  return test;
}

const refusal = (minQueueEpoch: number, given: number) => ({
  refusal: { reason: 'QUEUE_FENCED', topicId: '7', minQueueEpoch, given },
});

it('of every kind, from the fence on; one without an epoch is the oldest', () => {
  const test = opened();
  expect(test.apply(produce())).toMatchObject({ type: 'produced' });
  test.apply(fence(3));
  expect(test.apply(produce())).toMatchObject(refusal(3, 0));
  expect(test.apply(produce(2))).toMatchObject(refusal(3, 2));
  expect(test.apply(prepare(2))).toMatchObject(refusal(3, 2));
  const part = { type: 'preparePart', transaction, part: 0, queueId: 1, count: 1 } as const;
  expect(test.apply({ ...part, queueEpoch: 2 })).toMatchObject(refusal(3, 2));
  expect(test.apply({ ...part, queueEpoch: 3 })).toMatchObject({ type: 'partPrepared' });
  expect(test.apply(prepare(3))).toMatchObject({ type: 'prepared' });
  expect(test.apply(produce(4))).toMatchObject({ type: 'produced' });
  expect(test.state.queue(1)).toMatchObject({ endOffset: 2 });
});

it('never falls, and outlives a restart', () => {
  const test = opened();
  test.apply(fence(3));
  test.apply(fence(2));
  const loaded = test.reloaded();
  for (const one of [test, loaded]) {
    expect(one.state.queue(1)).toMatchObject({ minQueueEpoch: 3 });
    expect(one.apply(produce(2))).toMatchObject(refusal(3, 2));
  }
  expect(test.apply({ ...fence(9), queueId: 5 } as Command)).toEqual({ type: 'done' });
});

it('what was stored before is answered as before', () => {
  const test = opened();
  const producer = { producerId: 'p', producerEpoch: 1, sequence: 0 };
  const dedup = { windowMs: 1000, keys: ['k'] };
  test.apply({ ...plain, producer });
  test.apply({ ...plain, producer: undefined, dedup });
  test.apply(fence(2));
  expect(test.apply({ ...plain, producer })).toMatchObject({ duplicate: true, baseOffset: 0 });
  const again = test.apply({ ...plain, producer: undefined, dedup });
  expect(again).toMatchObject({ duplicate: true, baseOffset: 1 });
  // Nothing was used up by what is refused.
  const next = { ...producer, sequence: 1 };
  expect(test.apply({ ...plain, producer: next })).toMatchObject(refusal(2, 0));
  const picked = test.apply({ ...plain, producer: next, queueEpoch: 2 });
  expect(picked).toMatchObject({ duplicate: false, baseOffset: 2 });
});

it('what waits for its offsets is counted, and gets them behind the fence', () => {
  const test = opened();
  test.apply({ ...plain, producer: undefined, deliverAtMs: test.timeMs + 50 });
  const delayed = { term: test.term, index: test.index };
  const prepared = test.apply({ ...prepare(1), queueEpoch: undefined } as unknown as Command);
  test.apply({ type: 'preparePart', transaction, part: 0, queueId: 1, count: 1 });
  const part = { term: test.term, index: test.index };
  expect(test.state.waitingIn(1)).toBe(3);
  test.apply(fence(2));
  test.timeMs += 100;
  test.apply({ type: 'deliver', batches: [delayed] });
  expect(test.state.waitingIn(1)).toBe(2);
  const id = (prepared as { id: { term: number; index: number } }).id;
  test.apply({
    ...{ type: 'end', producerGroup: 'g', transaction: { by: 'id', id } },
    decision: 'commit',
  });
  expect(test.state.waitingIn(1)).toBe(1);
  test.apply({ type: 'resolve', transaction, commits: true, parts: [part] });
  expect(test.state.waitingIn(1)).toBe(0);
  expect(test.state.queue(1)).toMatchObject({ endOffset: 3 });
});

it('parts keep the epoch at which their queues were picked, over a restart', () => {
  const test = opened();
  const parts = [{ shard: 1, topic: 't', queueId: 1, queue: 0, count: 1, queueEpoch: 2 }];
  test.apply({
    ...{ type: 'begin', producerGroup: 'g', callerId: 'c', maxChecks: 15, parts },
    ...{ firstCheckAfterMs: 6000, checkIntervalMs: 30_000, offsets: undefined },
  });
  for (const { state } of [test, test.reloaded()]) {
    expect([...state.openTransactions(0)][0]?.parts).toMatchObject([{ queueEpoch: 2 }]);
  }
});

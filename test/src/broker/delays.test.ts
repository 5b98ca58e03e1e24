import { expect, it } from 'vitest';
import { lowestOf } from '../../../src/shards/queue-front.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

function opened(): ShardFixture {
  const test = new ShardFixture();
  test.open(1);
  test.open(2);
  return test;
}

const shown = (test: ShardFixture) =>
  test.rows.index.map(({ index, baseOffset, storedAtMs }) => [index, baseOffset, storedAtMs]);

it('a delayed batch is in no queue before its time, then at its end', () => {
  const test = opened();
  const at = { term: 1, index: 3 };
  const delayed = { type: 'produced', at, baseOffset: undefined, count: 2, duplicate: false };
  expect(test.delay(5000, 2)).toEqual(delayed);
  test.produce(1);
  expect(test.state.queue(1)?.endOffset).toBe(1);
  expect(test.state.delayed(3)).toMatchObject({ id: at, queueId: 1, count: 2, dueAtMs: 5000 });
  expect(test.state.nextDelayedAtMs()).toBe(5000);
  expect(test.state.dueDelayed(4999, 10)).toEqual([]);
  test.timeMs = 5000;
  expect(test.deliver(3)).toEqual({ type: 'delivered', count: 1 });
  expect(test.rows.index.at(-1)).toEqual({
    ...{ queueId: 1, baseOffset: 1, count: 2, index: 3, term: 1 },
    ...{ storedAtMs: 5000, cumulativeBytes: 20 },
  });
  expect(test.state.delayed(3)).toBeUndefined();
  expect(test.state.nextDelayedAtMs()).toBeUndefined();
});

it('never early, whoever says that it is due', () => {
  const test = opened();
  test.delay(5000);
  test.timeMs = 4999;
  expect(test.deliver(3)).toEqual({ type: 'delivered', count: 0 });
  expect(shown(test)).toEqual([]);
  expect(test.state.counts().delayed).toBe(1);
});

it('once, however often it is named', () => {
  const test = opened();
  test.delay(2000);
  test.timeMs = 2000;
  expect(test.deliver(3, 3, 99)).toEqual({ type: 'delivered', count: 1 });
  expect(test.deliver(3)).toEqual({ type: 'delivered', count: 0 });
  expect(shown(test)).toEqual([[3, 0, 2000]]);
});

it('a batch of the same index and another term is another one', () => {
  const test = opened();
  test.delay(2000);
  test.timeMs = 2000;
  const strange = { type: 'deliver', batches: [{ term: 2, index: 3 }] } as const;
  expect(test.apply(strange)).toEqual({ type: 'delivered', count: 0 });
});

it('by time, and of the same time in the order of the log', () => {
  const test = opened();
  for (const atMs of [3000, 2000, 3000, 2500]) test.delay(atMs);
  const due = test.state.dueDelayed(3000, 10).map(({ index }) => index);
  expect(due).toEqual([4, 6, 3, 5]);
  expect(test.state.dueDelayed(3000, 2).map(({ index }) => index)).toEqual([4, 6]);
});

it('what is due already is stored at once', () => {
  const test = opened();
  test.timeMs = 6000;
  expect(test.delay(6000)).toMatchObject({ baseOffset: 0 });
  expect(test.delay(6001)).toMatchObject({ baseOffset: undefined });
});

it('a recalled batch never comes; what was delivered cannot be recalled', () => {
  const test = opened();
  test.delay(2000);
  test.delay(2000);
  const recall = (index: number) => test.apply({ type: 'recall', index });
  expect(recall(3)).toEqual({ type: 'recalled', count: 1 });
  const refusal = { type: 'refused', refusal: { reason: 'NOT_DELAYED' } };
  expect(recall(3)).toEqual(refusal);
  test.timeMs = 2000;
  test.deliver(3, 4);
  expect(shown(test)).toEqual([[4, 0, 2000]]);
  expect(recall(4)).toEqual(refusal);
});

it('a repeated request is told that it was delayed, before and after its time', () => {
  const test = opened();
  const send = (sequence: number, deliverAtMs?: number) =>
    test.apply({
      ...{ type: 'produce', queueId: 1, count: 1, durability: 1 },
      producer: { producerId: 'p', producerEpoch: 0, sequence },
      ...(deliverAtMs === undefined ? {} : { deliverAtMs }),
    });
  send(0);
  send(1, 5000);
  send(2);
  const repeated = { at: { index: 4 }, baseOffset: undefined, duplicate: true };
  expect(send(1, 5000)).toMatchObject(repeated);
  test.timeMs = 5000;
  test.deliver(4);
  for (const twin of [test, test.reloaded()]) {
    const again = twin.apply({
      ...{ type: 'produce', queueId: 1, count: 1, durability: 1 },
      producer: { producerId: 'p', producerEpoch: 0, sequence: 1 },
    });
    expect(again).toMatchObject(repeated);
  }
  expect(send(2)).toMatchObject({ baseOffset: 1, duplicate: true });
});

it('the log stays as far back as a delayed batch needs it, before its time and after', () => {
  const test = opened();
  test.delay(5000);
  for (let i = 0; i < 5; i++) test.produce(2);
  expect(test.state.lowestLateIndex()).toBe(3);
  test.timeMs = 5000;
  test.deliver(3);
  for (const twin of [test, test.reloaded()]) expect(twin.state.lowestLateIndex()).toBe(3);
});

it('a queue that is closed takes its delayed batches along', () => {
  const test = opened();
  test.delay(5000, 1, 1);
  test.delay(5000, 1, 2);
  test.apply({ type: 'closeQueue', queueId: 1 });
  expect(test.state.dueDelayed(9000, 10)).toEqual([{ term: 1, index: 4 }]);
  test.timeMs = 9000;
  expect(test.deliver(3, 4)).toEqual({ type: 'delivered', count: 1 });
});

it('all of it is there again after a restart', () => {
  const test = opened();
  test.delay(5000, 3);
  test.delay(4000);
  const twin = test.reloaded();
  expect(twin.state.nextDelayedAtMs()).toBe(4000);
  expect(twin.state.dueDelayed(9000, 10)).toEqual(test.state.dueDelayed(9000, 10));
  for (const one of [test, twin]) {
    one.timeMs = 6000;
    one.deliver(3, 4);
  }
  expect(twin.rows.index).toEqual(test.rows.index);
  expect(twin.rows.rows().some(({ table }) => table === 'delayed')).toBe(false);
});

const copy = (test: ShardFixture, index: number, from = index) =>
  test.apply(
    {
      ...{ type: 'copy', owner: 'delayed', id: { term: 1, index } },
      from: { term: 1, index: from },
    },
    10,
  );

it('appended again it lies there, and the log before may go; its name stays', () => {
  const test = opened();
  test.delay(5000);
  test.delay(5000);
  expect(copy(test, 3)).toEqual({ type: 'copied', moved: true });
  expect(copy(test, 4)).toEqual({ type: 'copied', moved: true });
  for (const twin of [test, test.reloaded()]) {
    expect(twin.state.lowestLateIndex()).toBe(5);
    expect(twin.state.heldBodies(7, 9).map(({ id, at }) => [id.index, at.index])).toEqual([
      [3, 5],
      [4, 6],
    ]);
    expect(twin.state.heldBodies(6, 9)).toHaveLength(1);
    expect(twin.state.heldBodies(7, 1)).toHaveLength(1);
    expect(twin.state.delayed(3)).toMatchObject({ id: { term: 1, index: 3 } });
  }
  test.timeMs = 5000;
  test.deliver(3, 4);
  expect(shown(test).map(([index, offset]) => [index, offset])).toEqual([
    [5, 0],
    [6, 1],
  ]);
  expect(test.state.lowestLateIndex()).toBe(5);
  expect(lowestOf(test.state.lateBuckets())).toBe(5);
});

it('a copy that comes too late moves nothing', () => {
  const test = opened();
  test.delay(5000);
  test.delay(5000);
  test.apply({ type: 'recall', index: 4 });
  expect(copy(test, 4)).toEqual({ type: 'copied', moved: false });
  expect(copy(test, 3)).toEqual({ type: 'copied', moved: true });
  expect(copy(test, 3)).toEqual({ type: 'copied', moved: false });
  const strange = { type: 'copy', owner: 'delayed', id: { term: 2, index: 3 } } as const;
  expect(test.apply({ ...strange, from: { term: 1, index: 7 } })).toMatchObject({ moved: false });
  expect(test.state.lowestLateIndex()).toBe(7);
});

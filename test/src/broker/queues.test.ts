import { describe, expect, it } from 'vitest';
import { ShardFixture } from '../../harness/data-shard.ts';

describe('queues', () => {
  it('take messages only while they are open', () => {
    const test = new ShardFixture();
    const refusal = { reason: 'QUEUE_NOT_OPEN', queueId: 1 };
    expect(test.produce(1)).toEqual({ type: 'refused', refusal });
    test.open(1);
    test.open(1);
    expect(test.produce(1)).toMatchObject({ type: 'produced', baseOffset: 0 });
    test.apply({ type: 'closeQueue', queueId: 1 });
    expect(test.produce(1)).toEqual({ type: 'refused', refusal });
    expect(test.state.queue(1)).toBeUndefined();
    expect(test.rows.drops).toEqual([[1, Number.MAX_SAFE_INTEGER]]);
  });

  it('give dense offsets and an index row per batch', () => {
    const test = new ShardFixture();
    test.open(1);
    test.open(2);
    test.timeMs = 5000;
    expect(test.produce(1, 3, 100)).toEqual({
      type: 'produced',
      at: { term: 1, index: 3 },
      baseOffset: 0,
      count: 3,
      duplicate: false,
    });
    test.produce(2, 5, 1);
    test.term = 2;
    test.timeMs = 5001;
    expect(test.produce(1, 2, 50)).toMatchObject({ baseOffset: 3, count: 2 });
    const common = { queueId: 1 };
    expect(test.rows.index.filter(({ queueId }) => queueId === 1)).toEqual([
      {
        ...common,
        baseOffset: 0,
        count: 3,
        index: 3,
        term: 1,
        storedAtMs: 5000,
        cumulativeBytes: 100,
      },
      {
        ...common,
        baseOffset: 3,
        count: 2,
        index: 5,
        term: 2,
        storedAtMs: 5001,
        cumulativeBytes: 150,
      },
    ]);
    expect(test.state.queue(1)).toMatchObject({
      topicId: '7',
      queue: 1,
      open: true,
      startOffset: 0,
      endOffset: 5,
      cumulativeBytes: 150,
    });
    expect([...test.state.queues()].map(({ queueId }) => queueId)).toEqual([1, 2]);
  });

  it('once closed stay closed, also when the closing came first', () => {
    const test = new ShardFixture();
    test.open(1);
    test.apply({ type: 'closeQueue', queueId: 1 });
    test.apply({ type: 'closeQueue', queueId: 1 });
    test.apply({ type: 'closeQueue', queueId: 9 });
    for (const twin of [test, test.reloaded()]) {
      for (const queueId of [1, 9]) {
        const open = { type: 'openQueue', queueId, topicId: '7', queue: 0 } as const;
        expect(twin.apply(open)).toMatchObject({ type: 'refused' });
        expect(twin.state.queue(queueId)).toBeUndefined();
      }
    }
  });

  it('remember a bounded number of closed ids, the latest ones', () => {
    const test = new ShardFixture({ maxClosedQueues: 2 });
    for (const queueId of [5, 3, 4]) test.apply({ type: 'closeQueue', queueId });
    expect(test.rows.rows()).toHaveLength(2);
    const twin = test.reloaded();
    twin.apply({ type: 'closeQueue', queueId: 1 });
    test.apply({ type: 'closeQueue', queueId: 1 });
    expect(twin.rows.dump()).toEqual(test.rows.dump());
    test.open(3);
    expect(test.state.queue(3)).toBeDefined();
    test.open(4);
    expect(test.state.queue(4)).toBeUndefined();
  });

  it('drop everything of theirs when closed', () => {
    const test = new ShardFixture();
    test.open(1);
    test.send(0);
    test.prepare('open-one');
    test.prepare('ended-one');
    test.end('ended-one', 'commit');
    test.apply({ type: 'closeQueue', queueId: 1 });
    expect(test.rows.rows().map(({ table }) => table)).toEqual(['queue']);
    expect(test.state.counts()).toMatchObject({ producers: 0, transactions: 0 });
    expect(test.state.nextCheckAtMs('g')).toBeUndefined();
    expect(test.state.lowestNeededIndex()).toBeUndefined();
    expect(test.end('open-one', 'commit')).toMatchObject({
      refusal: { reason: 'TRANSACTION_NOT_FOUND' },
    });
  });
});

describe('trim', () => {
  it('raises start offsets and lets the index go', () => {
    const test = new ShardFixture();
    test.open(1);
    for (let i = 0; i < 4; i += 1) test.produce(1, 2);
    test.apply({
      type: 'trim',
      queues: [
        { queueId: 1, startOffset: 4, startIndex: 4 },
        { queueId: 99, startOffset: 4, startIndex: 4 },
      ],
      logTrim: 3,
    });
    expect(test.state.queue(1)).toMatchObject({ startOffset: 4, endOffset: 8 });
    expect(test.rows.drops).toEqual([[1, 4]]);
    expect(test.state.lowestNeededIndex()).toBe(4);
    const lower = [{ queueId: 1, startOffset: 2, startIndex: 3 }];
    test.apply({ type: 'trim', queues: lower, logTrim: 1 });
    expect(test.state.queue(1)?.startOffset).toBe(4);
    expect(test.state.lowestNeededIndex()).toBe(4);
  });

  it('empties a queue, which goes on where it was', () => {
    const test = new ShardFixture();
    test.open(1);
    test.produce(1, 2);
    const trim = [{ queueId: 1, startOffset: 2, startIndex: 0 }];
    test.apply({ type: 'trim', queues: trim, logTrim: 2 });
    expect(test.state.lowestNeededIndex()).toBeUndefined();
    expect(test.produce(1)).toMatchObject({ baseOffset: 2 });
    expect(test.state.lowestNeededIndex()).toBe(4);
  });

  it('does not take a queue for empty that got messages since it was proposed', () => {
    const test = new ShardFixture();
    test.open(1);
    test.produce(1, 2);
    test.produce(1);
    const trim = [{ queueId: 1, startOffset: 2, startIndex: 0 }];
    test.apply({ type: 'trim', queues: trim, logTrim: 2 });
    expect(test.state.lowestNeededIndex()).toBe(3);
  });

  it('does not hold a bound that it only guessed against a later trim that knows', () => {
    const test = new ShardFixture();
    test.open(1);
    test.open(2);
    test.produce(1);
    test.produce(2);
    test.produce(1);
    const trim = [{ queueId: 1, startOffset: 1, startIndex: 0 }];
    test.apply({ type: 'trim', queues: trim, logTrim: 2 });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.lowestNeededIndex()).toBe(3);
      const known = [{ queueId: 2, startOffset: 1, startIndex: 0 }];
      expect(() => twin.apply({ type: 'trim', queues: known, logTrim: 4 })).not.toThrow();
      const exact = [{ queueId: 1, startOffset: 1, startIndex: 5 }];
      twin.apply({ type: 'trim', queues: exact, logTrim: 4 });
      expect(twin.state.lowestNeededIndex()).toBe(5);
      expect(() => twin.apply({ type: 'trim', queues: [], logTrim: 5 })).toThrow('entry 5');
    }
  });

  it('is a broken invariant when it would lose something live', () => {
    const trimTo = (test: ShardFixture, logTrim: number): (() => unknown) => {
      return () => test.apply({ type: 'trim', queues: [], logTrim });
    };
    const plain = new ShardFixture();
    plain.open(1);
    plain.produce(1);
    expect(trimTo(plain, 1)).not.toThrow();
    expect(trimTo(plain, 2)).toThrow('entry 2 is needed');

    const undecided = new ShardFixture();
    undecided.open(1);
    undecided.prepare();
    expect(trimTo(undecided, 2)).toThrow('entry 2 is needed');

    const committed = new ShardFixture();
    committed.open(1);
    committed.prepare('c');
    committed.produce(1);
    committed.end('c', 'commit');
    committed.produce(1);
    const toHalf = [{ queueId: 1, startOffset: 1, startIndex: 3 }];
    const cut = (): unknown => committed.apply({ type: 'trim', queues: toHalf, logTrim: 2 });
    expect(cut).toThrow('entry 2 is needed');
  });

  it('past the end of a queue is a broken invariant', () => {
    const test = new ShardFixture();
    test.open(1);
    const queues = [{ queueId: 1, startOffset: 1, startIndex: 0 }];
    expect(() => test.apply({ type: 'trim', queues, logTrim: 0 })).toThrow('past the end');
  });
});

import { describe, expect, it } from 'vitest';
import { lowestOf } from '../../../src/shards/queue-front.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

function opened(limits: ConstructorParameters<typeof ShardFixture>[0] = {}): ShardFixture {
  const test = new ShardFixture(limits);
  test.open(1);
  test.open(2);
  return test;
}

describe('half messages', () => {
  it('appended again lie there, keep their name, and are shown from there', () => {
    const test = opened();
    test.prepare('a', 1);
    test.prepare('b', 1);
    const copy = (index: number, from = index) => {
      const body = { owner: 'half', id: { term: 1, index }, from: { term: 1, index: from } };
      return test.apply({ type: 'copy', ...body, owner: 'half' }, 10);
    };
    expect(copy(3)).toEqual({ type: 'copied', moved: true });
    expect(copy(3)).toEqual({ type: 'copied', moved: false });
    expect(copy(4)).toEqual({ type: 'copied', moved: true });
    expect(copy(3, 5)).toEqual({ type: 'copied', moved: true });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.lowestLateIndex()).toBe(7);
      expect(lowestOf(twin.state.lateBuckets())).toBeUndefined();
      expect(twin.state.placeOf({ term: 1, index: 3 })).toEqual({ term: 1, index: 8 });
      expect(twin.state.placeOf({ term: 2, index: 3 })).toEqual({ term: 2, index: 3 });
      const held = twin.state.heldBodies(99, 9);
      expect(held.map(({ owner, id, at }) => [owner, id.index, at.index])).toEqual([
        ['half', 4, 7],
        ['half', 3, 8],
      ]);
    }
    test.end(4, 'rollback');
    expect(test.state.lowestLateIndex()).toBe(8);
    expect(test.end(3, 'commit')).toMatchObject({
      id: { index: 3 },
      parts: [{ at: { index: 3 } }],
    });
    expect(test.rows.index).toMatchObject([{ queueId: 1, baseOffset: 0, index: 8 }]);
    expect(lowestOf(test.state.lateBuckets())).toBe(8);
    expect(copy(3, 8)).toEqual({ type: 'copied', moved: false });
  });

  it('are invisible until they are committed, then get offsets at the end', () => {
    const test = opened();
    const part = { shard: 1, topic: 'orders', queueId: 1, queue: 1, count: 2 };
    const stored = { ...part, at: { term: 1, index: 3 } };
    expect(test.prepare('', 2)).toEqual({
      type: 'prepared',
      id: { term: 1, index: 3 },
      state: 'undecided',
      parts: [{ ...stored, baseOffset: undefined }],
      firstCheckAtMs: 7000,
      duplicate: false,
    });
    expect(test.rows.index).toEqual([]);
    expect(test.state.queue(1)?.endOffset).toBe(0);
    test.produce(1, 3, 5);
    test.term = 2;
    test.timeMs = 2000;
    expect(test.end(3, 'commit')).toEqual({
      type: 'ended',
      id: { term: 1, index: 3 },
      state: 'committed',
      parts: [{ ...stored, baseOffset: 3 }],
      unresolved: [],
    });
    expect(test.rows.index.at(-1)).toEqual({
      queueId: 1,
      baseOffset: 3,
      count: 2,
      index: 3,
      term: 1,
      storedAtMs: 2000,
      cumulativeBytes: 25,
    });
  });

  it('vanish when rolled back', () => {
    const test = opened();
    test.prepare();
    expect(test.end(3, 'rollback')).toMatchObject({ state: 'rolledBack' });
    expect(test.rows.index).toEqual([]);
    expect(test.state.lowestLateIndex()).toBeUndefined();
    expect(test.state.nextCheckAtMs('g')).toBeUndefined();
  });

  it('need an open queue', () => {
    const test = opened();
    expect(test.prepare('', 1, { queueId: 9 })).toEqual({
      type: 'refused',
      refusal: { reason: 'QUEUE_NOT_OPEN', queueId: 9 },
    });
  });

  it('have one outcome', () => {
    const test = opened();
    test.prepare('c');
    test.prepare('r');
    const committed = test.end('c', 'commit');
    const rolledBack = test.end('r', 'rollback');
    for (const twin of [test, test.reloaded()]) {
      twin.produce(1);
      expect(twin.end(3, 'commit')).toEqual(committed);
      expect(twin.end('r', 'rollback')).toEqual(rolledBack);
      expect(twin.end(3, 'unknown')).toEqual(committed);
      expect(twin.end('c', 'rollback')).toEqual({
        type: 'refused',
        refusal: { reason: 'TRANSACTION_ENDED', state: 'committed' },
      });
      expect(twin.end('r', 'commit')).toEqual({
        type: 'refused',
        refusal: { reason: 'TRANSACTION_ENDED', state: 'rolledBack' },
      });
      expect(twin.state.queue(1)?.endOffset).toBe(2);
    }
  });

  it('belong to their producer group', () => {
    const test = opened();
    test.prepare('mine');
    const foreign = { refusal: { reason: 'TRANSACTION_FOREIGN' } };
    const notFound = { refusal: { reason: 'TRANSACTION_NOT_FOUND' } };
    expect(test.end(3, 'commit', 'other')).toMatchObject(foreign);
    expect(test.end('mine', 'commit', 'other')).toMatchObject(notFound);
    expect(test.end(4, 'commit')).toMatchObject(notFound);
    expect(test.end(3, 'commit', 'g', 2)).toMatchObject(notFound);
    expect(test.end('none', 'commit')).toMatchObject(notFound);
    const ref = { by: 'id', id: { term: 1, index: 3 } } as const;
    expect(test.state.transaction('other', ref)).toBeUndefined();
    expect(test.state.transaction('g', ref)).toMatchObject({
      callerId: 'mine',
      parts: [{ count: 1 }],
    });
  });

  it('with a caller id can be prepared again', () => {
    const test = opened();
    const first = test.prepare('c', 2);
    for (const twin of [test, test.reloaded()]) {
      expect(twin.prepare('c', 2)).toEqual({ ...first, duplicate: true });
      const reused = { refusal: { reason: 'TRANSACTION_ID_REUSED' } };
      expect(twin.prepare('c', 3)).toMatchObject(reused);
      expect(twin.prepare('c', 2, { queueId: 2 })).toMatchObject(reused);
      expect(twin.prepare('c', 2, { group: 'other' })).toMatchObject({ duplicate: false });
      twin.end('c', 'commit');
      const again = { state: 'committed', parts: [{ baseOffset: 0 }], duplicate: true };
      expect(twin.prepare('c', 2)).toMatchObject(again);
    }
  });

  it('without one are new each time', () => {
    const test = opened();
    test.prepare();
    expect(test.prepare()).toMatchObject({ duplicate: false });
    expect(test.state.counts().transactions).toBe(2);
  });

  it('tell group and caller id apart however they are cut', () => {
    const test = opened();
    test.prepare('bc', 1, { group: 'a' });
    expect(test.prepare('c', 1, { group: 'ab' })).toMatchObject({ duplicate: false });
  });
});

describe('remembering outcomes', () => {
  it('is bounded in number, first ended first', () => {
    const test = opened({ maxEndedTransactions: 2 });
    for (const id of ['a', 'b', 'c', 'd']) test.prepare(id);
    for (const id of ['c', 'a']) test.end(id, 'rollback');
    for (const twin of [test, test.reloaded()]) {
      twin.end('b', 'rollback');
      const notFound = { refusal: { reason: 'TRANSACTION_NOT_FOUND' } };
      expect(twin.end('c', 'rollback')).toMatchObject(notFound);
      expect(twin.end('a', 'rollback')).toMatchObject({ state: 'rolledBack' });
      expect(twin.end('d', 'commit')).toMatchObject({ state: 'committed' });
      expect(twin.prepare('c')).toMatchObject({ duplicate: false });
    }
  });

  it('counts what left with its queue no more, and goes on with the next', () => {
    const test = opened({ maxEndedTransactions: 2 });
    test.prepare('a');
    test.prepare('b', 1, { queueId: 2 });
    for (const id of ['a', 'b']) test.end(id, 'rollback');
    test.apply({ type: 'closeQueue', queueId: 1 });
    test.prepare('a', 1, { queueId: 2 });
    for (const twin of [test, test.reloaded()]) {
      const outcomes = ['c', 'd'].map((id) => {
        twin.prepare(id, 1, { queueId: 2 });
        twin.end(id, 'commit');
        return twin.end('b', 'rollback').type;
      });
      expect(outcomes).toEqual(['ended', 'refused']);
      expect(twin.prepare('a', 1, { queueId: 2 })).toMatchObject({ duplicate: true });
    }
  });

  it('ends after a day, for others never', () => {
    const test = opened({ endedTransactionKeepMs: 100 });
    test.prepare('a');
    test.prepare('undecided');
    test.end('a', 'commit');
    test.timeMs += 99;
    test.prepare('b');
    test.end('b', 'commit');
    expect(test.end('a', 'commit')).toMatchObject({ state: 'committed' });
    test.timeMs += 1;
    test.prepare('c');
    test.end('c', 'commit');
    expect(test.end('a', 'commit')).toMatchObject({ type: 'refused' });
    expect(test.end('b', 'commit')).toMatchObject({ state: 'committed' });
    test.timeMs += 1e9;
    expect(test.end('undecided', 'commit')).toMatchObject({ state: 'committed' });
  });
});

describe('half references', () => {
  it('name the lowest entry that a live half message lies in', () => {
    const test = opened();
    test.prepare('a', 1000);
    test.prepare('b', 1000);
    test.prepare('c');
    expect(test.state.lowestLateIndex()).toBe(3);
    test.end('b', 'commit');
    test.end('a', 'commit');
    test.end('c', 'rollback');
    // b: offsets 0…999, bucket 0; a: 1000…1999, its last offset in bucket 1.
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.lowestLateIndex()).toBe(3);
      const trim = (startOffset: number, startIndex: number): void => {
        const queues = [{ queueId: 1, startOffset, startIndex }];
        twin.apply({ type: 'trim', queues, logTrim: 1 });
      };
      trim(1024, 3);
      expect(twin.state.lowestLateIndex()).toBe(3);
      twin.produce(1, 100);
      trim(2047, 9);
      expect(twin.state.lowestLateIndex()).toBe(3);
      trim(2048, 9);
      expect(twin.state.lowestLateIndex()).toBeUndefined();
      expect(twin.rows.rows().filter(({ table }) => table === 'late-reference')).toEqual([]);
    }
  });
});

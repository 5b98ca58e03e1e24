import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Due, DueHeap } from '../../../src/broker/due-heap.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

function opened(): ShardFixture {
  const test = new ShardFixture();
  test.open(1);
  return test;
}

function lease(test: ShardFixture, indexes: number[], leaseMs = 0, group = 'g'): unknown {
  const transactions = indexes.map((index) => ({ term: 1, index }));
  const what = { producerGroup: group, transactions, leaseMs, countsLater: true } as const;
  return test.apply({ type: 'leaseChecks', ...what });
}

function delivered(test: ShardFixture, index: number, leaseIndex: number): unknown {
  const checks = [{ id: { term: 1, index }, lease: leaseIndex }];
  return test.apply({ type: 'checksDelivered', checks });
}

function park(test: ShardFixture, ...indexes: number[]): unknown {
  return test.apply({ type: 'park', transactions: indexes.map((index) => ({ term: 1, index })) });
}

/** Asked once, which is as often as it may be; due again at 38,000. */
function asked(): ShardFixture {
  const test = opened();
  test.prepare('a', 1, { maxChecks: 1 });
  test.timeMs = 8000;
  lease(test, [2]);
  delivered(test, 2, 3);
  return test;
}

describe('checks', () => {
  it('fall due after the first delay, oldest first, per producer group', () => {
    const test = opened();
    test.prepare('a');
    test.timeMs = 1500;
    test.prepare('b');
    test.prepare('c', 1, { group: 'other' });
    expect(test.state.nextCheckAtMs('g')).toBe(7000);
    expect(test.state.nextCheckAtMs('nobody')).toBeUndefined();
    expect(test.state.dueChecks('g', 6999, 10)).toEqual([]);
    expect(test.state.dueChecks('g', 7000, 10)).toEqual([{ term: 1, index: 2 }]);
    expect(test.state.dueChecks('g', 9000, 10).map(({ index }) => index)).toEqual([2, 3]);
    expect(test.state.dueChecks('g', 9000, 1).map(({ index }) => index)).toEqual([2]);
    expect(test.state.dueChecks('other', 9000, 10).map(({ index }) => index)).toEqual([4]);
  });

  it('rest when leased, for the longer of lease and interval', () => {
    const test = opened();
    test.prepare('a', 3);
    test.timeMs = 8000;
    expect(lease(test, [2], 40_000)).toEqual({
      type: 'leased',
      checks: [
        {
          id: { term: 1, index: 2 },
          callerId: 'a',
          parts: [
            {
              ...{ shard: 1, topic: 'orders', queueId: 1, queue: 1, count: 3 },
              ...{ at: { term: 1, index: 2 }, baseOffset: undefined },
            },
          ],
          checkCount: 1,
          preparedAtMs: 1000,
          lease: 3,
        },
      ],
    });
    expect(test.state.nextCheckAtMs('g')).toBe(48_000);
    expect(lease(test, [2])).toEqual({ type: 'leased', checks: [] });
    test.timeMs = 48_000;
    lease(test, [2], 5);
    expect(test.reloaded().state.nextCheckAtMs('g')).toBe(78_000);
  });

  it('count when they were delivered, each lease once', () => {
    const test = opened();
    test.prepare('a');
    const counts = (twin: ShardFixture) => [...twin.state.openTransactions(0)][0]?.checkCount;
    test.timeMs = 8000;
    lease(test, [2]);
    test.timeMs = 40_000;
    expect(lease(test, [2])).toMatchObject({ checks: [{ checkCount: 1, lease: 4 }] });
    for (const twin of [test, test.reloaded()]) {
      expect(counts(twin)).toBe(0);
      expect(delivered(twin, 2, 3)).toEqual({ type: 'counted', count: 0 });
      expect(delivered(twin, 2, 4)).toEqual({ type: 'counted', count: 1 });
      expect(delivered(twin, 2, 4)).toEqual({ type: 'counted', count: 0 });
      expect(counts(twin)).toBe(1);
      expect(twin.state.nextCheckAtMs('g')).toBe(70_000);
    }
  });

  it('in logs of earlier builds counted when they were leased', () => {
    const test = opened();
    test.prepare('a');
    test.timeMs = 8000;
    const transactions = [{ term: 1, index: 2 }];
    test.apply({ type: 'leaseChecks', producerGroup: 'g', transactions, leaseMs: 0 });
    expect([...test.state.openTransactions(0)]).toMatchObject([{ checkCount: 1, lease: 0 }]);
  });

  it('that are answered count too, if nobody told of their delivery', () => {
    const test = opened();
    test.prepare('a');
    test.end('a', 'unknown');
    expect([...test.state.openTransactions(0)]).toMatchObject([{ checkCount: 0 }]);
    test.timeMs = 40_000;
    lease(test, [2]);
    test.end('a', 'unknown');
    expect(delivered(test, 2, test.index - 1)).toEqual({ type: 'counted', count: 0 });
    expect([...test.state.openTransactions(0)]).toMatchObject([{ checkCount: 1 }]);
  });

  it('are leased only while undecided, due and of the group', () => {
    const test = opened();
    test.prepare('a');
    test.prepare('b');
    test.prepare('c', 1, { group: 'other' });
    test.end('a', 'commit');
    test.timeMs = 7000;
    test.prepare('late');
    const leased = lease(test, [2, 3, 4, 6, 99]);
    expect(leased).toMatchObject({ checks: [{ callerId: 'b' }] });
  });

  it('come again one interval after an answer of unknown', () => {
    const test = opened();
    test.prepare('a');
    test.timeMs = 2000;
    expect(test.end('a', 'unknown')).toMatchObject({ state: 'undecided' });
    expect(test.state.nextCheckAtMs('g')).toBe(32_000);
    expect(test.reloaded().state.dueChecks('g', 32_000, 9)).toHaveLength(1);
  });
});

describe('parking', () => {
  it('waits for the last answer as long as for any other, and asks nobody any more', () => {
    const test = asked();
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.nextCheckAtMs('g')).toBeUndefined();
      expect(twin.state.nextToParkAtMs()).toBe(38_000);
      expect(twin.state.dueToPark(37_999, 9)).toEqual([]);
      expect(park(twin, 2)).toEqual({ type: 'parked', count: 0 });
      twin.timeMs = 38_000;
      expect(lease(twin, [2])).toEqual({ type: 'leased', checks: [] });
      expect(twin.state.dueToPark(38_000, 9)).toEqual([{ term: 1, index: 2 }]);
      expect(park(twin, 2, 99)).toEqual({ type: 'parked', count: 1 });
      expect(park(twin, 2)).toEqual({ type: 'parked', count: 0 });
    }
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.counts()).toMatchObject({ transactions: 1, parked: 1 });
      expect(twin.state.lowestLateIndex()).toBe(2);
      expect(twin.state.nextToParkAtMs()).toBeUndefined();
      expect([...twin.state.openTransactions(0)]).toMatchObject([{ state: 'parked' }]);
    }
  });

  it('passes those by that may still be asked about, or have their outcome', () => {
    const test = opened();
    test.prepare('a');
    test.prepare('b', 1, { maxChecks: 0 });
    test.end('b', 'commit');
    test.timeMs = 99_000;
    expect(park(test, 2, 3)).toEqual({ type: 'parked', count: 0 });
  });

  it('drops nothing: an answer of unknown changes nothing, a decision decides', () => {
    for (const decision of ['commit', 'rollback'] as const) {
      const test = asked();
      test.timeMs = 38_000;
      park(test, 2);
      test.timeMs += 1e9;
      expect(test.end('a', 'unknown')).toMatchObject({ type: 'ended', state: 'parked' });
      const state = decision === 'commit' ? 'committed' : 'rolledBack';
      expect(test.end('a', decision)).toMatchObject({ state });
      expect(test.state.counts()).toMatchObject({ transactions: 0, parked: 0 });
      expect(test.state.queue(1)?.endOffset).toBe(decision === 'commit' ? 1 : 0);
    }
  });

  it('ends with a resume: asked about at once, from the first check on', () => {
    const test = asked();
    test.timeMs = 50_000;
    park(test, 2);
    const resume = () => test.apply({ type: 'resume', transaction: { term: 1, index: 2 } });
    expect(resume()).toEqual({ type: 'resumed' });
    expect(resume()).toEqual({ type: 'resumed' });
    expect(test.reloaded().state.counts()).toMatchObject({ transactions: 1, parked: 0 });
    expect(lease(test, [2])).toMatchObject({ checks: [{ checkCount: 1 }] });
    test.end('a', 'commit');
    expect(resume()).toMatchObject({ refusal: { reason: 'TRANSACTION_ENDED' } });
    const gone = test.apply({ type: 'resume', transaction: { term: 2, index: 2 } });
    expect(gone).toMatchObject({ refusal: { reason: 'TRANSACTION_NOT_FOUND' } });
  });

  it('a closed queue takes them along', () => {
    const test = asked();
    test.prepare('b', 1, { maxChecks: 0 });
    test.timeMs = 38_000;
    park(test, 2);
    test.apply({ type: 'closeQueue', queueId: 1 });
    expect(test.state.counts()).toMatchObject({ transactions: 0, parked: 0 });
    expect(test.state.nextToParkAtMs()).toBeUndefined();
  });

  it('an operator ends what belongs to any producer group', () => {
    const test = asked();
    const transaction = { by: 'id', id: { term: 1, index: 2 } } as const;
    const end = { type: 'end', producerGroup: '', transaction, decision: 'commit' } as const;
    expect(test.apply(end)).toMatchObject({ refusal: { reason: 'TRANSACTION_FOREIGN' } });
    expect(test.apply({ ...end, by: 'operator' })).toMatchObject({ state: 'committed' });
  });
});

interface Item extends Due {
  alive: boolean;
}

const step = fc.record({ kind: fc.nat(2), at: fc.nat(), timeMs: fc.nat(50), now: fc.nat(60) });

/** The same as `DueHeap.due`, the slow way. */
function dueSlowly(items: readonly Item[], now: number, limit: number): Item[] {
  return items
    .filter(({ alive, dueAtMs }) => alive && dueAtMs <= now)
    .sort((a, b) => a.dueAtMs - b.dueAtMs || a.id.index - b.id.index)
    .slice(0, limit);
}

describe('check heap', () => {
  it('finds what a sorted list would', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.nat(20), (steps, limit) => {
        const heap = new DueHeap<Item>();
        const items: Item[] = [];
        for (const { kind, at, timeMs, now } of steps) {
          const living = items.filter(({ alive }) => alive);
          const item = living[at % Math.max(1, living.length)];
          if (kind === 0 || item === undefined) {
            const id = { index: items.length };
            const added = { id, dueAtMs: timeMs, heapPosition: -1, alive: true };
            items.push(added);
            heap.add(added);
          } else if (kind === 1) {
            heap.reschedule(item, timeMs);
          } else {
            item.alive = false;
            heap.remove(item);
          }
          expect(heap.due(now, limit)).toEqual(dueSlowly(items, now, limit));
          expect(heap.first()).toBe(dueSlowly(items, Number.MAX_SAFE_INTEGER, 1)[0]);
        }
      }),
      { numRuns: 100 },
    );
  });
});

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
  return test.apply({ type: 'leaseChecks', producerGroup: group, transactions, leaseMs });
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

  it('are counted when leased, and rest for the longer of lease and interval', () => {
    const test = opened();
    test.prepare('a', 3);
    test.timeMs = 8000;
    expect(lease(test, [2], 40_000)).toEqual({
      type: 'leased',
      checks: [
        {
          id: { term: 1, index: 2 },
          callerId: 'a',
          topic: 'orders',
          queueId: 1,
          queue: 1,
          count: 3,
          checkCount: 1,
          preparedAtMs: 1000,
        },
      ],
    });
    expect(test.state.nextCheckAtMs('g')).toBe(48_000);
    expect(lease(test, [2])).toEqual({ type: 'leased', checks: [] });
    test.timeMs = 48_000;
    expect(lease(test, [2], 5)).toMatchObject({ checks: [{ checkCount: 2 }] });
    expect(test.reloaded().state.nextCheckAtMs('g')).toBe(78_000);
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

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_BYTES, EntryType } from '../../../raft/types.ts';
import { entryOf, ShardFixture } from '../../harness/data-shard.ts';
import { anySteps, GROUPS, History, liveRows, SMALL_LIMITS } from '../../harness/shard-history.ts';

/** Everything that the views say, for comparison. */
function view(shard: ShardFixture): unknown {
  const { state } = shard;
  const byId = (a: { queueId: number }, b: { queueId: number }): number => a.queueId - b.queueId;
  return {
    queues: [...state.queues()].map((queue) => ({ ...queue })).sort(byId),
    waiting: [...state.queues()].sort(byId).map(({ queueId }) => state.waitingIn(queueId)),
    counts: state.counts(),
    parts: [...state.heldSince(Number.MAX_SAFE_INTEGER)],
    unresolved: [...state.unresolved()].map((seen) => ({ ...seen, heapPosition: 0 })),
    toAbort: [state.nextToAbortAtMs(), state.dueToAbort(Number.MAX_SAFE_INTEGER)],
    held: state.heldBodies(Number.MAX_SAFE_INTEGER, 99),
    open: [...state.openTransactions(0)].map((seen) => ({ ...seen, heapPosition: 0 })),
    toPark: [state.nextToParkAtMs(), state.dueToPark(Number.MAX_SAFE_INTEGER, 99)],
    delayed: [state.nextDelayedAtMs(), state.dueDelayed(Number.MAX_SAFE_INTEGER, 99)],
    deliveries: deliveriesOf(shard),
    lowest: [state.lowestLateIndex(), state.lowestNeededIndex()],
    groups: GROUPS.map((group) => ({
      epoch: state.groupEpoch(group),
      offsets: ['t0', 't1'].map((topicId) => state.groupOffsets(group, topicId)),
      next: state.nextCheckAtMs(group),
      due: state.dueChecks(group, Number.MAX_SAFE_INTEGER, 99),
    })),
  };
}

function deliveriesOf({ state: { deliveries } }: ShardFixture): unknown {
  const all = [...deliveries.subscriptions()].sort(
    (a, b) => a.queueId - b.queueId || (a.group < b.group ? -1 : 1),
  );
  return all.map((subscription) => {
    const { group, queueId } = subscription;
    const pending = [...deliveries.pending(group, queueId)]
      .map((one) => ({ ...one, heapPosition: 0 }))
      .sort((a, b) => a.offset - b.offset);
    const due = deliveries.due(group, queueId, Number.MAX_SAFE_INTEGER, 99);
    return {
      ...{ subscription, pending, due: due.map(({ offset }) => offset) },
      dead: deliveries.deadLetters(group, queueId, 0, 99),
      over: [deliveries.nextOverAtMs(), deliveries.over(Number.MAX_SAFE_INTEGER, 99).length],
    };
  });
}

function expectInvariants(shard: ShardFixture): void {
  const { state } = shard;
  const needed = state.lowestNeededIndex() ?? Number.MAX_SAFE_INTEGER;
  const held = state.heldBodies(Number.MAX_SAFE_INTEGER, 99);
  const halves = held.filter(({ owner }) => owner === 'half').map(({ id }) => id.index);
  const undecided = [...state.openTransactions(0)].flatMap((one) =>
    'half' in one && one.half !== undefined ? [one.id] : [],
  );
  const broken = [
    ...held.filter(({ at }) => at.index < needed),
    ...[...state.queues()].filter(({ startOffset, endOffset }) => startOffset > endOffset),
    ...liveRows(shard).filter(({ index }) => index < needed),
    ...undecided.filter(({ index }) => !halves.includes(index)),
  ];
  expect(broken).toEqual([]);
  expect(state.counts().producers).toBeLessThanOrEqual(SMALL_LIMITS.maxProducers!);
}

/** Offsets dense, times and byte counts never falling, per queue. */
function expectDenseIndex(shard: ShardFixture): void {
  const ends = new Map<number, { offset: number; storedAtMs: number; bytes: number }>();
  for (const row of shard.rows.index) {
    const before = ends.get(row.queueId) ?? { offset: 0, storedAtMs: 0, bytes: 0 };
    expect(row.baseOffset).toBe(before.offset);
    expect(row.cumulativeBytes).toBeGreaterThanOrEqual(before.bytes);
    expect(row.storedAtMs).toBeGreaterThanOrEqual(before.storedAtMs);
    ends.set(row.queueId, {
      offset: row.baseOffset + row.count,
      storedAtMs: row.storedAtMs,
      bytes: row.cumulativeBytes,
    });
  }
}

const ROUNDS_MAX = 5;
const EXPECTED_OUTCOMES = [
  'closeQueue',
  'lease some',
  'lease none',
  'settle ok',
  'settle stale',
  'copy late',
  'copy moved',
  'deliver none',
  'deliver some',
  'recall NOT_DELAYED',
  'recall',
  'commitOffsets OFFSET_FALLS',
  'commitOffsets',
  'end TRANSACTION_ENDED',
  'end TRANSACTION_FOREIGN',
  'end TRANSACTION_NOT_FOUND',
  'end committed',
  'end rolledBack',
  'end undecided',
  'forgetTopic',
  'checksDelivered none',
  'checksDelivered some',
  'leaseChecks some',
  'begin new',
  'park some',
  'preparePart',
  'prepareOffsets',
  'prepareOffsets OFFSET_MOVED',
  'resolve none',
  'resolved',
  'resume',
  'openQueue QUEUE_NOT_OPEN',
  'prepare TRANSACTION_ID_REUSED',
  'prepare new',
  'prepare repeat',
  'produce PRODUCER_FENCED',
  'fenceQueue',
  'prepare QUEUE_FENCED',
  'preparePart QUEUE_FENCED',
  'produce QUEUE_FENCED',
  'produce QUEUE_NOT_OPEN',
  'produce SEQUENCE_GAP',
  'produce SEQUENCE_MISMATCH',
  'produce new',
  'produce new delayed',
  'produce repeat',
  'produce repeat delayed',
  'resetOffsets',
  'trim',
];

describe('data shard', () => {
  it('is the same after replay and after loading its rows, at any point', () => {
    const tally = new Map<string, number>();
    const property = fc.property(anySteps, fc.nat(), (steps, cut) => {
      const history = new History(tally);
      const { shard } = history;
      const cutAt = cut % steps.length;
      let twin: ShardFixture | undefined;
      steps.forEach((step, at) => {
        if (at === cutAt) {
          twin = shard.reloaded();
          expect(view(twin)).toEqual(view(shard));
        }
        const { command, payloadBytes } = history.next(step);
        const result = shard.apply(command, payloadBytes);
        history.note(command, result);
        expectInvariants(shard);
        if (twin === undefined) return;
        twin.timeMs = shard.timeMs;
        twin.term = shard.term;
        expect(twin.apply(command, payloadBytes)).toEqual(result);
      });
      expect(view(twin!)).toEqual(view(shard));
      expect(twin!.rows.dump()).toEqual(shard.rows.dump());
      expectDenseIndex(shard);
    });
    // Chance may leave out a rare outcome: then there are more histories, up to a bound.
    const isMissing = (outcome: string): boolean => !tally.has(outcome);
    for (let round = 0; round < ROUNDS_MAX; round++) {
      fc.assert(property, { numRuns: 80 });
      if (!EXPECTED_OUTCOMES.some(isMissing)) break;
    }
    expect(EXPECTED_OUTCOMES.filter(isMissing)).toEqual([]);
  });

  it('writes the same rows on every replica', () => {
    fc.assert(
      fc.property(anySteps, (steps) => {
        const history = new History();
        const { shard } = history;
        const replica = new ShardFixture(SMALL_LIMITS);
        for (const step of steps) {
          const { command, payloadBytes } = history.next(step);
          replica.timeMs = shard.timeMs;
          replica.term = shard.term;
          const result = shard.apply(command, payloadBytes);
          history.note(command, result);
          expect(replica.apply(command, payloadBytes)).toEqual(result);
        }
        expect(replica.rows.puts).toEqual(shard.rows.puts);
        expect(replica.rows.index).toEqual(shard.rows.index);
        expect(replica.rows.drops).toEqual(shard.rows.drops);
      }),
      { numRuns: 30 },
    );
  });

  it('does nothing for entries that are no commands', () => {
    const test = new ShardFixture();
    const entry = entryOf({ type: 'closeQueue', queueId: 1 }, 1, 1, 1, 0);
    const noop = { ...entry, type: EntryType.noop, head: EMPTY_BYTES };
    expect(test.state.apply(noop, test.rows)).toEqual({ type: 'done' });
    expect(test.rows.puts).toEqual([]);
  });

  it('refuses to go back in the log or in time', () => {
    const test = new ShardFixture();
    const entry = entryOf({ type: 'closeQueue', queueId: 1 }, 5, 1, 100, 0);
    test.state.apply(entry, test.rows);
    expect(() => test.state.apply(entry, test.rows)).toThrow('applied twice');
    const earlier = { ...entry, index: 6, timeMs: 99 };
    expect(() => test.state.apply(earlier, test.rows)).toThrow('time fell');
    expect(() => test.state.load([])).toThrow('loaded after use');
  });

  it('stops at a command that it cannot read', () => {
    const test = new ShardFixture();
    const entry = entryOf({ type: 'closeQueue', queueId: 1 }, 5, 1, 100, 0);
    const unknown = { ...entry, head: Uint8Array.of(99, 1) };
    expect(() => test.state.apply(unknown, test.rows)).toThrow('kind 99');
  });
});

/** Transactions over shards, checks and parking: good histories pass, bad ones do not. */
import { describe, expect, it } from 'vitest';
import { type Entry, EntryType } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../../src/broker/commands.ts';
import type { TransactionCommand } from '../../../src/broker/transaction-commands.ts';
import { ChecksCounted } from '../../../src/sim/invariants/checks-counted.ts';
import { CopiedBodies } from '../../../src/sim/invariants/copied-bodies.ts';
import { SpanningWhole } from '../../../src/sim/invariants/spanning-whole.ts';

type Resolve = Extract<TransactionCommand, { type: 'resolve' }>;

const ID = { term: 1, index: 1 };
const GLOBAL = { shard: 1, ...ID };
const PREPARED = { id: ID, parts: [], firstCheckAtMs: 0, duplicate: false } as const;
const CHECKED = { firstCheckAfterMs: 100, checkIntervalMs: 100, maxChecks: 1 };
const PART = { topic: 't', queue: 0, count: 1 };
const MOVE = { topicId: '7', offsets: [{ queue: 0, offset: 5, from: 2 }] };

function entry(index: number, timeMs = 0): Entry {
  const rest = { head: new Uint8Array(0), payload: new Uint8Array(0), bodyCrc: 0 };
  return { index, term: 1, type: EntryType.command, timeMs, ...rest };
}

const row = (index: number) => ({
  ...{ queueId: 1, baseOffset: 0, count: 1, index, term: 1, storedAtMs: 0, cumulativeBytes: 0 },
});

/** Shard 1 coordinates; parts lie in 1/2 and 2/1, offsets of a group in 2/2. */
class Story {
  readonly whole = new SpanningWhole(new CopiedBodies());

  applied(shard: number, index: number, command: Command, result: ApplyResult, timeMs = 0): this {
    this.whole.applied(shard, entry(index, timeMs), command, result, () => 2);
    return this;
  }

  begun(): this {
    const parts = [
      { ...PART, shard: 1, queueId: 1 },
      { ...PART, shard: 2, queueId: 2 },
    ];
    const offsets = { shard: 2, group: 'g' };
    const who = { producerGroup: 'p', callerId: 'c' };
    return this.applied(
      1,
      1,
      { type: 'begin', ...who, ...CHECKED, parts, offsets },
      { type: 'prepared', state: 'preparing', ...PREPARED },
    );
  }

  stored(shard: number, index: number, part: number): this {
    const what = { transaction: GLOBAL, part, queueId: shard, count: 1 };
    const at = { term: 1, index };
    return this.applied(
      shard,
      index,
      { type: 'preparePart', ...what },
      { type: 'partPrepared', at },
    );
  }

  held(index = 2): this {
    const what = { transaction: GLOBAL, group: 'g', generation: 0, memberId: '', topics: [MOVE] };
    const at = { term: 1, index };
    return this.applied(
      2,
      index,
      { type: 'prepareOffsets', ...what },
      { type: 'partPrepared', at },
    );
  }

  prepared(places = [2, 1, 2]): this {
    const parts = places.map((index) => ({ term: 1, index }));
    const command = { type: 'prepared', transaction: ID, parts } as const;
    return this.applied(1, 3, command, { type: 'prepared', state: 'undecided', ...PREPARED });
  }

  ready(): this {
    return this.begun().stored(1, 2, 0).stored(2, 1, 1).held().prepared();
  }

  ended(state: 'committed' | 'rolledBack', by?: 'timeout', timeMs = 0, index = 4): this {
    const transaction = { by: 'id', id: ID } as const;
    const decision = state === 'committed' ? 'commit' : 'rollback';
    const command = { type: 'end', producerGroup: 'p', transaction, decision } as const;
    const result = { type: 'ended', id: ID, state, parts: [], unresolved: [1, 2] } as const;
    return this.applied(1, index, by === undefined ? command : { ...command, by }, result, timeMs);
  }

  resolve(shard: number, commits: boolean, shown: number[], hasMoved = false) {
    const command: Resolve = { type: 'resolve', transaction: GLOBAL, commits, parts: [] };
    for (const index of shown) this.whole.shows(shard, entry(9), command, row(index));
    return this.whole.resolved(shard, entry(9), command, hasMoved);
  }
}

describe('transactions over shards', () => {
  it('all of one is seen after its commit, and its offsets move', () => {
    const story = new Story().ready().ended('committed');
    expect(story.resolve(1, true, [2])).toBeUndefined();
    expect(story.resolve(2, true, [1], true)).toMatchObject({ group: 'g', topics: [MOVE] });
    // Told again.
    expect(story.resolve(2, true, [])).toBeUndefined();
    expect(() => story.whole.expectEnd()).not.toThrow();
  });

  it('nothing of one is seen after its rollback', () => {
    const story = new Story().ready().ended('rolledBack');
    story.resolve(1, false, []);
    story.resolve(2, false, []);
    expect(() => story.whole.expectEnd()).not.toThrow();
  });

  it.each<[string, string, (story: Story) => unknown]>([
    ['a part before the commit', 'part-before-commit', (s) => s.resolve(1, true, [2])],
    ['an outcome that nobody decided', 'resolved-undecided', (s) => s.resolve(1, false, [])],
    ['another outcome', 'one-outcome', (s) => s.ended('committed').resolve(1, false, [])],
    ['a second decision', 'one-outcome', (s) => s.ended('committed').ended('rolledBack')],
    ['a part left out', 'all-or-none', (s) => s.ended('committed').resolve(1, true, [])],
    ['a foreign part', 'part-of-another', (s) => s.ended('committed').resolve(1, true, [7])],
    ['offsets left', 'offsets-once', (s) => s.ended('committed').resolve(2, true, [1])],
    ['an abort of what is prepared', 'prepared-stays', (s) => s.ended('rolledBack', 'timeout')],
    ['offsets held twice', 'hold-exclusive', (s) => s.held(7)],
    [
      'an end that a participant missed',
      'all-or-none',
      (s) => {
        s.ended('committed').resolve(1, true, [2]);
        s.whole.expectEnd();
      },
    ],
  ])('%s', (_, name, act) => {
    expect(() => act(new Story().ready())).toThrow(name);
  });

  it('offsets move twice', () => {
    const story = new Story().ready().ended('committed');
    story.resolve(2, true, [1], true);
    expect(() => story.resolve(2, true, [], true)).toThrow('offsets-once');
  });

  it('a commit or a Prepared of what is not stored, an abort before its time', () => {
    expect(() => new Story().begun().ended('committed')).toThrow('commit-unprepared');
    expect(() => new Story().begun().stored(1, 2, 0).prepared()).toThrow('prepared-whole');
    expect(() => new Story().begun().ended('rolledBack', 'timeout')).toThrow('aborted-early');
    expect(() => new Story().begun().ended('rolledBack', 'timeout', 9000)).not.toThrow();
  });

  it('held offsets stay where they are, and no longer than to the outcome', () => {
    const move = (story: Story, result: ApplyResult) => {
      const where = { group: 'g', topicId: '7', offsets: [{ queue: 0, offset: 9 }] };
      story.applied(2, 5, { type: 'commitOffsets', ...where }, result);
    };
    const moved = { type: 'offsets', epoch: 1 } as const;
    const refusal = { reason: 'OFFSETS_PENDING', queue: 0, transaction: GLOBAL } as const;
    const pending = { type: 'refused', refusal } as const;
    const story = new Story().ready();
    expect(() => move(story, moved)).toThrow('hold-kept');
    move(story, pending);
    story.ended('rolledBack').resolve(2, false, []);
    move(story, moved);
    expect(() => move(story, pending)).toThrow('hold-over');
  });
});

describe('checks', () => {
  const half: Command = {
    ...{ type: 'prepare', producerGroup: 'p', callerId: 'c', topic: 't', queueId: 1, count: 1 },
    ...CHECKED,
  };
  const lease: Command = {
    ...{ type: 'leaseChecks', producerGroup: 'p', transactions: [ID], leaseMs: 50 },
    countsLater: true,
  };
  const leased = (checkCount: number): ApplyResult => {
    const one = { id: ID, callerId: 'c', parts: [], preparedAtMs: 0, lease: 2, checkCount };
    return { type: 'leased', checks: [one] };
  };
  const delivered: Command = { type: 'checksDelivered', checks: [{ id: ID, lease: 2 }] };
  const park: Command = { type: 'park', transactions: [ID] };
  const counted = (count: number): ApplyResult => ({ type: 'counted', count });
  const parked = (count: number): ApplyResult => ({ type: 'parked', count });

  function prepared(): ChecksCounted {
    const checks = new ChecksCounted();
    checks.applied(1, entry(1), half, { type: 'prepared', state: 'undecided', ...PREPARED });
    return checks;
  }

  it('count once each, and then it is parked', () => {
    const checks = prepared();
    checks.applied(1, entry(2, 100), lease, leased(1));
    checks.applied(1, entry(3, 100), park, parked(0));
    checks.applied(1, entry(4, 101), delivered, counted(1));
    checks.applied(1, entry(5, 102), delivered, counted(0));
    checks.applied(1, entry(6, 200), park, parked(1));
    checks.applied(1, entry(7, 300), lease, { type: 'leased', checks: [] });
  });

  it.each<[string, string, (checks: ChecksCounted) => void]>([
    ['one before its time', 'checks-leased', (c) => c.applied(1, entry(2, 99), lease, leased(1))],
    [
      'one that counts at once',
      'checks-leased',
      (c) => c.applied(1, entry(2, 100), lease, leased(2)),
    ],
    [
      'a delivery that nobody leased',
      'checks-counted',
      (c) => {
        c.applied(1, entry(2, 100), delivered, counted(1));
      },
    ],
    [
      'parked without a check',
      'parked-when-full',
      (c) => {
        c.applied(1, entry(2, 200), park, parked(1));
      },
    ],
  ])('%s', (_, name, act) => {
    expect(() => act(prepared())).toThrow(name);
  });
});

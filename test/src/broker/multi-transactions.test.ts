import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../../src/broker/commands.ts';
import { outcomeFor } from '../../../src/broker/outcomes.ts';
import type { MovedOffset } from '../../../src/broker/transaction-commands.ts';
import { lowestOf } from '../../../src/shards/queue-front.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

/** One shard that coordinates and takes part: begun at index 3 over its queues 1 and 2. */
class Multi extends ShardFixture {
  override reloaded(): Multi {
    return this.loadInto(new Multi());
  }

  begin(callerId = 'c', count = 1, group?: string): ApplyResult {
    const part = (queueId: number) => ({
      ...{ shard: 1, topic: 't', queueId, queue: queueId, count },
    });
    return this.apply({
      ...{ type: 'begin', producerGroup: 'g', callerId, parts: [part(1), part(2)] },
      ...{ firstCheckAfterMs: 6000, checkIntervalMs: 30_000, maxChecks: 15 },
      offsets: group === undefined ? undefined : { shard: 1, group },
    });
  }

  part(part: number, index = 3, queueId = part + 1): ApplyResult {
    const transaction = { shard: 1, term: 1, index };
    return this.apply({ type: 'preparePart', transaction, part, queueId, count: 1 }, 10);
  }

  hold(offsets: MovedOffset[], index = 3): ApplyResult {
    return this.apply({
      ...{ type: 'prepareOffsets', transaction: { shard: 1, term: 1, index }, group: 'readers' },
      ...{ generation: 0, memberId: '', topics: [{ topicId: '7', offsets }] },
    });
  }

  prepared(indexes: number[], index = 3): ApplyResult {
    const parts = indexes.map((at) => ({ term: 1, index: at }));
    return this.apply({ type: 'prepared', transaction: { term: 1, index }, parts });
  }

  resolve(index = 3): ApplyResult {
    const found = this.state.coordinated({ term: 1, index })!;
    return this.apply(outcomeFor(1, found, 1));
  }

  resolved(shown: { part: number; baseOffset: number }[], index = 3): ApplyResult {
    const transaction = { term: 1, index };
    return this.apply({ type: 'resolved', transaction, shards: [1], shown });
  }

  /** Begun, both parts stored at 4 and 5, prepared at 6. */
  ready(): this {
    this.begin();
    this.part(0);
    this.part(1);
    this.prepared([4, 5]);
    return this;
  }

  commitOffsets(offset: number, type: 'commitOffsets' | 'resetOffsets' = 'commitOffsets') {
    return this.apply({
      ...{ type, group: 'readers', topicId: '7', offsets: [{ queue: 0, offset }] },
    });
  }
}

function multi(): Multi {
  const test = new Multi();
  test.open(1);
  test.open(2);
  return test;
}

const refusedAs = (reason: string) => ({ type: 'refused', refusal: { reason } });

describe('a transaction over two queues', () => {
  it('is invisible until each part is resolved, then stands at the ends', () => {
    const test = multi();
    expect(test.begin()).toMatchObject({ type: 'prepared', state: 'preparing', duplicate: false });
    expect(test.part(0)).toEqual({ type: 'partPrepared', at: { term: 1, index: 4 } });
    expect(test.part(1)).toMatchObject({ at: { index: 5 } });
    expect(test.state.nextCheckAtMs('g')).toBeUndefined();
    expect(test.prepared([4, 5])).toMatchObject({ state: 'undecided', firstCheckAtMs: 7000 });
    expect(test.state.nextCheckAtMs('g')).toBe(7000);
    expect(test.state.lowestLateIndex()).toBe(4);
    expect(test.end('c', 'commit')).toMatchObject({ state: 'committed', unresolved: [1] });
    expect(test.rows.index).toEqual([]);
    const shown = [
      { part: 0, baseOffset: 0 },
      { part: 1, baseOffset: 0 },
    ];
    expect(test.resolve()).toEqual({ type: 'resolved', shown });
    expect(test.rows.index).toMatchObject([
      { queueId: 1, index: 4 },
      { queueId: 2, index: 5 },
    ]);
    expect(test.resolve()).toEqual({ type: 'resolved', shown });
    expect(test.state.counts()).toMatchObject({ transactions: 1, parts: 0 });
    test.resolved(shown);
    expect(test.state.counts()).toMatchObject({ transactions: 0, parts: 0 });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.end('c', 'commit')).toMatchObject({
        ...{ state: 'committed', unresolved: [], parts: [{ baseOffset: 0 }, { baseOffset: 0 }] },
      });
    }
  });

  it('has parts that may be appended again, and are shown from there', () => {
    const test = multi().ready();
    const from = { term: 1, index: 4 };
    const copy = { type: 'copy', owner: 'part', id: from, from } as const;
    expect(test.apply(copy, 10)).toEqual({ type: 'copied', moved: true });
    expect(test.apply(copy, 10)).toEqual({ type: 'copied', moved: false });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.lowestLateIndex()).toBe(5);
      const held = twin.state.heldBodies(99, 9);
      expect(held.map(({ owner, id, at }) => [owner, id.index, at.index])).toEqual([
        ['part', 5, 5],
        ['part', 4, 7],
      ]);
      twin.end('c', 'commit');
      expect(twin.resolve()).toMatchObject({ shown: [{ part: 0 }, { part: 1 }] });
      expect(twin.rows.index.slice(-2)).toMatchObject([
        { queueId: 1, index: 7 },
        { queueId: 2, index: 5 },
      ]);
      expect(lowestOf(twin.state.lateBuckets())).toBe(5);
      expect(twin.state.heldBodies(99, 9)).toEqual([]);
    }
  });

  it('can be told again at any point: the same answers, nothing twice', () => {
    const test = multi();
    const first = test.begin();
    expect(test.begin()).toEqual({ ...first, duplicate: true });
    expect(test.part(0)).toEqual(test.part(0));
    test.part(1);
    test.prepared([5, 7]);
    expect(test.prepared([5, 7])).toMatchObject({ state: 'undecided', duplicate: true });
    expect(test.begin()).toMatchObject({ state: 'undecided', duplicate: true });
    expect(test.begin('c', 2)).toMatchObject(refusedAs('TRANSACTION_ID_REUSED'));
    expect(test.prepare('c')).toMatchObject(refusedAs('TRANSACTION_ID_REUSED'));
  });

  it('takes only the parts that were there when it was prepared', () => {
    for (const decision of ['commit', 'rollback'] as const) {
      const test = multi().ready();
      test.end('c', decision);
      test.resolve();
      test.resolved([]);
      test.apply({ type: 'closeQueue', queueId: 2 });
      test.open(3);
      // Another leader's first try, late; what it doubles is forgotten or remembered.
      const late = test.part(7, 3, 1);
      expect(late).toMatchObject({ type: 'partPrepared' });
      for (const twin of [test, test.reloaded()]) {
        expect(twin.state.counts()).toMatchObject({ parts: 1 });
        expect(twin.resolve()).toMatchObject({ type: 'resolved' });
        expect(twin.state.counts()).toMatchObject({ parts: 0 });
        expect(twin.state.queue(1)?.endOffset).toBe(decision === 'commit' ? 1 : 0);
      }
    }
  });

  it('cannot be committed or put off before it is prepared, but rolled back', () => {
    const test = multi();
    test.begin();
    test.part(0);
    expect(test.end('c', 'commit')).toMatchObject(refusedAs('TRANSACTION_PREPARING'));
    expect(test.end('c', 'unknown')).toMatchObject(refusedAs('TRANSACTION_PREPARING'));
    const resume = { type: 'resume', transaction: { term: 1, index: 3 } } as const;
    expect(test.apply(resume)).toMatchObject(refusedAs('TRANSACTION_PREPARING'));
    expect(test.end('c', 'rollback')).toMatchObject({ state: 'rolledBack', unresolved: [1] });
    expect(test.prepared([4, 5])).toMatchObject(refusedAs('TRANSACTION_ENDED'));
    expect(test.begin()).toMatchObject(refusedAs('TRANSACTION_ENDED'));
    test.resolve();
    expect(test.state.lowestLateIndex()).toBeUndefined();
  });

  it('is given up after a minute, or when a part was refused, never once prepared', () => {
    const transaction = { by: 'id', id: { term: 1, index: 3 } } as const;
    const end = { type: 'end', producerGroup: '', transaction, decision: 'rollback' } as const;
    const late = multi();
    late.begin();
    expect(late.state.nextToAbortAtMs()).toBe(61_000);
    late.timeMs = 60_999;
    expect(late.state.dueToAbort(late.timeMs)).toBeUndefined();
    expect(late.apply({ ...end, by: 'timeout' })).toMatchObject({ state: 'preparing' });
    late.timeMs = 61_000;
    for (const twin of [late, late.reloaded()]) {
      expect(twin.state.dueToAbort(twin.timeMs)).toEqual({ term: 1, index: 3 });
      expect(twin.apply({ ...end, by: 'timeout' })).toMatchObject({ state: 'rolledBack' });
      expect(twin.state.nextToAbortAtMs()).toBeUndefined();
    }
    const refused = multi();
    refused.begin();
    expect(refused.apply({ ...end, by: 'refusal' })).toMatchObject({ state: 'rolledBack' });
    const prepared = multi().ready();
    prepared.timeMs = 1e6;
    for (const by of ['refusal', 'timeout'] as const) {
      expect(prepared.apply({ ...end, by })).toMatchObject({ state: 'undecided' });
    }
  });

  it.each(['preparing', 'undecided', 'parked', 'committed', 'rolledBack'])(
    'loses the part of a closed queue, whose shard coordinates, and goes on: %s',
    (state) => {
      const test = multi();
      if (state === 'preparing') {
        test.begin();
        test.part(0);
      } else test.ready();
      if (state === 'parked') {
        for (let count = 0; count < 15; count += 1) {
          test.timeMs += 40_000;
          const transactions = [{ term: 1, index: 3 }];
          test.apply({ type: 'leaseChecks', producerGroup: 'g', transactions, leaseMs: 0 });
        }
        test.timeMs += 40_000;
        test.apply({ type: 'park', transactions: [{ term: 1, index: 3 }] });
      }
      if (state === 'committed') test.end('c', 'commit');
      if (state === 'rolledBack') test.end('c', 'rollback');
      test.apply({ type: 'closeQueue', queueId: 1 });
      expect(test.state.coordinated({ term: 1, index: 3 })).toMatchObject({ state });
      const commits = state === 'undecided' || state === 'parked' || state === 'committed';
      if (commits) expect(test.end('c', 'commit')).toMatchObject({ state: 'committed' });
      else test.end('c', 'rollback');
      expect(test.resolve()).toEqual({
        type: 'resolved',
        shown: commits ? [{ part: 1, baseOffset: 0 }] : [],
      });
      expect(test.state.counts()).toMatchObject({ parts: 0 });
    },
  );

  it('is asked about by whoever holds a part for long', () => {
    const test = multi();
    test.begin();
    test.part(0);
    test.timeMs += 5000;
    test.part(1);
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.oldestHeldAtMs()).toBe(1000);
      expect([...twin.state.heldSince(999)]).toEqual([]);
      expect([...twin.state.heldSince(1000)]).toEqual([{ shard: 1, term: 1, index: 3 }]);
    }
    test.end('c', 'rollback');
    test.resolve();
    expect(test.state.oldestHeldAtMs()).toBeUndefined();
  });

  it('is remembered until every participant has applied its outcome, whatever the bounds', () => {
    const test = multi().ready();
    test.end('c', 'commit');
    test.timeMs += 1e9;
    test.prepare('other');
    test.end('other', 'rollback');
    test.prepare('another');
    test.end('another', 'rollback');
    for (const twin of [test, test.reloaded()]) {
      expect([...twin.state.unresolved()]).toMatchObject([{ state: 'committed' }]);
      expect(twin.end('c', 'commit')).toMatchObject({ unresolved: [1] });
    }
  });
});

describe('offsets in a transaction', () => {
  const at = (from: number | undefined, offset: number): MovedOffset[] => [
    { queue: 0, from, offset },
  ];

  it('hold their place until the outcome, and move with the commit alone', () => {
    for (const decision of ['commit', 'rollback'] as const) {
      const test = multi();
      test.commitOffsets(4);
      test.begin('c', 1, 'readers');
      test.part(0, 4);
      test.part(1, 4);
      expect(test.hold(at(4, 9), 4)).toMatchObject({ type: 'partPrepared', at: { index: 7 } });
      expect(test.hold(at(4, 9), 4)).toMatchObject({ type: 'partPrepared', at: { index: 7 } });
      test.prepared([5, 6, 7], 4);
      for (const twin of [test, test.reloaded()]) {
        expect(twin.commitOffsets(5)).toMatchObject(refusedAs('OFFSETS_PENDING'));
        expect(twin.commitOffsets(0, 'resetOffsets')).toMatchObject(refusedAs('OFFSETS_PENDING'));
        expect(twin.hold(at(4, 6), 99)).toMatchObject(refusedAs('OFFSETS_PENDING'));
        expect(twin.state.groupOffsets('readers', '7')).toEqual([{ queue: 0, offset: 4 }]);
        twin.end('c', decision);
        twin.resolve(4);
        const offset = decision === 'commit' ? 9 : 4;
        expect(twin.state.groupOffsets('readers', '7')).toEqual([{ queue: 0, offset }]);
        expect(twin.state.counts()).toMatchObject({ heldOffsets: 0 });
        expect(twin.commitOffsets(offset)).toMatchObject({ type: 'offsets' });
      }
    }
  });

  it.each([
    [undefined, 4],
    [3, 4],
    [5, 9],
  ])('must begin where the group stands: from %s', (from, offset) => {
    const test = multi();
    test.commitOffsets(4);
    expect(test.hold(at(from, offset))).toMatchObject({
      refusal: { reason: 'OFFSET_MOVED', current: 4 },
    });
    expect(multi().hold(at(undefined, 3))).toMatchObject({ type: 'partPrepared' });
  });

  it('that come late, after the outcome, move nothing', () => {
    const test = multi();
    test.begin('c', 1, 'readers');
    test.part(0);
    test.part(1);
    test.hold(at(undefined, 3));
    test.prepared([4, 5, 6]);
    test.end('c', 'commit');
    test.resolve();
    test.commitOffsets(1, 'resetOffsets');
    test.hold(at(1, 3));
    test.resolve();
    expect(test.state.groupOffsets('readers', '7')).toEqual([{ queue: 0, offset: 1 }]);
    expect(test.state.counts()).toMatchObject({ heldOffsets: 0 });
  });

  it('keep their group from being deleted, until the outcome', () => {
    for (const offset of [undefined, 4]) {
      const test = multi();
      if (offset !== undefined) test.commitOffsets(offset);
      test.begin('c', 1, 'readers');
      const { index } = test;
      test.part(0, index);
      test.part(1, index);
      test.hold(at(offset, 9), index);
      const remove = (twin: Multi, group: string) => twin.apply({ type: 'deleteGroup', group });
      for (const twin of [test, test.reloaded()]) {
        expect(remove(twin, 'readers')).toMatchObject({
          refusal: { reason: 'OFFSETS_PENDING', queue: 0, transaction: { shard: 1, index } },
        });
        expect(remove(twin, 'reader')).toMatchObject(refusedAs('GROUP_NOT_FOUND'));
        twin.end('c', 'rollback');
        twin.resolve(index);
        const after = remove(twin, 'readers');
        const gone = refusedAs('GROUP_NOT_FOUND');
        expect(after).toMatchObject(offset === undefined ? gone : { type: 'done' });
      }
    }
  });

  it('of a member alone keep a broadcast group, too', () => {
    const test = multi();
    const join = { type: 'joinGroup', group: 'readers', memberId: 'm', mode: 'broadcast' } as const;
    const topics = [{ topicId: '7', name: 't', queueCount: 1 }];
    const who = { instanceId: 'i', clientName: '', sessionMs: 1000, isNamedHere: false };
    test.apply({ ...join, ...who, topics });
    const joinedIn = test.index;
    test.apply({
      ...{ type: 'prepareOffsets', transaction: { shard: 1, term: 1, index: 9 }, group: 'readers' },
      ...{ generation: joinedIn, memberId: 'm' },
      topics: [{ topicId: '7', offsets: at(undefined, 3) }],
    });
    expect(test.state.counts()).toMatchObject({ heldOffsets: 1 });
    const members = [{ memberId: 'm', joinedIn }];
    test.apply({ type: 'leaveGroup', group: 'readers', members, reason: 'left' });
    expect(test.apply({ type: 'deleteGroup', group: 'readers' })).toMatchObject(
      refusedAs('OFFSETS_PENDING'),
    );
    test.apply({ type: 'forgetTopic', topicId: '7' });
    expect(test.apply({ type: 'deleteGroup', group: 'readers' })).toMatchObject({ type: 'done' });
  });

  it('go with their topic', () => {
    const test = multi();
    test.begin('c', 1, 'readers');
    test.hold(at(undefined, 3));
    test.apply({ type: 'forgetTopic', topicId: '7' });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.commitOffsets(1)).toMatchObject({ type: 'offsets' });
      expect(twin.state.counts()).toMatchObject({ heldOffsets: 0 });
    }
  });
});

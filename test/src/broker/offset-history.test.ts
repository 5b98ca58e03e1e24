import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../src/broker/commands.ts';
import { createDataShard } from '../../../src/broker/data-shard.ts';
import { OFFSET_HISTORY_LEVEL } from '../../../src/broker/feature-level.ts';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import {
  decodeRecords,
  encodeRecords,
  type OffsetRecord,
  recordsWith,
  stoodAt,
} from '../../../src/broker/offset-history.ts';
import { entryOf, ShardFixture } from '../../harness/data-shard.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

const SPACING_MS = DATA_SHARD_LIMITS.offsetRecordSpacingMs;
const KEEP_MS = DATA_SHARD_LIMITS.offsetRecordKeepMs;
const PARTS = 32;

/** Everything that ever stood, beside what is kept of it. */
class Twin {
  readonly all: OffsetRecord[] = [];
  records: readonly OffsetRecord[] = [];

  move(atMs: number, offset: number): void {
    const present = this.all.at(-1);
    if (present !== undefined) {
      this.records = recordsWith(this.records, present, atMs, DATA_SHARD_LIMITS);
    }
    this.all.push({ atMs, offset });
  }

  get present(): OffsetRecord {
    return this.all.at(-1)!;
  }

  found(atMs: number): OffsetRecord | undefined {
    return stoodAt(this.records, this.present, atMs);
  }

  truth(atMs: number): OffsetRecord | undefined {
    return this.all.findLast((one) => one.atMs <= atMs);
  }
}

describe('what is kept of where a group stood', () => {
  /** How long after the move before, and how far: back now and then. */
  const movesWithin = (longestMs: number) =>
    fc.array(
      fc.tuple(
        fc.nat(longestMs),
        fc.oneof(
          { arbitrary: fc.nat(50), weight: 8 },
          { arbitrary: fc.integer({ min: -300, max: 0 }), weight: 1 },
        ),
      ),
      { minLength: 1, maxLength: 300 },
    );
  const moves = fc.constantFrom(2000, 30_000, 600_000, 36_000_000).chain(movesWithin);

  function moved(steps: readonly (readonly [number, number])[]): Twin {
    const twin = new Twin();
    let [atMs, offset] = [1_700_000_000_000, 1000];
    twin.move(atMs, offset);
    for (const [afterMs, by] of steps) {
      atMs += afterMs + 1;
      offset = Math.max(0, offset + by);
      if (offset !== twin.present.offset) twin.move(atMs, offset);
    }
    return twin;
  }

  it('is never ahead of it, and behind by no more than the spacing or a 32nd of its age', () => {
    fc.assert(
      fc.property(moves, (steps) => {
        const twin = moved(steps);
        const nowMs = twin.present.atMs;
        const oldestMs = Math.max(twin.all[0]!.atMs, nowMs - KEEP_MS);
        for (const { atMs } of twin.all) {
          // Just before it moved again: then what is kept is furthest behind.
          const askedMs = atMs - 1;
          if (askedMs < oldestMs) continue;
          const [truth, found] = [twin.truth(askedMs)!, twin.found(askedMs)!];
          expect(found.offset).toBeLessThanOrEqual(truth.offset);
          expect(twin.all).toContainEqual(found);
          const gapMs = Math.max(SPACING_MS, (nowMs - askedMs) / PARTS);
          expect(truth.atMs - found.atMs).toBeLessThanOrEqual(gapMs);
        }
        expect(twin.found(nowMs)).toEqual(twin.present);
        expect(twin.found(twin.all[0]!.atMs - 1)).toBeUndefined();
        expect(decodeRecords(encodeRecords(twin.records))).toEqual(twin.records);
      }),
    );
  });

  it('is little, however much is committed: a commit a second for a week', () => {
    const twin = new Twin();
    let most = 0;
    for (let second = 0; second < 7 * 86_400; second += 20) {
      twin.move(1_700_000_000_000 + 1000 * second, second);
      most = Math.max(most, twin.records.length);
    }
    expect(most).toBeGreaterThan(100);
    expect(most).toBeLessThan(500);
  });

  it('goes after seven days, but for the newest of what is older', () => {
    const twin = new Twin();
    const day = (at: number) => 1_700_000_000_000 + at * 86_400_000;
    for (let at = 0; at < 20; at += 1) twin.move(day(at), at);
    expect(twin.found(day(8))).toBeUndefined();
    expect(twin.found(day(12))).toMatchObject({ offset: 12 });
    expect(twin.records[0]).toMatchObject({ offset: 12 });
  });

  it('is bounded where each reset goes back further and leaves a record', () => {
    const twin = new Twin();
    for (let at = 0; at < 2500; at += 1) twin.move(1_700_000_000_000 + at, 5000 - at);
    expect(twin.records).toHaveLength(1024);
  });
});

describe('the history of a group', () => {
  const commit = (test: ShardFixture, offset: number, queue = 0, group = 'g') =>
    test.apply({ type: 'commitOffsets', group, topicId: '7', offsets: [{ queue, offset }] });
  const at = (test: ShardFixture, atMs: number, group = 'g') =>
    test.state.groupOffsetsAt(group, '7', atMs).map(({ queue, stood }) => [queue, stood?.offset]);

  function filled(limits = {}): ShardFixture {
    const test = new ShardFixture(limits);
    for (const [timeMs, offset] of [
      [100_000, 5],
      [101_000, 6],
      [120_000, 9],
      [200_000, 12],
    ] as const) {
      test.timeMs = timeMs;
      commit(test, offset);
    }
    return test;
  }

  it('is part of the state: the same after a restart, and goes on the same', () => {
    const test = filled();
    const twin = test.reloaded();
    for (const one of [test, twin]) {
      expect(at(one, 99_999)).toEqual([[0, undefined]]);
      expect(at(one, 100_000)).toEqual([[0, 5]]);
      // Not ten seconds after the one before: the record of that stands for it.
      expect(at(one, 119_999)).toEqual([[0, 5]]);
      expect(at(one, 120_000)).toEqual([[0, 9]]);
      expect(at(one, 200_000)).toEqual([[0, 12]]);
      expect(one.state.counts()).toMatchObject({ groupOffsets: 1, offsetRecords: 2 });
      one.timeMs = 300_000;
      commit(one, 20);
    }
    expect(twin.rows.dump()).toEqual(test.rows.dump());
  });

  it('holds what a reset went back to, from its time on', () => {
    const test = filled();
    test.timeMs = 201_000;
    const offsets = [{ queue: 0, offset: 2 }];
    test.apply({ type: 'resetOffsets', group: 'g', topicId: '7', offsets });
    test.timeMs = 202_000;
    commit(test, 3);
    expect([at(test, 200_500), at(test, 201_500), at(test, 202_000)]).toEqual([
      [[0, 12]],
      [[0, 2]],
      [[0, 3]],
    ]);
  });

  it('goes with its group and its topic, rows and all', () => {
    for (const command of [
      { type: 'deleteGroup', group: 'g' } as const,
      { type: 'forgetTopic', topicId: '7' } as const,
    ]) {
      const test = filled();
      test.apply(command);
      expect(test.state.groupOffsetsAt('g', '7', 200_000)).toEqual([]);
      expect(test.state.counts()).toMatchObject({ groupOffsets: 0, offsetRecords: 0 });
      expect(test.rows.rows().filter(({ table }) => table === 'offset-history')).toEqual([]);
      expect(test.rows.dump()).toEqual(test.reloaded().rows.dump());
    }
  });

  it('has a bound over all groups: a new record takes the place of the oldest of its queue', () => {
    const test = filled({ maxOffsetRecords: 2 });
    test.timeMs = 300_000;
    commit(test, 20);
    commit(test, 1, 1);
    test.timeMs = 400_000;
    commit(test, 2, 1);
    expect(test.state.counts().offsetRecords).toBe(2);
    expect(at(test, 110_000)).toEqual([
      [0, undefined],
      [1, undefined],
    ]);
    expect(at(test, 250_000)).toEqual([
      [0, 12],
      [1, undefined],
    ]);
  });

  it('begins with its feature level: below it rows are those that earlier builds read', () => {
    const rows = new MemoryRows();
    const shard = createDataShard(1, DATA_SHARD_LIMITS, OFFSET_HISTORY_LEVEL - 1);
    const apply = (command: Command, index: number) =>
      shard.apply(entryOf(command, index, 1, index * 20_000, 0), rows);
    const committed = (offset: number, index: number) =>
      apply(
        { type: 'commitOffsets', group: 'g', topicId: '7', offsets: [{ queue: 0, offset }] },
        index,
      );
    const rowOf = (table: string) => rows.rows().find((row) => row.table === table)?.value;
    committed(5, 1);
    committed(6, 2);
    expect(rowOf('group-offset')).toEqual(new Uint8Array([1, 6]));
    expect(rowOf('offset-history')).toBeUndefined();
    apply({ type: 'raiseLevel', level: OFFSET_HISTORY_LEVEL }, 3);
    committed(7, 4);
    committed(8, 5);
    expect(rowOf('group-offset')?.[0]).toBe(2);
    expect(decodeRecords(rowOf('offset-history')!)).toEqual([{ atMs: 80_000, offset: 7 }]);
  });

  it('is not known of offsets that an earlier version wrote, until they are committed anew', () => {
    const test = filled();
    const key = test.rows.rows().find(({ table }) => table === 'group-offset')!.key;
    test.rows.put('group-offset', key, Buffer.from([1, 12]));
    test.rows.put('offset-history', key, undefined);
    const twin = test.reloaded();
    expect(twin.state.groupOffsets('g', '7')).toEqual([{ queue: 0, offset: 12 }]);
    const unknown = [{ queue: 0, knownSinceMs: 0, stood: undefined }];
    expect(twin.state.groupOffsetsAt('g', '7', 300_000)).toEqual(unknown);
    twin.timeMs = 400_000;
    commit(twin, 30);
    expect([at(twin, 399_999), at(twin, 400_000)]).toEqual([[[0, undefined]], [[0, 30]]]);
  });
});

describe('a fork', () => {
  const fork = (test: ShardFixture, group: string) =>
    test.apply({
      type: 'forkGroup',
      group,
      topics: [
        { topicId: '7', offsets: [{ queue: 0, offset: 9 }] },
        { topicId: '8', offsets: [{ queue: 2, offset: 4 }] },
      ],
    });

  it('is a group of its own, with the offsets given', () => {
    const test = new ShardFixture();
    expect(fork(test, 'new')).toEqual({ type: 'done' });
    for (const { state } of [test, test.reloaded()]) {
      expect(state.groupEpoch('new')).toBe(1);
      expect(state.groupOffsets('new', '7')).toEqual([{ queue: 0, offset: 9 }]);
      expect(state.groupOffsets('new', '8')).toEqual([{ queue: 2, offset: 4 }]);
      expect(state.groupNames('', 9)).toEqual(['new']);
    }
  });

  it('takes no name that is in use, be it by a member', () => {
    const test = new ShardFixture();
    const refused = (group: string) => ({
      type: 'refused',
      refusal: { reason: 'GROUP_EXISTS', group },
    });
    fork(test, 'new');
    expect(fork(test, 'new')).toEqual(refused('new'));
    const member = { memberId: 'm', instanceId: 'i', clientName: '', isNamedHere: false };
    const join = { ...member, sessionMs: 10_000, mode: 'cluster', topics: [] } as const;
    test.apply({ type: 'joinGroup', group: 'joined', ...join });
    expect(fork(test, 'joined')).toEqual(refused('joined'));
    test.apply({ type: 'deleteGroup', group: 'new' });
    expect(fork(test, 'new')).toEqual({ type: 'done' });
    expect(test.state.groupEpoch('new')).toBe(2);
  });
});

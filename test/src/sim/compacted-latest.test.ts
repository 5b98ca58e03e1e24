/** Compacted queues, in histories written by hand. */
import { describe, expect, it } from 'vitest';
import { type Entry, EntryType } from '../../../raft/types.ts';
import type { DataShard, LatestOfKey } from '../../../src/broker/api.ts';
import type { ApplyResult, Command, KeptRun } from '../../../src/broker/commands.ts';
import { LATE_REFERENCE_OFFSETS } from '../../../src/broker/limits.ts';
import { CompactedLatest, type ReadMessage } from '../../../src/sim/invariants/compacted-latest.ts';
import { bodyOf, messageBytes } from '../../../src/sim/workload/values.ts';

const QUEUE = 8;
const MIN_LAG_MS = 10;
const TOMBSTONE_MS = 100;

/** Of entries 2, 3 and 4; '' deletes. Entry n is applied at n ms. */
const STORED = [
  [['a', 'old']],
  [
    ['b', 'kept'],
    ['a', 'new'],
  ],
  [['c', '']],
] as const;

function entry(index: number, command: Command, messages: readonly Buffer[], timeMs = index) {
  const body = bodyOf(command, { tag: `a${index}`, batch: '' }, Buffer.concat(messages));
  return { index, term: 1, timeMs, type: EntryType.command, ...body } as Entry;
}

function stored(startOffset = 0): CompactedLatest {
  const latest = new CompactedLatest(() => startOffset);
  const compaction = { minLagMs: MIN_LAG_MS, tombstoneMs: TOMBSTONE_MS };
  const opening = { type: 'openQueue', queueId: QUEUE, topicId: '8', queue: 0 } as const;
  latest.applied(1, entry(1, opening, []), { ...opening, compaction }, { type: 'done' });
  let baseOffset = 0;
  for (const [at, batch] of STORED.entries()) {
    const keys = batch.map(([key, body]) => ({ key, isTombstone: body === '' }));
    const count = keys.length;
    const what = { queueId: QUEUE, count, durability: 1, producer: undefined, keys } as const;
    const command = { type: 'produce', ...what } as const;
    const result = { type: 'produced', baseOffset, count, duplicate: false } as ApplyResult;
    const messages = batch.map(([key, body]) => messageBytes(key, body));
    latest.applied(1, entry(at + 2, command, messages), command, result);
    baseOffset += count;
  }
  return latest;
}

const run = (offset: number, index: number, count = 1, firstPosition = 0): KeptRun => ({
  ...{ offset, count, storedAtMs: index, firstIndex: index, firstPosition },
});
const B_AND_A = run(1, 3, 2);
const C = run(3, 4);
/** Into its bucket. */
const TO_COME = LATE_REFERENCE_OFFSETS - 4;
const BYTES = STORED.flat().map(([key, body]) => messageBytes(key, body));

interface Compacted {
  readonly runs: readonly KeptRun[];
  /** Offsets of the messages that it brings; default: those of its runs. */
  readonly brings?: readonly number[];
  readonly atMs?: number;
  readonly left?: number;
}

/** The whole queue, by an entry at that time: everything is old enough by default. */
function compact(
  latest: CompactedLatest,
  { runs, brings, atMs = 50, left }: Compacted,
  moved = true,
): void {
  const kept = runs.flatMap(({ count, offset }) =>
    Array.from({ length: count }, (_, i) => offset + i),
  );
  const row = { queueId: QUEUE, baseOffset: 0, count: 4, storedAtMs: 4, cumulativeBytes: 40 };
  const command = {
    ...{
      type: 'compactRows' as const,
      row,
      replaced: [0, 2],
      runs,
      before: 0,
      lowest: 9,
      until: 4,
    },
    left: left ?? kept.length + TO_COME,
  };
  const messages = (brings ?? kept).map((offset) => BYTES[offset]!);
  latest.applied(1, entry(9, command, messages, atMs), command, { type: 'copied', moved });
}

describe('compaction', () => {
  it('leaves out what is old and not the newest of its key', () => {
    compact(stored(), { runs: [B_AND_A, C] });
    compact(stored(), { runs: [B_AND_A], atMs: 4 + TOMBSTONE_MS });
    compact(stored(), { runs: [run(0, 2), B_AND_A, C], atMs: 11 });
    compact(stored(), { runs: [] }, false);
    // Some of it was deleted, before it was counted or since.
    for (const left of [2, 3]) {
      compact(stored(2), { runs: [B_AND_A, C], left: left + TO_COME });
    }
  });

  it.each<[string, string, Compacted]>([
    ['the newest of a key left out', 'compacted-latest', { runs: [run(1, 3), C] }],
    ['one that everybody may read', 'compacted-latest', { runs: [B_AND_A, C], atMs: 11 }],
    ['a deletion before its time', 'compacted-latest', { runs: [B_AND_A] }],
    ['another message', 'compacted-true', { runs: [B_AND_A, C], brings: [1, 0, 3] }],
    ['another time', 'compacted-true', { runs: [{ ...B_AND_A, storedAtMs: 2 }, C] }],
    ['another entry', 'compacted-true', { runs: [B_AND_A, run(3, 3)] }],
    ['another position', 'compacted-true', { runs: [run(1, 3), run(2, 3), C] }],
    ['fewer than it says', 'compacted-whole', { runs: [B_AND_A, C], brings: [1, 2] }],
    ['too few counted', 'compacted-left', { runs: [B_AND_A, C], left: 2 + TO_COME }],
  ])('%s', (_, name, compacted) => {
    expect(() => compact(stored(), compacted)).toThrow(name);
  });

  it('what is gone does not come back', () => {
    const latest = stored();
    compact(latest, { runs: [B_AND_A, C] });
    expect(() => compact(latest, { runs: [run(0, 2), B_AND_A, C] })).toThrow('compacted-whole');
  });
});

it.each([
  ['what is hidden', 1, 50, false],
  ['what may still be read', 1, 11, true],
  ['the newest of a key', 2, 50, true],
  ['a deletion before its time', 4, 50, true],
  ['what had gone before', 0, 11, false],
])('a trim deletes %s', (_, startOffset, nowMs, isWrong) => {
  const latest = stored();
  const queues = [{ queueId: QUEUE, startOffset, startIndex: 0 }];
  const command = { type: 'trim', queues, logTrim: 0 } as const;
  const result = { type: 'trimmed', logTrim: 0 } as const;
  const trim = () => latest.applied(1, entry(9, command, [], nowMs), command, result);
  if (isWrong) expect(trim).toThrow('compacted-deleted');
  else trim();
});

it.each([
  ['without keys', undefined, 4],
  ['elsewhere than at the end', [{ key: 'a', isTombstone: false }], 5],
])('a batch is taken %s', (_, keys, baseOffset) => {
  const what = { queueId: QUEUE, count: 1, durability: 1, producer: undefined } as const;
  const command = { type: 'produce', ...what, ...(keys && { keys }) } as const;
  const result = { type: 'produced', baseOffset, count: 1, duplicate: false } as ApplyResult;
  const messages = [messageBytes('a', 'x')];
  const applied = () => stored().applied(1, entry(9, command, messages), command, result);
  expect(applied).toThrow('compacted-keys');
});

describe('a reader', () => {
  const all: readonly ReadMessage[] = [run(0, 2), run(1, 3), run(2, 3, 1, 1), C].map(
    ({ count, ...name }, offset) => ({ ...name, bytes: BYTES[offset]!.toString('latin1') }),
  );
  const at = (...offsets: number[]) => offsets.map((offset) => all[offset]!);
  /** Who began when entry `index` was the last one at `nowMs`, and ends at `endMs`. */
  const read = (messages: readonly ReadMessage[], nowMs: number, endMs = nowMs, endOffset = 4) => {
    const latest = stored();
    latest.applied(1, { timeMs: endMs } as Entry, undefined, { type: 'done' });
    latest.expectRead(QUEUE, 0, { endOffset, nowMs }, messages);
  };

  it('gets the newest of each key, and what is young', () => {
    read(at(1, 2, 3), 50);
    read(at(0, 1, 2, 3), 11);
    read(at(1, 2), 4 + TOMBSTONE_MS);
    // It became old, or was deleted, while it was read.
    read(at(1, 2, 3), 11, 50);
    read(at(0, 1, 2), 11, 4 + TOMBSTONE_MS);
    // Where nobody knew of a newer one.
    read(at(0), 50, 50, 1);
  });

  it.each([
    ['misses the newest of a key', 'compacted-read', at(1, 3), 50],
    ['misses what is young', 'compacted-read', at(1, 2, 3), 11],
    ['misses a deletion', 'compacted-read', at(1, 2), 50],
    ['sees what is old', 'compacted-hidden', at(0, 1, 2, 3), 50],
    ['sees a deletion that is over', 'compacted-hidden', at(1, 2, 3), 4 + TOMBSTONE_MS],
    ['reads another message', 'compacted-true', [{ ...all[1]!, bytes: '?' }], 50],
    ['reads another name', 'compacted-true', [{ ...all[1]!, firstPosition: 1 }], 50],
  ])('%s', (_, name, messages, nowMs) => {
    expect(() => read(messages, nowMs)).toThrow(name);
  });
});

describe('the state', () => {
  const goneAtMs = 4 + TOMBSTONE_MS;
  const known = { a: { offset: 2 }, b: { offset: 1 }, c: { offset: 3, goneAtMs } };
  const expectState = (
    latest: Partial<Record<string, { offset: number; goneAtMs?: number }>>,
    { live = 3, nowMs = 50, startOffset = 0 } = {},
  ) => {
    const checker = stored();
    checker.applied(1, { timeMs: nowMs } as Entry, undefined, { type: 'done' });
    const compactedKeys = {
      latest: (_: number, key: string) => latest[key] as LatestOfKey | undefined,
      liveIn: (_: number, bucket: number) => (bucket === 0 ? live : 0),
    };
    const queue = () => ({ startOffset });
    checker.expectState(1, { compactedKeys, queue } as unknown as DataShard);
  };

  it('knows the newest of each key, but for what nobody is shown any more', () => {
    expectState(known);
    expectState(known, { nowMs: goneAtMs });
    expectState({ ...known, c: undefined }, { live: 2, nowMs: goneAtMs });
    expectState({ a: known.a, c: known.c }, { live: 2, startOffset: 2 });
  });

  it.each([
    ['has forgotten one', { ...known, b: undefined }, { live: 2 }],
    ['has forgotten a deletion too early', { ...known, c: undefined }, { live: 2 }],
    ['knows an older one', { ...known, a: { offset: 0 } }, {}],
    ['takes a message for a deletion', { ...known, a: { offset: 2, goneAtMs } }, {}],
    ['counts another number', known, { live: 2 }],
  ])('%s', (_, latest, options) => {
    expect(() => expectState(latest, options)).toThrow('compacted-state');
  });
});

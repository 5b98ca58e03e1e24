import { describe, expect, test } from 'vitest';
import type { CompactedKeysView, LatestOfKey } from '../../../src/broker/api.ts';
import type { QueueIndexRow } from '../../../src/broker/state-port.ts';
import { VisibleMessages } from '../../../src/shards/visible-messages.ts';

const QUEUE = 7;
const MIN_LAG_MS = 100;
const SHOWN_AT = 5000;
const OFFSET = 1030;

const at = (offset: number, goneAtMs?: number): LatestOfKey => ({ offset, goneAtMs });

/** A queue that knows of one key, `k`, and of one live message in the bucket of `OFFSET`. */
function knowing(latest: LatestOfKey | undefined): CompactedKeysView {
  return {
    latest: (queueId, key) => (queueId === QUEUE && key === 'k' ? latest : undefined),
    liveIn: (queueId, bucket) => (queueId === QUEUE && bucket === 1 ? 1 : 0),
    mayForget: () => false,
    mayForgetOf: () => false,
    firstLive: () => undefined,
  };
}

function visibleAt(nowMs: number, latest?: LatestOfKey): VisibleMessages {
  const compaction = { minLagMs: MIN_LAG_MS, tombstoneMs: 1000 };
  return new VisibleMessages(compaction, knowing(latest), nowMs);
}

function rowTo(end: number, count: number): QueueIndexRow {
  const place = { index: 9, term: 1, storedAtMs: SHOWN_AT, cumulativeBytes: 10 };
  return { queueId: QUEUE, baseOffset: end - count, count, ...place };
}

const OLD = SHOWN_AT + MIN_LAG_MS;

describe('a message with key k', () => {
  test.each([
    ['the newest one', OLD, at(OFFSET), true],
    ['one with a newer one', OLD, at(OFFSET + 1), false],
    ['one with a newer one, too young to be hidden', OLD - 1, at(OFFSET + 1), true],
    ['a deletion whose time is not over', OLD, at(OFFSET, OLD + 1), true],
    ['a deletion whose time is over', OLD, at(OFFSET, OLD), false],
    ['a deletion whose time is over, too young to be hidden', OLD - 1, at(OFFSET, 1), true],
    ['one whose key was forgotten', OLD, undefined, false],
    ['one whose key was forgotten, too young to be hidden', OLD - 1, undefined, true],
  ])('%s', (_, nowMs, latest, isShown) => {
    // Of a batch that begins two before it; the field before is not looked at.
    const field = Buffer.from([0xc2, 0x3e, 6, 0x0a, 1, 'k'.charCodeAt(0), 0x22, 1, 0]);
    const other = Buffer.from([0xc2, 0x3e, 3, 0x0a, 1, 'x'.charCodeAt(0)]);
    const messages = Buffer.concat([other, other, field]);
    const batch = { baseOffset: OFFSET - 2, count: 3, row: rowTo(OFFSET + 1, 3), messages };
    const read = { ...batch, firstIndex: 9, firstPosition: 0 };
    const [start, end] = [2 * other.length, messages.length];
    expect(visibleAt(nowMs, latest).isShown(read, 2, start, end)).toBe(isShown);
    if (latest === undefined || nowMs < OLD) return;
    expect(visibleAt(nowMs, at(OFFSET - 2)).isShown(read, 0, 0, other.length)).toBe(false);
  });
});

describe('a row of which nothing is shown any more', () => {
  test.each([
    ['ends in a bucket where no message is the newest of its key', OLD, 1024, true],
    ['is too young', OLD - 1, 1024, false],
    ['ends where one is the newest of its key', OLD, 1025, false],
    ['ends in the last offset of that bucket', OLD, 2048, false],
    ['ends behind that bucket', OLD, 2049, true],
  ])('%s', (_, nowMs, end, isGone) => {
    expect(visibleAt(nowMs).isGone(rowTo(end, 5))).toBe(isGone);
  });
});

/** Dedup by business keys, in histories written by hand. */
import { expect, it } from 'vitest';
import type { Entry } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../../src/broker/commands.ts';
import { DedupOnce } from '../../../src/sim/invariants/dedup-once.ts';

const WINDOW_MS = 100;

function entry(index: number, timeMs = index): Entry {
  return { index, term: 1, timeMs } as Entry;
}

/** A request with key k to queue 8, and what it was told: where the key was stored first. */
function produced(index: number, first = index, baseOffset = first): [Entry, Command, ApplyResult] {
  const dedup = { windowMs: WINDOW_MS, keys: ['k'] };
  const at = { term: 1, index: first };
  return [
    entry(index),
    { type: 'produce', queueId: 8, count: 1, durability: 1, producer: undefined, dedup },
    { type: 'produced', at, baseOffset, count: 1, duplicate: first !== index },
  ];
}

function recalled(index: number, what: number): [Entry, Command, ApplyResult] {
  const id = { term: 1, index: what };
  return [entry(index), { type: 'recall', ...id }, { type: 'recalled' } as ApplyResult];
}

/** Stored in shard 1 at index 11. */
function stored(): DedupOnce {
  const once = new DedupOnce();
  once.applied(1, ...produced(11));
  return once;
}

it('a key within its window is answered as the first time, and stored anew after it', () => {
  stored().applied(1, ...produced(20, 11));
  stored().applied(1, ...produced(11 + WINDOW_MS));
});

it('a recall frees the keys of its own entry, not those of other shards at that index', () => {
  const once = stored();
  once.applied(2, ...recalled(30, 11));
  once.applied(1, ...produced(40, 11));
  once.applied(1, ...recalled(41, 11));
  once.applied(1, ...produced(42));
});

it.each([
  ['stored twice', 'dedup-once', produced(20)],
  ['answered with another offset', 'dedup-first-answer', produced(20, 11, 5)],
  ['answered after its window', 'dedup-once', produced(11 + WINDOW_MS, 11)],
])('%s', (_, name, [at, command, result]) => {
  expect(() => stored().applied(1, at, command, result)).toThrow(name);
});

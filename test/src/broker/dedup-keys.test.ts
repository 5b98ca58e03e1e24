import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../../src/broker/commands.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

const WINDOW_MS = 1000;

interface SendOptions {
  readonly count?: number;
  readonly queueId?: number;
  readonly sequence?: number;
  readonly deliverAtMs?: number;
  readonly windowMs?: number;
}

function send(test: ShardFixture, keys: readonly string[], options: SendOptions = {}): ApplyResult {
  const { count = keys.length, queueId = 1, sequence, deliverAtMs, windowMs = WINDOW_MS } = options;
  const producer =
    sequence === undefined ? undefined : { producerId: 'p', producerEpoch: 0, sequence };
  const command = { type: 'produce', queueId, count, durability: 1, producer } as const;
  const delay = deliverAtMs === undefined ? {} : { deliverAtMs };
  return test.apply({ ...command, ...delay, dedup: { windowMs, keys } }, 10);
}

function opened(): ShardFixture {
  const test = new ShardFixture();
  test.open(1);
  test.open(2);
  return test;
}

const end = (test: ShardFixture, queueId = 1) => test.state.queue(queueId)!.endOffset;

describe('dedup keys', () => {
  it('give the first answer, also after the rows were loaded', () => {
    const test = opened();
    test.produce(1);
    expect(send(test, ['a'], { count: 3 })).toMatchObject({ baseOffset: 1, duplicate: false });
    const at = { term: 1, index: test.index };
    for (const twin of [test, test.reloaded()]) {
      const again = send(twin, ['a'], { count: 3 });
      expect(again).toEqual({ type: 'produced', at, baseOffset: 1, count: 3, duplicate: true });
      expect(end(twin)).toBe(4);
      expect(twin.state.counts().dedupKeys).toBe(1);
    }
  });

  it('are kept per queue, and within their window alone', () => {
    const test = opened();
    send(test, ['a']);
    expect(send(test, ['a'], { queueId: 2 })).toMatchObject({ duplicate: false });
    test.timeMs += WINDOW_MS - 1;
    for (const twin of [test, test.reloaded()]) {
      expect(send(twin, ['a'])).toMatchObject({ duplicate: true });
      twin.timeMs += 1;
      const later = send(twin, ['a']);
      expect(later).toMatchObject({ duplicate: false, baseOffset: 1 });
      // The one that came later counts, whatever is loaded first.
      expect(send(twin.reloaded(), ['a'])).toMatchObject({ duplicate: true, baseOffset: 1 });
    }
  });

  it('one per message: a part of what came together is found where it stands', () => {
    const test = opened();
    send(test, ['a', 'b', 'c', 'd']);
    expect(send(test, ['b', 'c'])).toMatchObject({ baseOffset: 1, position: 1, duplicate: true });
    expect(send(test, ['d'])).toMatchObject({ baseOffset: 3, position: 3, duplicate: true });
  });

  it.each([
    ['new before known', ['x', 'a'], 'a', 0],
    ['known before new', ['b', 'x'], 'b', 1],
    ['in another order', ['b', 'a'], 'b', 1],
    ['with one left out', ['a', 'c'], 'a', 0],
    ['of two requests', ['c', 'e'], 'c', 2],
  ])('%s are a mixture: nothing is stored', (_, keys, key, offset) => {
    const test = opened();
    send(test, ['a', 'b', 'c']);
    send(test, ['e']);
    expect(send(test, keys)).toMatchObject({
      type: 'refused',
      refusal: { reason: 'DEDUP_KEYS_MIXED', key, known: { baseOffset: offset } },
    });
    expect(end(test)).toBe(4);
    expect(test.state.counts().dedupKeys).toBe(4);
  });

  it('with sequences: the sequence comes first, and an answer uses it up', () => {
    const test = opened();
    test.produce(1);
    expect(send(test, ['a'], { sequence: 0 })).toMatchObject({ baseOffset: 1, duplicate: false });
    const first = send(test, ['a'], { sequence: 0 });
    expect(first).toMatchObject({ baseOffset: 1, duplicate: true });
    // Another sequence, the same key: known by the key, and its repetition by the sequence.
    expect(send(test, ['a'], { sequence: 1 })).toEqual(first);
    for (const twin of [test, test.reloaded()]) {
      expect(send(twin, ['other'], { sequence: 1 })).toEqual(first);
      expect(send(twin, ['b'], { sequence: 2 })).toMatchObject({ baseOffset: 2 });
      expect(send(twin, ['b', 'new'], { sequence: 3 }).type).toBe('refused');
      expect(send(twin, ['c'], { sequence: 3 })).toMatchObject({ baseOffset: 3 });
      expect(send(twin, ['a'], { sequence: 1 })).toEqual(first);
    }
  });

  it('of a delayed message are known before and after it is shown; a recall frees them', () => {
    const test = opened();
    send(test, ['a'], { deliverAtMs: test.timeMs + 500 });
    const { index } = test;
    const again = { at: { term: 1, index }, baseOffset: undefined, duplicate: true };
    expect(send(test, ['a'])).toMatchObject(again);
    test.timeMs += 500;
    test.deliver(index);
    expect(send(test, ['a'])).toMatchObject(again);
    send(test, ['b'], { deliverAtMs: test.timeMs + 500 });
    test.apply({ type: 'recall', index: test.index });
    expect(send(test, ['b'])).toMatchObject({ duplicate: false });
  });

  it('go with their queue', () => {
    const test = opened();
    send(test, ['a', 'b']);
    test.apply({ type: 'closeQueue', queueId: 1 });
    expect(test.state.counts().dedupKeys).toBe(0);
    expect([...test.rows.rows()].filter(({ table }) => table === 'dedup-key')).toEqual([]);
  });

  it('whose window has ended make room for as many as are added, and some more', () => {
    const test = opened();
    for (let i = 0; i < 60; i += 1) send(test, [`old-${i}`]);
    test.timeMs += WINDOW_MS;
    expect(test.state.dedupKeysEndMs()).toBe(test.timeMs);
    const before = test.state.counts().dedupKeys;
    send(test, ['x', 'y', 'z']);
    expect(test.state.counts().dedupKeys).toBe(before - 16);
  });

  it('that came again are not forgotten with their former life', () => {
    const test = opened();
    for (let i = 0; i < 60; i += 1) send(test, [`old-${i}`]);
    test.timeMs += WINDOW_MS;
    expect(send(test, ['old-59'])).toMatchObject({ duplicate: false });
    for (let i = 0; i < 5; i += 1) send(test, [`new-${i}`]);
    expect(test.state.counts().dedupKeys).toBe(6);
    expect(send(test, ['old-59'])).toMatchObject({ duplicate: true });
  });

  it('any history is the same after loading the rows in between', () => {
    const step = fc.record({
      keys: fc.uniqueArray(
        fc.nat(6).map((n) => `k${n}`),
        { minLength: 1, maxLength: 3 },
      ),
      passMs: fc.nat(400),
      windowMs: fc.nat(900),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(40), (steps, at) => {
        const test = opened();
        let twin = test.reloaded();
        for (const [i, { keys, passMs, windowMs }] of steps.entries()) {
          if (i === at) twin = test.reloaded();
          for (const one of [test, twin]) one.timeMs += passMs;
          const result = send(test, keys, { windowMs });
          expect(send(twin, keys, { windowMs })).toEqual(result);
        }
        expect([...twin.rows.rows()]).toEqual([...test.rows.rows()]);
      }),
    );
  });
});

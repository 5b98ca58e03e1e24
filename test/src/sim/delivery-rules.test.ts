/** Messages one by one: good histories pass, bad ones do not. */
import { describe, expect, it } from 'vitest';
import { type Entry, EntryType } from '../../../raft/types.ts';
import type { LeasedMessage, Settled, Verdict } from '../../../src/broker/delivery-commands.ts';
import { DeliveryRules } from '../../../src/sim/invariants/delivery-rules.ts';

const NAME = { group: 'g', queueId: 1 };
const OK: Settled = { status: 'ok' };
const STALE: Settled = { status: 'stale' };
const MINUTE_MS = 60_000;

function entry(index: number, timeMs: number): Entry {
  const rest = { head: new Uint8Array(0), payload: new Uint8Array(0), bodyCrc: 0 };
  return { index, term: 1, type: EntryType.command, timeMs, ...rest };
}

/** A queue of four messages, of keys 1, 1, 2 and none; leases last 100 ms. */
class Story {
  readonly rules = new DeliveryRules({ startOf: () => 0, endOf: () => 4 });
  readonly #fifo: boolean;

  constructor(fifo = false) {
    this.#fifo = fifo;
  }

  fresh(index: number, timeMs: number, offsets: number[], given = offsets): this {
    const fresh = offsets.map((offset) => ({
      ...{ at: { term: 1, index: 1 }, position: offset, firstIndex: 1, storedAtMs: 0 },
      keyHash: [1, 1, 2, 0][offset]!,
    }));
    const messages = given.map((offset) => ({ offset, attempt: 1 }));
    return this.#lease(index, timeMs, { again: [], freshOffset: offsets[0] ?? 0, fresh }, messages);
  }

  /** Looks at offsets 0 to 3, and is told that it got `given`. */
  selected(index: number, passed: number[], given: number[], expression = 'f'): this {
    const count = passed.length - 1;
    const place = { at: { term: 1, index: 1 }, position: 0, firstIndex: 1, storedAtMs: 0 };
    const fresh = Array.from({ length: count }, () => ({ ...place, keyHash: 0 }));
    const selection = { filter: { type: 1, expression }, passed };
    const messages = given.map((offset) => ({ offset, attempt: 1 }));
    return this.#lease(index, 0, { again: [], freshOffset: 0, fresh, selection }, messages);
  }

  again(index: number, timeMs: number, offset: number, attempt: number | undefined): this {
    const messages = attempt === undefined ? [] : [{ offset, attempt }];
    return this.#lease(index, timeMs, { again: [offset], freshOffset: 4, fresh: [] }, messages);
  }

  #lease(
    index: number,
    timeMs: number,
    picks: Pick<
      Extract<Parameters<DeliveryRules['applied']>[2], { type: 'lease' }>,
      'again' | 'freshOffset' | 'fresh' | 'selection'
    >,
    messages: readonly LeasedMessage[],
  ): this {
    const what = { fifo: this.#fifo, fromOffset: 0, consumer: 'c', leaseMs: 100, ...picks };
    const result = { type: 'given', token: index, leaseUntilMs: timeMs + 100, messages } as const;
    this.rules.applied(1, entry(index, timeMs), { type: 'lease', ...NAME, ...what }, result);
    return this;
  }

  settle(
    index: number,
    timeMs: number,
    [offset, token, verdict]: [number, number, Verdict],
    told: Settled,
  ): this {
    const items = [{ offset, token, verdict }];
    const result = { type: 'settled', items: [told] } as const;
    this.rules.applied(1, entry(index, timeMs), { type: 'settle', ...NAME, items }, result);
    return this;
  }

  expire(index: number, timeMs: number, offset: number, count: number): this {
    const deliveries = [{ ...NAME, offset }];
    const result = { type: 'buried', count } as const;
    this.rules.applied(1, entry(index, timeMs), { type: 'expire', deliveries }, result);
    return this;
  }
}

const ACK: Verdict = { type: 'ack' };
const NACK: Verdict = { type: 'nack', delayMs: 50 };

describe('deliveries', () => {
  it('leased, run out, leased again, acknowledged by the last holder alone', () => {
    new Story()
      .fresh(5, 0, [0, 1])
      .again(6, 50, 0, undefined)
      .again(7, 100, 0, 2)
      .settle(8, 110, [0, 5, ACK], STALE)
      .settle(9, 110, [0, 7, ACK], OK)
      .settle(10, 110, [0, 7, ACK], { status: 'decided' });
  });

  it('given back it waits, and after its last attempt it is dead', () => {
    new Story()
      .fresh(5, 0, [0])
      .settle(6, 10, [0, 5, NACK], { status: 'ok', dueAtMs: 60 })
      .again(7, 59, 0, undefined)
      .again(8, 60, 0, 2)
      .again(9, 200, 0, 3)
      .again(10, 400, 0, undefined)
      .expire(11, 250, 0, 0)
      .expire(12, 300, 0, 1)
      .settle(13, 310, [0, 9, ACK], { status: 'dead' });
  });

  it('in line: the next of a key comes when the first is decided', () => {
    new Story(true)
      .fresh(5, 0, [0, 1, 2, 3], [0, 2, 3])
      .again(6, 10, 1, undefined)
      .settle(7, 20, [0, 5, ACK], OK)
      .again(8, 30, 1, 1);
  });

  it.each<[string, string, (story: Story) => unknown]>([
    ['two holders', 'delivery-one-holder', (s) => s.again(6, 50, 0, 2)],
    ['an attempt that does not count', 'delivery-attempt', (s) => s.again(6, 100, 0, 1)],
    ['never again', 'delivery-withheld', (s) => s.again(6, 100, 0, undefined)],
    [
      'an ack of a former holder',
      'delivery-stale-token',
      (s) => s.again(6, 100, 0, 2).settle(7, 110, [0, 5, ACK], OK),
    ],
    [
      'what was acknowledged, again',
      'delivery-decided',
      (s) => s.settle(6, 10, [0, 5, ACK], OK).again(7, 100, 0, 2),
    ],
    [
      'before its wait is over',
      'delivery-early',
      (s) => s.settle(6, 10, [0, 5, NACK], { status: 'ok', dueAtMs: 60 }).again(7, 59, 0, 2),
    ],
    [
      'a wait that is another',
      'delivery-settled',
      (s) =>
        s.settle(6, 10, [0, 5, { type: 'nack', delayMs: undefined }], {
          ...{ status: 'ok', dueAtMs: 10 + MINUTE_MS },
        }),
    ],
    ['dead too soon', 'delivery-buried', (s) => s.expire(6, 100, 0, 1)],
    [
      'a fourth attempt',
      'delivery-attempts',
      (s) => s.again(6, 100, 0, 2).again(7, 200, 0, 3).again(8, 300, 0, 4),
    ],
  ])('%s', (_, name, act) => {
    expect(() => act(new Story().fresh(5, 0, [0]))).toThrow(name);
  });

  it('a message of a key that is held up', () => {
    expect(() => new Story(true).fresh(5, 0, [0, 1])).toThrow('delivery-order');
  });

  it.each<[string, string | undefined, (story: Story) => unknown]>([
    ['what fits', undefined, (s) => s.selected(5, [1, 1, 0], [1, 3])],
    ['what was passed over', 'delivery-', (s) => s.selected(5, [1, 1, 0], [0, 2])],
    [
      'the one after what was passed over is withheld',
      'delivery-withheld',
      (s) => s.selected(5, [1, 1, 0], [1]),
    ],
    [
      'decided: an ack of what was passed over',
      undefined,
      (s) => s.selected(5, [3, 0], [3]).settle(6, 9, [1, 5, ACK], { status: 'decided' }),
    ],
    [
      'with another filter',
      'delivery-filter',
      (s) => s.selected(5, [4], []).selected(6, [0], [], 'g'),
    ],
    ['with none', 'delivery-filter', (s) => s.selected(5, [4], []).fresh(6, 0, [])],
  ])('of a group with a filter: %s', (_, name, act) => {
    if (name === undefined) expect(() => act(new Story())).not.toThrow();
    else expect(() => act(new Story())).toThrow(name);
  });
});

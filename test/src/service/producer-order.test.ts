/** Against the dedup of the state machine: what may be acknowledged early is never refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProducerOrder, TRACKED_PRODUCERS_MAX } from '../../../src/service/producer-order.ts';

const SHARD = 1;
const request = (sequence: number, more: object = {}) => {
  return { queueId: 1, producerId: 'p', producerEpoch: 1, sequence, count: 1, ...more };
};

describe('a weak ack leaves early', () => {
  test('once a request was applied as new, as long as they come in order', () => {
    const order = new ProducerOrder();
    const track = order.track(SHARD, request(0), true)!;
    expect([track.proposes(request(0)), track.proposes(request(1))]).toEqual([false, false]);
    track.applied();
    expect([track.proposes(request(2)), track.proposes(request(1))]).toEqual([true, false]);
    expect(track.proposes(request(7)), 'a gap is the own choice').toBe(true);
    expect(order.track(SHARD, request(8), true)).toBe(track);
  });

  test('not under another epoch, after another leader, or when it was forgotten', () => {
    const order = new ProducerOrder();
    const first = order.track(SHARD, request(0), true);
    expect(order.track(SHARD, request(0, { producerEpoch: 2 }), true)).not.toBe(first);
    const second = order.track(SHARD, request(0, { producerEpoch: 2 }), true);
    order.forget(SHARD);
    expect(order.track(SHARD, request(1, { producerEpoch: 2 }), false)).toBeUndefined();
    expect(order.track(SHARD, request(1, { producerEpoch: 2 }), true)).not.toBe(second);
    for (let at = 0; at < TRACKED_PRODUCERS_MAX; at++) {
      order.track(SHARD, request(0, { producerId: `p${at}` }), true);
    }
    expect(order.track(SHARD, request(2, { producerEpoch: 2 }), false)).toBeUndefined();
  });

  test('and strong requests of the producer count from its first weak one', () => {
    const order = new ProducerOrder();
    expect(order.track(SHARD, request(0), false)).toBeUndefined();
    const track = order.track(SHARD, request(1), true)!;
    track.proposes(request(1));
    track.applied();
    order.track(SHARD, request(5), false)!.proposes(request(5));
    expect(track.proposes(request(3))).toBe(false);
  });
});

/** The state machine at these levels: gaps are allowed, what is older is refused. */
function applies(next: number, { sequence }: { sequence: number }): boolean {
  return sequence >= next;
}

test('whatever the order of requests and of their application', () => {
  const step = fc.oneof(fc.nat(20), fc.constant('apply' as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(20), (steps, before) => {
      const order = new ProducerOrder();
      const log: { sequence: number; early: boolean; track: { applied(): void } }[] = [];
      let next = before;
      const applyOne = (): void => {
        const entry = log.shift();
        if (entry === undefined) return;
        const isNew = applies(next, entry);
        expect(isNew || !entry.early, 'acknowledged, then refused').toBe(true);
        if (!isNew) return;
        next = entry.sequence + 1;
        entry.track.applied();
      };
      for (const one of steps) {
        if (one === 'apply') applyOne();
        else {
          const track = order.track(SHARD, request(one), true)!;
          log.push({ sequence: one, early: track.proposes(request(one)), track });
        }
      }
      while (log.length > 0) applyOne();
    }),
  );
});

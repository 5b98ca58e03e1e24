import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { QueueWaiters, type WakeReason } from '../../../src/shards/waiters.ts';

describe('QueueWaiters', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('each waiter leaves once, for the first reason', () => {
    const waiters = new QueueWaiters(10);
    const reasons: WakeReason[] = [];
    const waiter = waiters.wait(1, 7, 100, (reason) => reasons.push(reason));
    waiters.wakeQueue(7, 'data');
    waiter.leave('cancelled');
    vi.advanceTimersByTime(200);
    expect(reasons).toEqual(['data']);
    expect(waiters.count).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('data wakes its own queue only, deposition the whole shard', () => {
    const waiters = new QueueWaiters(10);
    const woken: string[] = [];
    for (const [shard, queue] of [
      [1, 7],
      [1, 8],
      [2, 9],
    ] as const) {
      waiters.wait(shard, queue, 100, (reason) => woken.push(`${queue} ${reason}`));
    }
    waiters.wakeQueue(8, 'data');
    expect(woken).toEqual(['8 data']);
    waiters.wakeShard(1, 'deposed');
    expect(woken).toEqual(['8 data', '7 deposed']);
    vi.advanceTimersByTime(100);
    expect(woken).toEqual(['8 data', '7 deposed', '9 timeout']);
  });

  test('a waiter that waits again while it is woken waits for the next time', () => {
    const waiters = new QueueWaiters(10);
    let wakes = 0;
    const again = (): void => {
      wakes++;
      waiters.wait(1, 7, 100, again);
    };
    waiters.wait(1, 7, 100, again);
    waiters.wakeQueue(7, 'data');
    expect(wakes).toBe(1);
    expect(waiters.count).toBe(1);
  });

  test('10,000 cancelled waiters leave nothing behind', () => {
    const waiters = new QueueWaiters(10_000);
    const all = Array.from({ length: 10_000 }, (_, i) => waiters.wait(1, i % 50, 1000, () => 0));
    expect(waiters.full).toBe(true);
    for (const waiter of all) waiter.leave('cancelled');
    expect(waiters.count).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

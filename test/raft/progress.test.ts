import { describe, expect, test } from 'vitest';
import { Inflight, Progress } from '../../raft/progress.ts';

const LIMITS = { maxInflightAppends: 3, maxInflightBytes: 100 };

describe('Inflight', () => {
  test('is full by count or by bytes', () => {
    const byCount = new Inflight(2, 100);
    byCount.add(1, 1);
    expect(byCount.isFull).toBe(false);
    byCount.add(2, 1);
    expect(byCount.isFull).toBe(true);
    const byBytes = new Inflight(10, 100);
    byBytes.add(1, 500);
    expect(byBytes.isFull).toBe(true);
    expect(() => byBytes.add(2, 1)).toThrow(/full window/);
  });

  test('a cumulative ack frees everything at or below it', () => {
    const inflight = new Inflight(10, 100);
    for (const index of [2, 4, 6]) inflight.add(index, 10);
    inflight.freeTo(5);
    expect([inflight.count, inflight.bytes]).toEqual([1, 10]);
    inflight.freeTo(6);
    expect([inflight.count, inflight.bytes]).toEqual([0, 0]);
  });

  test('survives many more appends than its window', () => {
    const inflight = new Inflight(4, 1000);
    for (let index = 1; index <= 1000; index++) {
      inflight.add(index, 1);
      if (index >= 4) inflight.freeTo(index - 3);
    }
    expect([inflight.count, inflight.bytes]).toEqual([3, 3]);
  });
});

describe('Progress', () => {
  test('a probe waits for its answer, then replication is optimistic', () => {
    const progress = new Progress(2, 5, 0, LIMITS);
    progress.sent(7, 10, 0);
    expect([progress.canSend, progress.next]).toEqual([false, 5]);
    progress.accepted(7, 1);
    expect([progress.state, progress.canSend, progress.next]).toEqual(['replicate', true, 8]);
    progress.sent(9, 10, 1);
    expect([progress.canSend, progress.next]).toEqual([true, 10]);
  });

  test('stops at a full window and goes on after an ack', () => {
    const progress = new Progress(2, 1, 0, LIMITS);
    progress.accepted(0, 0);
    for (const index of [1, 2, 3]) progress.sent(index, 1, 0);
    expect(progress.canSend).toBe(false);
    progress.accepted(2, 1);
    expect([progress.canSend, progress.match, progress.next]).toEqual([true, 2, 4]);
  });

  test('an old ack moves nothing back', () => {
    const progress = new Progress(2, 1, 0, LIMITS);
    progress.accepted(5, 0);
    progress.accepted(3, 0);
    expect([progress.match, progress.next]).toEqual([5, 6]);
  });

  test('going back to probing never goes below what matched', () => {
    const progress = new Progress(2, 1, 0, LIMITS);
    progress.accepted(5, 0);
    progress.becomeProbe(2);
    expect([progress.state, progress.next, progress.inflight.count]).toEqual(['probe', 6, 0]);
  });
});

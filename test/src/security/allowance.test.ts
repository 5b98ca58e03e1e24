/** Buckets of a quota: what comes at once, what in the long run, and what is said of waits. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { QuotaLimits, QuotaRate, QuotaView } from '../../../src/cluster/quota-api.ts';
import { type Allowance, Allowances } from '../../../src/security/allowance.ts';

let limits: QuotaLimits | undefined;
let version: number;
let nowMs: number;
let exceeded: QuotaRate[];
let allowance: Allowance;
let allowances: Allowances;

const quotas: QuotaView = {
  get version() {
    return version;
  },
  of: () => limits,
  after: () => [],
};

beforeEach(() => {
  limits = undefined;
  version = 0;
  nowMs = 1_000;
  exceeded = [];
  allowances = new Allowances({
    quotas: () => quotas,
    nowMs: () => nowMs,
    exceeded: (rate) => void exceeded.push(rate),
  });
  allowance = allowances.of('app');
});

function change(to: QuotaLimits | undefined): void {
  limits = to;
  version += 1;
}

function taken(requests: number, bytes = 0): number {
  const outcomes = Array.from({ length: requests }, () =>
    allowance.request('producedBytesPerSecond', bytes),
  );
  return outcomes.filter((error) => error === undefined).length;
}

describe('requests per second', () => {
  it('come a second of them at once, then as time goes', () => {
    change({ requestsPerSecond: 10 });
    expect(taken(50)).toBe(10);
    nowMs += 99;
    expect(taken(1)).toBe(0);
    nowMs += 1;
    expect(taken(50)).toBe(1);
    nowMs += 60_000;
    expect(taken(50)).toBe(10);
    expect(exceeded.length).toBe(40 + 1 + 49 + 40);
  });

  it('are let through when the wait that was told is over, and not before', () => {
    change({ requestsPerSecond: 4 });
    expect(taken(4)).toBe(4);
    const { reason, retryable, retryAfterMs } = allowance.request(undefined, 0)!;
    expect([reason, retryable]).toEqual(['QUOTA_EXCEEDED', true]);
    expect(retryAfterMs).toBe(250);
    nowMs += retryAfterMs;
    expect(taken(1)).toBe(1);
    const owed = allowance.request(undefined, 0)!.retryAfterMs;
    nowMs += owed - 1;
    expect(taken(1)).toBe(0);
    nowMs += 1;
    expect(taken(1)).toBe(1);
  });
});

describe('produced bytes per second', () => {
  it('are what was asked for in the long run, whatever the size of a request', () => {
    change({ producedBytesPerSecond: 1_000 });
    for (const bytes of [10, 999, 5_000]) {
      let sum = 0;
      const beganMs = nowMs;
      while (nowMs < beganMs + 60_000) {
        sum += taken(1, bytes) * bytes;
        nowMs += 5;
      }
      expect(sum).toBeGreaterThanOrEqual(55_000);
      expect(sum).toBeLessThanOrEqual(61_000 + Math.max(0, bytes - 1_000));
      nowMs += 10_000;
    }
  });

  it('of a refused request are not taken, nor is the request', () => {
    change({ producedBytesPerSecond: 100, requestsPerSecond: 3 });
    expect(taken(1, 150)).toBe(1);
    expect(taken(5, 150)).toBe(0);
    nowMs += 600;
    expect(taken(1, 10)).toBe(1);
    expect(exceeded).toEqual(Array(5).fill('producedBytesPerSecond'));
  });

  it('are no bound of what only reads', () => {
    change({ producedBytesPerSecond: 1 });
    expect(taken(1, 1_000)).toBe(1);
    expect(allowance.request('fetchedBytesPerSecond', 1_000)).toBeUndefined();
    expect(allowance.request(undefined, 1_000)).toBeUndefined();
  });

  it('never make anybody wait longer than a minute for the next word', () => {
    change({ producedBytesPerSecond: 1 });
    expect(taken(1, 16_000_000)).toBe(1);
    expect(allowance.request('producedBytesPerSecond', 1)!.retryAfterMs).toBe(60_000);
  });
});

describe('fetched bytes per second', () => {
  it('are owed once they were read', () => {
    change({ fetchedBytesPerSecond: 1_000 });
    expect(allowance.request('fetchedBytesPerSecond', 50)).toBeUndefined();
    expect(allowance.fetched(400)).toBe(0);
    expect(allowance.fetched(1_100)).toBe(501);
    expect(allowance.request('fetchedBytesPerSecond', 50)!.retryAfterMs).toBe(501);
    expect(allowance.fetched(0)).toBe(501);
    nowMs += 501;
    expect(allowance.fetched(0)).toBe(0);
    expect(allowance.request('fetchedBytesPerSecond', 50)).toBeUndefined();
  });
});

describe('a quota that changes', () => {
  it('holds from the next request on, with a full bucket', () => {
    expect(taken(100, 1_000)).toBe(100);
    change({ requestsPerSecond: 2, producedBytesPerSecond: 500 });
    expect(taken(5, 1_000)).toBe(1);
    change({ requestsPerSecond: 2, producedBytesPerSecond: 5_000 });
    expect(taken(5, 1_000)).toBe(1);
    change(undefined);
    expect(taken(100, 1_000)).toBe(100);
  });

  it('leaves those rates alone that stay', () => {
    change({ requestsPerSecond: 2 });
    expect(taken(5)).toBe(2);
    change({ requestsPerSecond: 2, topics: 1 });
    expect(taken(5)).toBe(0);
  });
});

describe('principals', () => {
  it('have each their own', () => {
    change({ requestsPerSecond: 1 });
    expect(taken(2)).toBe(1);
    expect(allowances.of('other').request(undefined, 0)).toBeUndefined();
    expect(allowances.of('app')).toBe(allowance);
  });

  it('are forgotten when there are too many, the first first', () => {
    for (let one = 0; one < 9_999; one += 1) allowances.of(`p${one}`);
    expect(allowances.of('app')).toBe(allowance);
    allowances.of('one-more');
    expect(allowances.of('app')).not.toBe(allowance);
  });
});

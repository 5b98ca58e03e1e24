import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../../src/broker/commands.ts';
import type { Settled } from '../../../src/broker/delivery-commands.ts';
import type { DataShardLimits } from '../../../src/broker/limits.ts';
import { RETRY_LEVELS_MS } from '../../../src/broker/retry-levels.ts';
import { type FreshPick, ShardFixture } from '../../harness/data-shard.ts';

const HOUR_MS = 3_600_000;
const NACK = { type: 'nack', delayMs: undefined } as const;
const ACK = { type: 'ack' } as const;

/** A queue 1 that holds `count` messages, in entries 2 to count + 1. */
function filled(count: number, limits: Partial<DataShardLimits> = {}): ShardFixture {
  const test = new ShardFixture(limits);
  test.open(1);
  for (let i = 0; i < count; i += 1) test.produce(1);
  return test;
}

const picks = (from: number, count: number): FreshPick[] =>
  Array.from({ length: count }, (_, at) => [from + at]);

const given = (result: ApplyResult): (readonly [offset: number, attempt: number])[] => {
  if (result.type !== 'given') throw new Error(JSON.stringify(result));
  return result.messages.map(({ offset, attempt }) => [offset, attempt]);
};

const settled = (result: ApplyResult): Settled => {
  if (result.type !== 'settled') throw new Error(JSON.stringify(result));
  return result.items[0]!;
};

const view = (test: ShardFixture) => test.state.deliveries.subscription('g', 1);

/** Leases and gives back the message at offset 0 until its last attempt is under way. */
function toLastAttempt(test: ShardFixture): void {
  test.lease([[2]]);
  for (let attempt = 1; attempt < 16; attempt += 1) {
    expect(settled(test.settle(0, test.index, NACK)).status).toBe('ok');
    test.timeMs += 2 * HOUR_MS;
    expect(given(test.lease())).toEqual([[0, attempt + 1]]);
  }
}

describe('a lease', () => {
  it('gives new messages from the cursor on, under the index of its entry', () => {
    const test = filled(3);
    const result = test.lease(picks(2, 2), { consumer: 'worker' });
    expect(result).toEqual({
      ...{ type: 'given', token: 5, leaseUntilMs: 31_000 },
      messages: [
        { offset: 0, attempt: 1 },
        { offset: 1, attempt: 1 },
      ],
    });
    expect(view(test)).toMatchObject({ cursor: 2, pending: 2, leased: 2, dead: 0, fifo: false });
    expect(test.state.deliveries.pendingAt('g', 1, 1)).toMatchObject({
      ...{ at: { term: 1, index: 3 }, token: 5, consumer: 'worker', dueAtMs: 31_000 },
    });
  });

  it('gives nothing that somebody holds, that is gone, or that does not follow the cursor', () => {
    const test = filled(4);
    test.lease(picks(2, 2));
    expect(given(test.lease(picks(2, 2), { freshOffset: 0, again: [0, 1, 9] }))).toEqual([]);
    expect(given(test.lease([[5]], { freshOffset: 3 }))).toEqual([]);
    expect(given(test.lease(picks(2, 4), { freshOffset: 0 }))).toEqual([
      [2, 1],
      [3, 1],
    ]);
    expect(given(test.lease(picks(6, 2)))).toEqual([]);
    expect(view(test)).toMatchObject({ cursor: 4, pending: 4 });
  });

  it('gives again what was held too long, by the time of entries, under a new token', () => {
    const test = filled(1);
    test.lease([[2]]);
    test.timeMs += 29_999;
    expect(given(test.lease([], { again: [0] }))).toEqual([]);
    expect(test.state.deliveries.due('g', 1, test.timeMs, 9)).toEqual([]);
    test.timeMs += 1;
    expect(given(test.lease())).toEqual([[0, 2]]);
    expect(settled(test.settle(0, 3, ACK)).status).toBe('stale');
    expect(settled(test.settle(0, test.index - 1, ACK)).status).toBe('ok');
  });

  it('goes on at the start of the queue where retention took what was never given', () => {
    const test = filled(4);
    test.lease([[2]]);
    const queues = [{ queueId: 1, startOffset: 2, startIndex: 4 }];
    test.apply({ type: 'trim', queues, logTrim: 0 });
    expect(given(test.lease([[3]], { freshOffset: 1 }))).toEqual([]);
    expect(given(test.lease([[4]], { freshOffset: 2 }))).toEqual([[2, 1]]);
  });

  it('is refused in another mode, and where the queue is not open', () => {
    const test = filled(1);
    test.lease([[2]]);
    const refusal = { reason: 'SUBSCRIPTION_FIFO', group: 'g', fifo: false };
    expect(test.lease([], { fifo: true })).toEqual({ type: 'refused', refusal });
    const closed = { reason: 'QUEUE_NOT_OPEN', queueId: 9 };
    expect(test.lease([], { queueId: 9 })).toEqual({ type: 'refused', refusal: closed });
  });

  it('begins where it is told, within the queue', () => {
    const test = filled(3);
    test.lease([], { fromOffset: 2 });
    expect(view(test)?.cursor).toBe(2);
    test.lease([], { fromOffset: 99, group: 'h' });
    expect(test.state.deliveries.subscription('h', 1)?.cursor).toBe(3);
    test.lease([], { fromOffset: 0 });
    expect(view(test)?.cursor).toBe(2);
  });
});

describe('settling', () => {
  it('acknowledged once and for all, by who holds it', () => {
    const test = filled(1);
    test.lease([[2]]);
    expect(settled(test.settle(0, 2, ACK))).toEqual({ status: 'stale' });
    expect(settled(test.settle(0, 3, ACK))).toEqual({ status: 'ok' });
    expect(settled(test.settle(0, 3, ACK))).toEqual({ status: 'decided' });
    expect(settled(test.settle(7, 3, ACK))).toEqual({ status: 'stale' });
    test.timeMs += HOUR_MS;
    expect(given(test.lease())).toEqual([]);
    expect(view(test)).toMatchObject({ cursor: 1, pending: 0, leased: 0 });
  });

  it('a lease that ran out is still its holder’s until another has it', () => {
    const test = filled(1);
    test.lease([[2]]);
    test.timeMs += HOUR_MS;
    expect(settled(test.settle(0, 3, ACK))).toEqual({ status: 'ok' });
  });

  it('given back: by the level of its attempt, or by the delay that is asked for', () => {
    const test = filled(1);
    test.lease([[2]]);
    for (const [at, waitMs] of RETRY_LEVELS_MS.slice(0, 15).entries()) {
      const dueAtMs = test.timeMs + waitMs;
      expect(settled(test.settle(0, test.index, NACK))).toEqual({ status: 'ok', dueAtMs });
      test.timeMs = dueAtMs - 1;
      expect(given(test.lease([], { again: [0] }))).toEqual([]);
      test.timeMs = dueAtMs;
      expect(given(test.lease())).toEqual([[0, at + 2]]);
    }
    expect(RETRY_LEVELS_MS.slice(0, 3)).toEqual([10_000, 30_000, 60_000]);
    expect(RETRY_LEVELS_MS).toHaveLength(16);
    const fast = filled(1);
    fast.lease([[2]]);
    fast.settle(0, 3, { type: 'nack', delayMs: 0 });
    expect(given(fast.lease())).toEqual([[0, 2]]);
  });

  it('given back, it is not leased under that token any more', () => {
    const test = filled(1);
    test.lease([[2]]);
    test.settle(0, 3, NACK);
    expect(view(test)).toMatchObject({ pending: 1, leased: 0 });
    for (const verdict of [ACK, NACK, { type: 'extend', extendMs: 5 } as const]) {
      expect(settled(test.settle(0, 3, verdict))).toEqual({ status: 'notLeased' });
    }
  });

  it('held longer, under the same token', () => {
    const test = filled(1);
    test.lease([[2]]);
    test.timeMs += 10_000;
    const longer = { status: 'ok', dueAtMs: 71_000 };
    expect(settled(test.settle(0, 3, { type: 'extend', extendMs: 60_000 }))).toEqual(longer);
    test.timeMs += 59_999;
    expect(given(test.lease([], { again: [0] }))).toEqual([]);
    expect(settled(test.settle(0, 3, ACK)).status).toBe('ok');
  });

  it('that nobody got: free at once, and not counted, the last attempt neither', () => {
    const test = filled(1);
    toLastAttempt(test);
    const release = { type: 'release' } as const;
    expect(settled(test.settle(0, test.index, release))).toEqual({ status: 'ok' });
    expect(test.state.deliveries.nextOverAtMs()).toBeUndefined();
    expect(given(test.lease())).toEqual([[0, 16]]);
    expect(settled(test.settle(0, test.index - 2, release))).toEqual({ status: 'stale' });
  });

  it('of a group that never received is refused', () => {
    const test = filled(1);
    const refusal = { reason: 'SUBSCRIPTION_NOT_FOUND', group: 'g' };
    expect(test.settle(0, 1, ACK)).toEqual({ type: 'refused', refusal });
  });
});

describe('dead letters', () => {
  const letters = (test: ShardFixture) => test.state.deliveries.deadLetters('g', 1, 0, 10);
  const expire = (test: ShardFixture) =>
    test.apply({ type: 'expire', deliveries: [{ group: 'g', queueId: 1, offset: 0 }] });

  it('the last attempt given back', () => {
    const test = filled(1);
    toLastAttempt(test);
    const verdict = { type: 'nack', delayMs: 0 } as const;
    expect(settled(test.settle(0, test.index, verdict))).toEqual({ status: 'ok', isDead: true });
    expect(letters(test)).toMatchObject([
      { offset: 0, attempts: 16, cause: 'nacked', at: { term: 1, index: 2 }, consumer: 'c' },
    ]);
    expect(settled(test.settle(0, test.index, ACK))).toEqual({ status: 'dead' });
    test.timeMs += 9 * HOUR_MS;
    expect(given(test.lease())).toEqual([]);
    expect(view(test)).toMatchObject({ pending: 0, dead: 1 });
  });

  it('the last lease run out: when it is, and not given again', () => {
    const test = filled(1);
    toLastAttempt(test);
    const endsAtMs = test.timeMs + 30_000;
    expect(test.state.deliveries.nextOverAtMs()).toBe(endsAtMs);
    test.timeMs = endsAtMs - 1;
    expect(expire(test)).toEqual({ type: 'buried', count: 0 });
    expect(test.state.deliveries.over(test.timeMs, 9)).toEqual([]);
    test.timeMs = endsAtMs;
    expect(given(test.lease([], { again: [0] }))).toEqual([]);
    expect(test.state.deliveries.over(test.timeMs, 9)).toHaveLength(1);
    expect(expire(test)).toEqual({ type: 'buried', count: 1 });
    expect(expire(test)).toEqual({ type: 'buried', count: 0 });
    expect(letters(test)).toMatchObject([{ cause: 'expired', diedAtMs: endsAtMs }]);
    expect(test.state.deliveries.nextOverAtMs()).toBeUndefined();
  });

  it('whoever names what has attempts left buries nothing', () => {
    const test = filled(1);
    test.lease([[2]]);
    test.timeMs += HOUR_MS;
    expect(expire(test)).toEqual({ type: 'buried', count: 0 });
  });

  it('without room for one, a message waits and is not lost', () => {
    const test = filled(1, { maxDeadLetters: 0 });
    toLastAttempt(test);
    const dueAtMs = test.timeMs + 2 * HOUR_MS;
    expect(settled(test.settle(0, test.index, NACK))).toEqual({ status: 'ok', dueAtMs });
    test.timeMs = dueAtMs;
    expect(given(test.lease([], { again: [0] }))).toEqual([]);
    expect(expire(test)).toEqual({ type: 'buried', count: 0 });
    expect(view(test)).toMatchObject({ pending: 1, dead: 0, deadRefused: 2 });
    expect(test.state.deliveries.nextOverAtMs()).toBe(dueAtMs + 2 * HOUR_MS);
  });

  it('sent again: free at once, all attempts before it; purged: gone', () => {
    const test = filled(2);
    toLastAttempt(test);
    test.settle(0, test.index, NACK);
    const act = (action: 'resend' | 'purge', ...offsets: number[]) =>
      test.apply({ type: 'settleDead', group: 'g', queueId: 1, action, offsets });
    expect(act('resend', 0, 7)).toEqual({ type: 'deadSettled', count: 1 });
    expect(letters(test)).toEqual([]);
    expect(given(test.lease())).toEqual([[0, 1]]);
    for (let attempt = 1; attempt < 16; attempt += 1) {
      test.settle(0, test.index, { type: 'nack', delayMs: 0 });
      test.lease();
    }
    test.settle(0, test.index, NACK);
    expect(act('purge', 0)).toEqual({ type: 'deadSettled', count: 1 });
    expect(act('resend', 0)).toEqual({ type: 'deadSettled', count: 0 });
    expect(view(test)).toMatchObject({ pending: 0, dead: 0 });
  });
});

describe('FIFO', () => {
  const fifo = { fifo: true } as const;
  /** Offsets 0 to 4, of the keys 7, 7, 0 (none), 8, 7. */
  const keyed: FreshPick[] = [[2, 7], [3, 7], [4], [5, 8], [6, 7]];

  it('of a key one message at a time, in the order of the queue', () => {
    const test = filled(5);
    expect(given(test.lease(keyed, fifo))).toEqual([
      [0, 1],
      [2, 1],
      [3, 1],
    ]);
    expect(view(test)).toMatchObject({ cursor: 5, pending: 5, leased: 3 });
    const token = test.index;
    expect(given(test.lease([], { ...fifo, again: [1, 4] }))).toEqual([]);
    test.settle(0, token, ACK);
    expect(given(test.lease([], fifo))).toEqual([[1, 1]]);
    test.settle(1, test.index, NACK);
    expect(given(test.lease([], { ...fifo, again: [4] }))).toEqual([]);
    test.timeMs += 10_000;
    expect(given(test.lease([], fifo))).toEqual([[1, 2]]);
    test.settle(1, test.index, ACK);
    expect(given(test.lease([], fifo))).toEqual([[4, 1]]);
  });

  it('a dead letter lets its key go on; sent again it stands at the end of the line', () => {
    const test = filled(3);
    test.lease(
      [
        [2, 7],
        [3, 7],
      ],
      fifo,
    );
    for (let attempt = 1; attempt < 16; attempt += 1) {
      test.settle(0, test.index, { type: 'nack', delayMs: 0 });
      expect(given(test.lease([], fifo))).toEqual([[0, attempt + 1]]);
    }
    test.settle(0, test.index, NACK);
    expect(given(test.lease([[4, 7]], fifo))).toEqual([[1, 1]]);
    const token = test.index;
    test.apply({ type: 'settleDead', group: 'g', queueId: 1, action: 'resend', offsets: [0] });
    for (const twin of [test.reloaded(), test]) {
      expect(given(twin.lease([], { ...fifo, again: [0, 2] }))).toEqual([]);
      twin.settle(1, token, ACK);
      expect(given(twin.lease([], { ...fifo, again: [0, 2] }))).toEqual([[2, 1]]);
      twin.settle(2, twin.index, ACK);
      expect(given(twin.lease([], fifo))).toEqual([[0, 1]]);
    }
  });
});

it('FIFO: several of a key sent again stand in line as on a replica that was restarted', () => {
  const test = filled(2);
  const lease = (one: ShardFixture) => given(one.lease([], { fifo: true }));
  test.lease([[2], [3]], { fifo: true });
  for (let attempt = 1; attempt <= 16; attempt += 1) {
    for (const { offset, token } of [...test.state.deliveries.pending('g', 1)]) {
      test.settle(offset, token, { type: 'nack', delayMs: 0 });
    }
    lease(test);
  }
  test.apply({ type: 'settleDead', group: 'g', queueId: 1, action: 'resend', offsets: [1, 0] });
  for (const one of [test.reloaded(), test]) {
    expect([...one.state.deliveries.pending('g', 1)].map(({ offset }) => offset)).toEqual([0, 1]);
  }
});

it('a lease that does not make the subscription leases nothing where there is none', () => {
  const test = filled(1);
  const refusal = { reason: 'SUBSCRIPTION_NOT_FOUND', group: 'g' };
  const missing = test.lease([[2]], { fromOffset: undefined, freshOffset: 0 });
  expect(missing).toEqual({ type: 'refused', refusal });
});

describe('a seek', () => {
  const seek = (test: ShardFixture, offset: number) =>
    test.apply({ type: 'seekSubscription', group: 'g', queueId: 1, offset });

  it('forgets what was pending, and goes on from there', () => {
    const test = filled(4);
    test.lease(picks(2, 3));
    expect(seek(test, 1)).toEqual({ type: 'sought', cursor: 1 });
    expect(view(test)).toMatchObject({ cursor: 1, pending: 0, leased: 0 });
    expect(settled(test.settle(1, 6, ACK))).toEqual({ status: 'stale' });
    expect(given(test.lease([[3]]))).toEqual([[1, 1]]);
    expect(settled(test.settle(1, 6, ACK))).toEqual({ status: 'stale' });
    expect(seek(test, 99)).toEqual({ type: 'sought', cursor: 4 });
  });

  it('back over a dead letter: given again, and dead once', () => {
    const test = filled(1);
    toLastAttempt(test);
    test.settle(0, test.index, NACK);
    seek(test, 0);
    toLastAttempt(test);
    test.settle(0, test.index, NACK);
    expect(test.state.counts()).toMatchObject({ deadLetters: 1, pendingDeliveries: 0 });
    expect(test.state.lowestLateIndex()).toBe(2);
  });

  it('back over a dead letter that is sent again: given once', () => {
    const test = filled(2);
    toLastAttempt(test);
    test.settle(0, test.index, NACK);
    seek(test, 0);
    test.apply({ type: 'settleDead', group: 'g', queueId: 1, action: 'resend', offsets: [0] });
    expect(view(test)).toMatchObject({ pending: 0, dead: 0 });
    expect(given(test.lease(picks(2, 2)))).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });
});

describe('the log', () => {
  it('stays as far back as something pending or dead lies, whatever retention took', () => {
    const test = filled(3);
    test.lease([[2]]);
    const queues = [{ queueId: 1, startOffset: 3, startIndex: 0 }];
    // Decided before the lease was seen.
    const trimmed = test.apply({ type: 'trim', queues, logTrim: 4 });
    expect(trimmed).toEqual({ type: 'trimmed', logTrim: 1 });
    expect(test.state.lowestLateIndex()).toBe(2);
    expect(test.reloaded().state.lowestLateIndex()).toBe(2);
    test.settle(0, 5, ACK);
    expect(test.state.lowestLateIndex()).toBeUndefined();
    expect(test.apply({ type: 'trim', queues: [], logTrim: 4 })).toMatchObject({ logTrim: 4 });
  });
});

it('a queue that is closed takes all of it along; so does the end of a subscription', () => {
  const end = { type: 'unsubscribe', group: 'g', queueId: 1 } as const;
  for (const command of [{ type: 'closeQueue', queueId: 1 } as const, end]) {
    const test = filled(2);
    toLastAttempt(test);
    test.settle(0, test.index, NACK);
    test.lease([[3]]);
    expect(test.apply(command)).toEqual({ type: 'done' });
    const none = { subscriptions: 0, pendingDeliveries: 0, deadLetters: 0 };
    expect(test.state.counts()).toMatchObject(none);
    expect(test.state.lowestLateIndex()).toBeUndefined();
    const tables = test.rows.rows().map(({ table }) => table);
    expect(tables).toEqual(['queue']);
    expect(test.apply(end)).toMatchObject({ refusal: { reason: 'SUBSCRIPTION_NOT_FOUND' } });
  }
});

it('all of it is there again after a restart', () => {
  const test = filled(4);
  toLastAttempt(test);
  test.settle(0, test.index, NACK);
  test.lease(picks(3, 3));
  const token = test.index;
  test.settle(1, token, NACK);
  const twin = test.reloaded();
  expect(view(twin)).toEqual(view(test));
  const facts = (one: ShardFixture) =>
    [...one.state.deliveries.pending('g', 1)].map((pending) => ({ ...pending, heapPosition: 0 }));
  expect(facts(twin)).toEqual(facts(test));
  expect(twin.state.deliveries.deadLetters('g', 1, 0, 9)).toEqual(
    test.state.deliveries.deadLetters('g', 1, 0, 9),
  );
  for (const one of [test, twin]) {
    one.timeMs += HOUR_MS;
    expect(given(one.lease())).toEqual([
      [1, 2],
      [2, 2],
      [3, 2],
    ]);
  }
  expect(twin.rows.rows()).toEqual(test.rows.rows());
});

it('bytes that were copied are found there, and are copied once', () => {
  const test = filled(3);
  toLastAttempt(test);
  test.settle(0, test.index, NACK);
  test.lease(picks(3, 2));
  const [letter, held] = test.state.heldBodies(9, 9);
  expect([letter!.at.index, held!.at.index]).toEqual([2, 3]);
  const places = (one: ShardFixture) => [
    ...one.state.deliveries.deadLetters('g', 1, 0, 9),
    ...one.state.deliveries.pending('g', 1),
  ];
  for (const { owner, id, at: from } of [letter!, held!]) {
    const copy = { type: 'copy', owner, id, from } as const;
    expect(test.apply(copy)).toEqual({ type: 'copied', moved: true });
    expect(test.apply(copy)).toEqual({ type: 'copied', moved: false });
  }
  for (const one of [test, test.reloaded()]) {
    expect(places(one).map(({ at, firstIndex }) => [at.index, firstIndex])).toEqual([
      [test.index - 3, 2],
      [test.index - 1, 3],
      [4, 4],
    ]);
    expect(one.state.lowestLateIndex()).toBe(4);
  }
});

describe('a group with a filter', () => {
  const filter = { type: 1, expression: 'wanted' };
  const selecting = (...passed: number[]) => ({ selection: { filter, passed } });

  it('passes over what it does not fit: decided, and nobody gets it', () => {
    const test = filled(7);
    const result = test.lease([[3], [6]], selecting(1, 2, 1));
    expect(given(result)).toEqual([
      [1, 1],
      [4, 1],
    ]);
    expect(view(test)).toMatchObject({ cursor: 6, pending: 2, leased: 2, filter });
    const token = test.index;
    expect(settled(test.settle(0, token, ACK)).status).toBe('decided');
    expect(settled(test.settle(1, token, ACK)).status).toBe('ok');
    expect(settled(test.settle(6, token, ACK)).status).toBe('stale');
    expect(given(test.lease([[8]], selecting()))).toEqual([[6, 1]]);
  });

  it('passes over without giving anything, and not past the end', () => {
    const test = filled(3);
    expect(given(test.lease([], selecting(2)))).toEqual([]);
    expect(view(test)).toMatchObject({ cursor: 2, pending: 0 });
    expect(given(test.lease([], selecting(9)))).toEqual([]);
    expect(view(test)?.cursor).toBe(3);
    expect(given(test.lease([[5]], selecting(0, 4)))).toEqual([]);
    expect(view(test)?.cursor).toBe(3);
  });

  it('passes over nothing that does not follow the cursor', () => {
    const test = filled(6);
    test.lease([[2]], selecting());
    // As if the lease before it had been lost.
    expect(given(test.lease([[5]], { freshOffset: 2, ...selecting(1, 2) }))).toEqual([]);
    expect(view(test)?.cursor).toBe(1);
    // From before it: what is left of it.
    expect(given(test.lease([[5]], { freshOffset: 0, ...selecting(3, 1) }))).toEqual([[3, 1]]);
    expect(view(test)?.cursor).toBe(5);
  });

  it('goes on in the middle of what was passed over when retention took its beginning', () => {
    const test = filled(6);
    test.lease([[2]], selecting());
    const queues = [{ queueId: 1, startOffset: 3, startIndex: 5 }];
    test.apply({ type: 'trim', queues, logTrim: 0 });
    expect(given(test.lease([[7]], { freshOffset: 1, ...selecting(4) }))).toEqual([[5, 1]]);
  });

  it('is refused with another filter, or none; one without is refused with one', () => {
    const test = filled(2);
    test.lease([], selecting());
    const reason = 'SUBSCRIPTION_FILTER';
    const refusal = { reason, group: 'g', filter };
    for (const expression of ['else', undefined]) {
      const other = expression === undefined ? undefined : { type: 1, expression };
      const selection = other && { filter: other, passed: [1] };
      expect(test.lease([], { selection })).toEqual({ type: 'refused', refusal });
    }
    const sql = { selection: { filter: { ...filter, type: 2 }, passed: [] } };
    expect(test.lease([], sql)).toEqual({ type: 'refused', refusal });
    test.lease([], { group: 'all' });
    expect(test.lease([], { group: 'all', ...selecting(1) })).toEqual({
      ...{ type: 'refused', refusal: { reason, group: 'all', filter: undefined } },
    });
    expect(view(test)?.cursor).toBe(0);
  });

  it('keeps it over a start; a key in line waits for nothing that was passed over', () => {
    const test = filled(4);
    const inLine = { fifo: true };
    // Of one key: the first and the third are wanted.
    expect(given(test.lease([[2, 7]], { ...inLine, ...selecting() }))).toEqual([[0, 1]]);
    expect(given(test.lease([[4, 7]], { ...inLine, ...selecting(1) }))).toEqual([]);
    const twin = test.reloaded();
    expect(view(twin)).toEqual(view(test));
    expect(view(twin)).toMatchObject({ cursor: 3, pending: 2, filter });
    expect(settled(twin.settle(0, 6, ACK)).status).toBe('ok');
    expect(given(twin.lease([], { ...inLine, ...selecting() }))).toEqual([[2, 1]]);
  });
});

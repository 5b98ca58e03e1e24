import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { ProposalOutcome } from '../../../raft/driver.ts';
import { EMPTY_BYTES, EntryType } from '../../../raft/types.ts';
import { decodeCommand } from '../../../src/broker/command-codec.ts';
import { startSystemTimer } from '../../../src/clock.ts';
import { DueSweeper } from '../../../src/shards/due-sweeper.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

const SHARD = 1;

beforeEach(() => {
  vi.useFakeTimers({ now: 1000 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** One led shard; its time is the fake clock's. */
class Rig {
  readonly shard = new ShardFixture();
  readonly proposals: {
    type: string;
    size: number;
    settle: (outcome?: ProposalOutcome) => void;
  }[] = [];
  ready = true;
  readonly #listeners: ((shard: number) => void)[] = [];
  readonly sweeper: DueSweeper;

  /** Of batches that waited before it began. */
  constructor(...inMs: number[]) {
    this.shard.open(1);
    for (const ms of inMs) this.shard.delay(Date.now() + ms);
    const subscribe = (listener: (shard: number) => void) => {
      this.#listeners.push(listener);
      return () => this.#listeners.splice(this.#listeners.indexOf(listener), 1);
    };
    this.sweeper = new DueSweeper({
      data: () => this.shard.state,
      shards: () => [0, SHARD],
      isReady: () => this.ready,
      onApplied: subscribe,
      onLeadership: subscribe,
      shardTimeMs: () => Date.now(),
      startTimer: startSystemTimer,
      propose: (_shard, head, _payload, _level, done) => this.#proposed(head, done),
    });
  }

  tell(): void {
    for (const listener of [...this.#listeners]) listener(SHARD);
  }

  /** Due in so many milliseconds from now. */
  delay(...inMs: number[]): void {
    this.shard.timeMs = Date.now();
    for (const ms of inMs) this.shard.delay(Date.now() + ms);
    this.tell();
  }

  get shown(): number {
    return this.shard.rows.index.length;
  }

  #proposed(head: Uint8Array, done: (outcome: ProposalOutcome) => void): void {
    const command = decodeCommand(head);
    const named = command.type === 'deliver' ? command.batches : undefined;
    const size = (named ?? (command.type === 'park' ? command.transactions : [])).length;
    this.proposals.push({
      type: command.type,
      size,
      settle: (outcome) => {
        if (outcome !== undefined) {
          done(outcome);
          return;
        }
        this.shard.index += 1;
        const { index, term } = this.shard;
        const entry = { index, term, type: EntryType.command, timeMs: Date.now(), head };
        const result = this.shard.state.apply(
          { ...entry, payload: EMPTY_BYTES, bodyCrc: 0 },
          this.shard.rows,
        );
        this.tell();
        done({ status: 'applied', term, index, replicas: 2, result });
      },
    });
  }
}

it('shows each when its time has come, and not before', () => {
  const rig = new Rig();
  rig.delay(500, 200);
  vi.advanceTimersByTime(199);
  expect(rig.proposals).toHaveLength(0);
  vi.advanceTimersByTime(1);
  expect(rig.proposals.map(({ size }) => size)).toEqual([1]);
  rig.proposals[0]!.settle();
  expect(rig.shown).toBe(1);
  vi.advanceTimersByTime(300);
  rig.proposals[1]!.settle();
  expect(rig.shown).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

it('also in a shard that was led before, and of which nothing is heard', () => {
  const rig = new Rig(50);
  vi.advanceTimersByTime(50);
  expect(rig.proposals.map(({ size }) => size)).toEqual([1]);
});

it('one entry at a time, with all that is due by then', () => {
  const rig = new Rig();
  rig.delay(100, 101, 102);
  vi.advanceTimersByTime(100);
  vi.advanceTimersByTime(50);
  expect(rig.proposals.map(({ size }) => size)).toEqual([1]);
  rig.proposals[0]!.settle();
  expect(rig.proposals.map(({ size }) => size)).toEqual([1, 2]);
});

it('a full entry is followed by the next one at once', () => {
  const rig = new Rig();
  rig.delay(...Array.from({ length: 2500 }, () => 10));
  vi.advanceTimersByTime(10);
  for (let i = 0; i < 3; i++) rig.proposals[i]!.settle();
  expect(rig.proposals.map(({ size }) => size)).toEqual([1000, 1000, 500]);
  expect(rig.shown).toBe(2500);
});

it('an earlier one that comes later shortens the sleep', () => {
  const rig = new Rig();
  rig.delay(1000);
  rig.delay(50);
  vi.advanceTimersByTime(50);
  expect(rig.proposals).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

it('only where this node leads, and from the moment that it does', () => {
  const rig = new Rig();
  rig.ready = false;
  rig.delay(50);
  vi.advanceTimersByTime(1000);
  expect(rig.proposals).toHaveLength(0);
  rig.ready = true;
  rig.tell();
  expect(rig.proposals).toHaveLength(1);
});

it.each<ProposalOutcome>([{ status: 'overloaded' }, { status: 'unknown', reason: 'deposed' }])(
  'tries again after a while: %o',
  (outcome) => {
    const rig = new Rig();
    rig.delay(50);
    vi.advanceTimersByTime(50);
    rig.proposals[0]!.settle(outcome);
    expect(rig.proposals).toHaveLength(1);
    vi.advanceTimersByTime(100);
    expect(rig.proposals).toHaveLength(2);
    rig.proposals[1]!.settle();
    expect(rig.shown).toBe(1);
  },
);

it('deposed, it waits until it leads again', () => {
  const rig = new Rig();
  rig.delay(50);
  vi.advanceTimersByTime(50);
  rig.ready = false;
  rig.proposals[0]!.settle({ status: 'notLeader' });
  expect(vi.getTimerCount()).toBe(0);
});

it('far ahead, it looks once a minute; stopped, never again', () => {
  const rig = new Rig();
  rig.delay(40 * 86_400_000);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(vi.getTimerCount()).toBe(1);
  rig.sweeper.stop();
  expect(vi.getTimerCount()).toBe(0);
  rig.tell();
  expect(vi.getTimerCount()).toBe(0);
});

it('parks what was asked about often enough, in turn with what is delayed', () => {
  const rig = new Rig();
  rig.ready = false;
  const { shard } = rig;
  shard.prepare('asked', 1, { maxChecks: 1 });
  const id = { term: 1, index: shard.index };
  shard.timeMs += 6000;
  const lease = { producerGroup: 'g', transactions: [id], leaseMs: 0, countsLater: true } as const;
  shard.apply({ type: 'leaseChecks', ...lease });
  shard.apply({ type: 'checksDelivered', checks: [{ id, lease: shard.index }] });
  vi.setSystemTime(shard.timeMs);
  rig.ready = true;
  rig.delay(30_000, 30_001);
  vi.advanceTimersByTime(29_999);
  expect(rig.proposals).toEqual([]);
  vi.advanceTimersByTime(1);
  rig.proposals[0]!.settle();
  rig.proposals[1]!.settle();
  vi.advanceTimersByTime(1);
  rig.proposals[2]!.settle();
  expect(rig.proposals.map(({ type, size }) => [type, size])).toEqual([
    ['deliver', 1],
    ['park', 1],
    ['deliver', 1],
  ]);
  expect(shard.state.counts()).toMatchObject({ parked: 1, delayed: 0 });
  expect(vi.getTimerCount()).toBe(0);
});

it('buries what had its last attempt when its lease ends', () => {
  const rig = new Rig();
  rig.shard.produce(1);
  rig.shard.timeMs = Date.now();
  rig.shard.lease([[2]]);
  for (let attempt = 1; attempt < 16; attempt += 1) {
    rig.shard.settle(0, rig.shard.index, { type: 'nack', delayMs: 0 });
    rig.shard.lease();
  }
  rig.delay(40_000);
  vi.advanceTimersByTime(29_999);
  expect(rig.proposals).toHaveLength(0);
  vi.advanceTimersByTime(1);
  rig.proposals[0]!.settle();
  expect(rig.shard.state.counts()).toMatchObject({ deadLetters: 1, pendingDeliveries: 0 });
  vi.advanceTimersByTime(10_000);
  expect(rig.proposals.map(({ type }) => type)).toEqual(['expire', 'deliver']);
});

/** Shard time against its rule: histories of clocks that drift, jump and fall silent. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  medianClock,
  SHARD_TIME_TOLERANCE_MS,
  ShardTime,
  WallClocks,
} from '../../raft/shard-time.ts';
import type { Configuration } from '../../raft/types.ts';
import {
  CoreCluster,
  entryAt,
  membershipOf,
  type ReplicaOptions,
  SHARD,
  type TestReplica,
} from '../harness/raft-cluster.ts';
import { DriverRig } from '../harness/raft-driver-rig.ts';

const HOUR_MS = 3_600_000;
const simple = (...voters: number[]): Configuration => ({
  ...{ voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: true },
});

describe('the median of the voters’ clocks', () => {
  const clocks = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 7 });

  test('is never after the true one, and is the true one when all are known', () => {
    fc.assert(
      fc.property(clocks, fc.infiniteStream(fc.boolean()), (walls, known) => {
        const voters = walls.map((_, at) => at + 1);
        const isKnown = voters.map(() => known.next().value);
        const truth = [...walls].sort((one, two) => one - two)[Math.ceil(walls.length / 2) - 1]!;
        const all = medianClock(simple(...voters), (voter) => walls[voter - 1]);
        const some = medianClock(simple(...voters), (voter) =>
          isKnown[voter - 1] ? walls[voter - 1] : undefined,
        );
        expect(all).toBe(truth);
        const count = isKnown.filter(Boolean).length;
        if (some !== undefined) expect(some).toBeLessThanOrEqual(truth);
        if (walls.length % 2 === 1) expect(some !== undefined).toBe(count > walls.length / 2);
        // Two halves of an even number are no quorum.
        if (count <= (walls.length - 1) / 2) expect(some).toBeUndefined();
      }),
    );
  });

  test('a minority of wild clocks does not move it beyond the others', () => {
    fc.assert(
      fc.property(fc.integer({ min: -HOUR_MS, max: HOUR_MS }), (wild) => {
        const median = medianClock(simple(1, 2, 3), (voter) => (voter === 1 ? wild : voter * 10))!;
        expect(median).toBeGreaterThanOrEqual(20);
        expect(median).toBeLessThanOrEqual(30);
      }),
    );
  });

  test('of two halves it is the earlier; one that is not known makes it unknown', () => {
    const joint = { ...simple(1, 2, 3), votersOutgoing: [4, 5, 6] };
    expect(medianClock(joint, (voter) => voter * 10)).toBe(20);
    expect(medianClock(joint, (voter) => (voter > 4 ? undefined : voter * 10))).toBeUndefined();
  });
});

describe('what a node tells of its clock', () => {
  test('goes on with the own monotonic clock, and counts for so long', () => {
    const clocks = new WallClocks(1000);
    clocks.heard(2, 5000, 100);
    expect([clocks.at(2, 100), clocks.at(2, 1100), clocks.at(2, 1101)]).toEqual([
      ...[5000, 6000],
      undefined,
    ]);
    expect(clocks.at(3, 100)).toBeUndefined();
    clocks.heard(2, 10, 1200);
    expect(clocks.at(2, 1300)).toBe(110);
  });
});

describe('the time of the next entry', () => {
  const step = fc.record({
    passedMs: fc.integer({ min: 0, max: 5000 }),
    /** Of the leader and of the median: anywhere. */
    wallMs: fc.integer({ min: 0, max: HOUR_MS }),
    medianMs: fc.option(fc.integer({ min: 0, max: HOUR_MS }), { nil: undefined }),
    isAppended: fc.boolean(),
  });

  test('never falls, and is near the median or later than the last by what has passed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const time = new ShardTime();
        let nowMs = 0;
        let last = { timeMs: 1, atMs: 0 };
        time.appended(last.timeMs, last.atMs);
        for (const { passedMs, wallMs, medianMs, isAppended } of steps) {
          nowMs += passedMs;
          const timeMs = time.next({ nowMs, wallMs }, medianMs);
          expect(timeMs).toBeGreaterThanOrEqual(last.timeMs);
          const withoutClocks = last.timeMs + (nowMs - last.atMs);
          const latest =
            medianMs === undefined
              ? withoutClocks
              : Math.max(last.timeMs, medianMs + SHARD_TIME_TOLERANCE_MS);
          expect(timeMs).toBeLessThanOrEqual(latest);
          if (medianMs !== undefined) {
            expect(timeMs).toBeGreaterThanOrEqual(medianMs - SHARD_TIME_TOLERANCE_MS);
          }
          if (!isAppended) continue;
          last = { timeMs, atMs: nowMs };
          time.appended(timeMs, nowMs);
        }
      }),
    );
  });

  test('is the leader’s own where that is near the median', () => {
    const time = new ShardTime();
    expect(time.next({ nowMs: 0, wallMs: 10_200 }, 10_000)).toBe(10_200);
    expect(time.next({ nowMs: 0, wallMs: 90_000 }, 10_000)).toBe(10_250);
    expect(time.next({ nowMs: 0, wallMs: 0 }, 10_000)).toBe(9_750);
  });

  test('an entry of a known time begins its own wait', () => {
    const time = new ShardTime();
    time.appended(1000, 0);
    time.appended(1000, 500);
    time.notice(1000, 900);
    expect(time.next({ nowMs: 1000, wallMs: 0 }, undefined)).toBe(1500);
    time.notice(7000, 1000);
    expect(time.next({ nowMs: 1001, wallMs: 0 }, undefined)).toBe(7001);
  });

  test('of an empty log without clocks is the own one', () => {
    expect(new ShardTime().next({ nowMs: 5, wallMs: 7000.5 }, undefined)).toBe(7000);
  });
});

describe('a leader', () => {
  const WEEK_MS = 7 * 24 * HOUR_MS;
  const firstTimeMs = (leader: TestReplica) => leader.synced.at(-1)!.timeMs;

  function clocksOf(walls: readonly number[], options: ReplicaOptions = {}) {
    const cluster = new CoreCluster(
      walls.map((_, at) => at + 1),
      () => options,
    );
    for (const replica of cluster.replicas) replica.wallMs = walls[replica.id - 1]!;
    return cluster;
  }

  test('begins with the clocks of those who voted: its own is far ahead', () => {
    const cluster = clocksOf([54 * 52 * WEEK_MS, WEEK_MS, WEEK_MS]);
    expect(firstTimeMs(cluster.elect(1))).toBe(WEEK_MS + SHARD_TIME_TOLERANCE_MS);
  });

  test('begins now, and not where its log ended a week ago', () => {
    const log = [{ ...entryAt(1, 1), timeMs: 1000 }];
    const leader = clocksOf([WEEK_MS, WEEK_MS, WEEK_MS], { log }).elect(2);
    expect(firstTimeMs(leader)).toBe(WEEK_MS);
    expect(leader.propose('next')).toMatchObject({ timeMs: WEEK_MS });
  });

  test('alone, or one of two, goes by the clocks that there are', () => {
    expect(firstTimeMs(clocksOf([WEEK_MS]).elect(1))).toBe(WEEK_MS);
    expect(firstTimeMs(clocksOf([WEEK_MS, HOUR_MS]).elect(1))).toBe(HOUR_MS + 250);
  });

  test('does not ask learners', () => {
    const { config, replicas } = membershipOf([1, 2, 3, 4, 5]);
    const membership = { config: { ...config, voters: [1, 2], learners: [3, 4, 5] }, replicas };
    const cluster = clocksOf([WEEK_MS, WEEK_MS, 0, 0, 0], { membership });
    const leader = cluster.elect(1);
    cluster.run(500);
    expect(leader.propose('after heartbeats')).toMatchObject({ timeMs: WEEK_MS });
  });

  test('hears of the clocks with every heartbeat', () => {
    const cluster = clocksOf([WEEK_MS, WEEK_MS, WEEK_MS]);
    const leader = cluster.elect(1);
    for (const replica of cluster.replicas) replica.wallMs += HOUR_MS;
    leader.propose('before');
    expect(firstTimeMs(leader)).toBe(WEEK_MS + SHARD_TIME_TOLERANCE_MS);
    cluster.run(200);
    expect(leader.propose('after')).toMatchObject({ timeMs: WEEK_MS + HOUR_MS });
  });

  test('does not lead with clocks of long ago: it campaigns again', () => {
    const cluster = new CoreCluster([1, 2, 3, 4, 5], () => ({ rng: () => 0.9 }));
    const candidate = cluster.replica(1);
    candidate.timeOut();
    cluster.deliver();
    cluster.deliver();
    const yes = { shard: SHARD, to: 1, term: 1, granted: true, sticky: false, wallMs: 1000 };
    candidate.step({ ...yes, type: 'voteReply', from: 2 });
    cluster.advance(1500);
    candidate.step({ ...yes, type: 'voteReply', from: 3 });
    expect([candidate.core.role, candidate.core.term]).toEqual(['follower', 1]);
    expect(cluster.elect(1).core.term).toBe(2);
  });

  test('asks the clocks of the nodes that its voters are on', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    rig.lead(1);
    const timeMs = () => rig.driver.shardTimeMs(1);
    expect(timeMs()).toBe(1000);
    rig.wallMs = 5_000_000;
    expect(timeMs()).toBe(1250);
    rig.driver.receive(3, [{ type: 'alive', wallMs: 4_999_900 }]);
    expect(timeMs()).toBe(5_000_000);
    rig.driver.receive(2, [{ type: 'alive', wallMs: 1_000_000 }]);
    rig.driver.receive(3, [{ type: 'alive', wallMs: 1_000_000 }]);
    expect(timeMs()).toBe(1_000_250);
  });

  test('a clock is told at the time when it is heard, not when the pass began', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    rig.lead(1);
    rig.wallMs = 5_000_000;
    rig.driver.peerUp(3);
    rig.nowMs += 800;
    const reply = { shard: 1, from: 12, to: 11, term: 1, round: 1, wallMs: 1_000_000 };
    const facts = { suspect: false, quiet: false };
    rig.driver.receive(2, [{ type: 'heartbeatReply', ...reply, ...facts }]);
    rig.turns();
    expect(rig.driver.shardTimeMs(1)).toBe(1_000_250);
  });
});

import { describe, expect, test } from 'vitest';
import type { ChangeOutcome } from '../../raft/driver.ts';
import type { Invite } from '../../raft/messages.ts';
import { DriverRig, leading } from '../harness/raft-driver-rig.ts';

describe('identity', () => {
  const beat = { shard: 1, from: 13, to: 11, term: 4, commit: 0, round: 1, rank: 0 } as const;

  function following(): DriverRig {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    return rig;
  }

  test('a replica that speaks from another node than its own is not heard', () => {
    const rig = following();
    rig.driver.receive(2, [{ ...beat, type: 'heartbeat', quiet: false }]);
    rig.driver.receive(3, [{ ...beat, type: 'heartbeat', quiet: false, shard: 7 }]);
    rig.turns();
    expect(rig.driver.status(1).term).toBe(0);
  });

  test('an unknown leader is heard, and answered where it spoke from', () => {
    const rig = following();
    rig.driver.receive(5, [{ ...beat, type: 'heartbeat', quiet: false, from: 99 }]);
    rig.turns();
    rig.sync();
    expect(rig.driver.status(1)).toMatchObject({ term: 4, leader: 5 });
    expect(rig.takeSends().find(({ to }) => to === 5)?.messages).toMatchObject([
      { type: 'heartbeatReply', to: 99 },
    ]);
  });
});

describe('shards that come and go', () => {
  const config = { voters: [12], votersOutgoing: [], learners: [], learnersNext: [] };
  const invite: Invite = {
    ...{ type: 'invite', shard: 1, from: 12, to: 14, term: 3, incarnation: 'x' },
    logStart: { index: 0, term: 0 },
    membership: { config, replicas: [{ replica: 12, node: 2, incarnation: 'x' }] },
    replaces: true,
  };

  test('an invitation to a shard that is not here reaches the host', () => {
    const rig = new DriverRig();
    rig.driver.start();
    rig.driver.receive(2, [invite]);
    expect(rig.invites).toEqual([[2, invite]]);
  });

  test.each([
    ['a newer replica, when the old one is no member any more', {}, 1],
    ['a newer replica beside a member', { replaces: false }, 0],
    ['this very replica', { to: 11 }, 0],
    ['an older replica', { to: 10 }, 0],
  ])('to a shard that is here, for %s: %#', (_, change, count) => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.driver.receive(2, [{ ...invite, ...change }]);
    expect(rig.invites).toHaveLength(count);
  });

  test('a suspect replica gives way in any case', () => {
    const rig = new DriverRig();
    rig.addShard(1, [1, 2, 3], [], { suspect: true });
    rig.driver.start();
    rig.driver.receive(2, [{ ...invite, replaces: false }]);
    expect(rig.invites).toHaveLength(1);
  });

  test('a shard that is added while running takes part', () => {
    const rig = new DriverRig();
    rig.driver.start();
    rig.addShard(2);
    rig.turns();
    rig.lead(2);
    expect(rig.driver.status(2).role).toBe('leader');
  });

  test('a shard that is removed answers unknown, and is silent from then on', () => {
    const rig = leading();
    const { outcomes } = rig.propose(1);
    const read = rig.readIndex(1);
    rig.turn();
    rig.propose(1);
    rig.driver.removeShard(1);
    expect(outcomes).toEqual([{ status: 'unknown', reason: 'stopped' }]);
    expect(read).toEqual([{ status: 'unknown' }]);
    rig.takeSends();
    rig.events = [];
    rig.sync();
    rig.ack(1, 1, 2);
    rig.wake(rig.nowMs + 5000);
    expect([rig.takeSends(), rig.events, rig.driver.shards()]).toEqual([[], [], []]);
    expect(rig.propose(1).outcomes).toEqual([{ status: 'notLeader' }]);
  });

  test('and may come back as another replica', () => {
    const rig = leading();
    rig.driver.removeShard(1);
    rig.addShard(1);
    rig.turns();
    expect(rig.driver.status(1)).toMatchObject({ role: 'follower', lastIndex: 0 });
  });
});

describe('membership changes', () => {
  const address = { replica: 14, node: 4, incarnation: 'x' };
  const request = { changes: [{ type: 'addLearner', node: 14 }], replicas: [address] } as const;

  test('are answered when committed and applied; the new member gets the log', () => {
    const rig = leading();
    const outcomes: ChangeOutcome[] = [];
    rig.driver.changeMembership(1, request, (outcome) => outcomes.push(outcome));
    rig.turn();
    expect(rig.takeSends().map(({ to }) => to)).toContain(4);
    expect(rig.driver.isMembershipSettled(1)).toBe(false);
    rig.sync();
    rig.ack(1, 1, 2);
    expect(rig.driver.isMembershipSettled(1)).toBe(true);
    expect(outcomes).toMatchObject([{ status: 'applied', index: 2 }]);
    expect(rig.driver.status(1).replicas.at(-1)).toEqual({
      ...{ replica: 14, node: 4, matchIndex: 0, role: 'learner' },
    });
  });

  test('have definite refusals', () => {
    const rig = leading();
    const outcomes: string[] = [];
    const done = ({ status }: ChangeOutcome) => outcomes.push(status);
    rig.driver.changeMembership(1, { changes: [], replicas: [] }, done);
    rig.driver.changeMembership(7, request, done);
    rig.driver.changeMembership(1, request, () => undefined);
    rig.driver.changeMembership(1, request, done);
    expect(outcomes).toEqual(['invalid', 'notLeader', 'busy']);
  });
});

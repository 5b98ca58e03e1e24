import { describe, expect, test } from 'vitest';
import { type DriverRig, leading } from '../harness/raft-driver-rig.ts';

function watch(rig: DriverRig, replica: number, index: number): boolean[] {
  const told: boolean[] = [];
  rig.driver.whenMatched(1, replica, index, (matched) => told.push(matched));
  return told;
}

describe('a watch on a replica', () => {
  test('is called when the replica has the index, once', () => {
    const rig = leading();
    rig.propose(1);
    rig.propose(1);
    rig.turn();
    rig.sync();
    const told = watch(rig, 12, 3);
    rig.turns();
    rig.ack(1, 1, 2);
    expect(told).toEqual([]);
    rig.ack(1, 1, 3);
    rig.propose(1);
    rig.turns();
    expect(told).toEqual([true]);
  });

  test('is called for what was reached before, but not before the call returns', () => {
    const rig = leading();
    const told = watch(rig, 12, 1);
    expect(told).toEqual([]);
    rig.turns();
    expect(told).toEqual([true]);
  });

  test('gives up where there is nothing to wait for: no member, no leader, no driver', () => {
    const rig = leading();
    const stranger = watch(rig, 19, 1);
    rig.turns();
    expect(stranger).toEqual([false]);
    const deposed = watch(rig, 13, 9);
    const beat = { shard: 1, from: 12, to: 11, term: 2, commit: 0, round: 1, rank: 0 };
    rig.driver.receive(2, [{ ...beat, type: 'heartbeat', quiet: false }]);
    rig.turns();
    expect(deposed).toEqual([false]);
    const stopping = leading();
    const left = watch(stopping, 13, 9);
    stopping.driver.stop();
    expect(left).toEqual([false]);
  });
});

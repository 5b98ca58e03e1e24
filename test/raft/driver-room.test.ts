import { describe, expect, test } from 'vitest';
import { entries } from '../harness/raft-cluster.ts';
import { DriverRig } from '../harness/raft-driver-rig.ts';

describe('a state machine without room', () => {
  test('on a follower: what is committed is stored and answered for, and applied later', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    rig.hasRoom = false;
    const from3 = { shard: 1, from: 13, to: 11, term: 1, prevIndex: 0, prevTerm: 0 } as const;
    rig.driver.receive(3, [
      { ...from3, type: 'append', commit: 3, wantsWritten: false, entries: entries(1, 1, 1) },
    ]);
    rig.turns();
    rig.sync();
    const replies = rig.takeSends().flatMap(({ messages }) => messages);
    expect(replies).toMatchObject([{ type: 'appendReply', success: true, matchIndex: 3 }]);
    expect([rig.applied, rig.isIdle]).toEqual([[], true]);
    rig.driver.applyMore();
    rig.turns();
    expect(rig.applied).toEqual([]);
    rig.hasRoom = true;
    rig.driver.applyMore();
    rig.turns();
    expect(rig.applied).toEqual(['1:1@1', '1:2@1', '1:3@1']);
  });

  test('after a restart: nothing is read from the store before there is room', () => {
    const rig = new DriverRig({ maxApplyLoadBytes: 300 });
    rig.addShard(1, [1], entries(2, 2, 2, 2));
    rig.hasRoom = false;
    let reads = 0;
    const read = rig.read.bind(rig);
    rig.read = (...request) => {
      reads++;
      read(...request);
    };
    rig.driver.start();
    rig.turns();
    rig.wake(3000);
    rig.sync();
    rig.sync();
    const before = reads;
    expect(rig.applied).toEqual([]);
    rig.hasRoom = true;
    rig.driver.applyMore();
    rig.turns();
    expect(rig.applied).toHaveLength(5);
    expect(reads).toBeGreaterThan(before);
  });

  test('room that ends in the middle of a pass ends the pass', () => {
    const rig = new DriverRig();
    rig.addShard(1);
    rig.driver.start();
    rig.turns();
    const push = rig.applied.push.bind(rig.applied);
    rig.applied.push = (...items) => {
      rig.hasRoom = false;
      return push(...items);
    };
    const from3 = { shard: 1, from: 13, to: 11, term: 1, prevIndex: 0, prevTerm: 0 } as const;
    rig.driver.receive(3, [
      { ...from3, type: 'append', commit: 3, wantsWritten: false, entries: entries(1, 1, 1) },
    ]);
    rig.turns();
    expect([[...rig.applied], rig.appliedThrough]).toEqual([['1:1@1'], [1]]);
  });
});

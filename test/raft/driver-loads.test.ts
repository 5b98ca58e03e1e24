import { expect, test } from 'vitest';
import type { PeerMessage } from '../../raft/messages.ts';
import { entries } from '../harness/raft-cluster.ts';
import { DriverRig } from '../harness/raft-driver-rig.ts';

/** One entry per append, and no more than one on its way to a node. */
const CONFIG = { maxAppendBytes: 100, maxCatchUpBytes: 1 };
const TERM = 2;

/** Leads shards 1 and 2; node 2 has nothing of either. What is read waits in `heldReads`. */
function leadingFarAhead(): DriverRig {
  const rig = new DriverRig(CONFIG);
  for (const shard of [1, 2]) {
    rig.addShard(shard, [1, 2, 3], entries(1, 1, 1, 1), {
      hardState: { term: 1, vote: 0, commit: 0 },
    });
  }
  rig.driver.start();
  rig.turns();
  rig.lead(1, TERM);
  rig.grant(2, TERM);
  rig.heldReads = [];
  rig.driver.receive(2, [1, 2].map(hasNothing));
  rig.turns();
  rig.takeSends();
  return rig;
}

function hasNothing(shard: number): PeerMessage {
  return {
    ...{ type: 'appendReply', success: false, term: TERM, shard },
    ...{ from: 10 * shard + 2, to: 10 * shard + 1, matchIndex: 4 },
    ...{ conflictTerm: 0, conflictIndex: 1, lastIndex: 0 },
  };
}

function answerRead(rig: DriverRig): void {
  rig.heldReads?.shift()?.();
  rig.turns();
}

/** [shard, first index] of the appends since the last call. */
function appends(rig: DriverRig): number[][] {
  const messages = rig.takeSends().flatMap((sent) => (sent.to === 2 ? sent.messages : []));
  return messages.flatMap((message) =>
    message.type === 'append' && message.entries.length > 0
      ? [[message.shard, message.prevIndex + 1]]
      : [],
  );
}

test('shards read for one node in turn, each when what was read before is acknowledged', () => {
  const rig = leadingFarAhead();
  expect(rig.heldReads).toHaveLength(1);
  answerRead(rig);
  answerRead(rig);
  expect(appends(rig)).toEqual([
    [1, 1],
    [2, 1],
  ]);
  rig.ack(1, TERM, 1);
  rig.ack(2, TERM, 1);
  expect(rig.heldReads).toHaveLength(1);
  answerRead(rig);
  expect(appends(rig)).toEqual([[1, 2]]);
  expect(rig.heldReads).toHaveLength(0);
  rig.ack(1, TERM, 2);
  expect(rig.heldReads).toHaveLength(1);
  answerRead(rig);
  expect(appends(rig)).toEqual([[2, 2]]);
});

test('nothing is read for a shard that left before its turn', () => {
  const rig = leadingFarAhead();
  rig.driver.removeShard(2);
  answerRead(rig);
  expect(appends(rig)).toEqual([[1, 1]]);
  expect(rig.heldReads).toHaveLength(0);
});

test('a shard that left while it read does not hold up the others', () => {
  const rig = leadingFarAhead();
  rig.driver.removeShard(1);
  answerRead(rig);
  rig.wake();
  expect(rig.heldReads).toHaveLength(1);
  answerRead(rig);
  expect(appends(rig)).toEqual([[2, 1]]);
});

test('other nodes have a budget of their own', () => {
  const rig = leadingFarAhead();
  const other = { ...hasNothing(2), from: 23 } as PeerMessage;
  rig.driver.receive(3, [other]);
  rig.turns();
  expect(rig.heldReads).toHaveLength(2);
});

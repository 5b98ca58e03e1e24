/** Short stories that find the planted bugs which a whole cluster hardly ever meets. */
import { expect, test } from 'vitest';
import { encodeMembership } from '../../raft/membership-codec.ts';
import { type Entry, EntryType } from '../../raft/types.ts';
import {
  CoreCluster,
  entries,
  entryAt,
  membershipOf,
  SHARD,
  TestReplica,
} from '../harness/raft-cluster.ts';

/** An empty append that proves entry 1 only, to a follower with an uncommitted suffix. */
test('a follower commits only what this leader proved', () => {
  const replica = new TestReplica(1, { log: entries(1, 2, 2) });
  const proof = { prevIndex: 1, prevTerm: 1, commit: 3, wantsWritten: false, entries: [] };
  replica.step({ type: 'append', shard: SHARD, from: 2, to: 1, term: 3, ...proof });
  expect(replica.core.log.commit).toBe(1);
});

/** It arrives while an earlier read's round is under way, and only that round is answered. */
test('a read waits for a round that began after it', () => {
  const cluster = new CoreCluster([1, 2, 3]);
  const leader = cluster.elect(1);
  leader.readIndex(1);
  cluster.deliver(({ type }) => type === 'heartbeat');
  leader.readIndex(2);
  cluster.deliver(({ type }) => type === 'heartbeatReply');
  expect(leader.confirmedReads.map(({ id }) => id)).toEqual([1]);
});

test('a configuration rules from its append to its truncation', () => {
  const replica = new TestReplica(1, { log: entries(1) });
  const head = encodeMembership(membershipOf([1, 2, 3, 4]));
  const config: Entry = { ...entryAt(2, 2), type: EntryType.config, head };
  const base = { type: 'append', shard: SHARD, to: 1, prevIndex: 1, prevTerm: 1 } as const;
  const rest = { commit: 0, wantsWritten: false };
  replica.step({ ...base, ...rest, from: 2, term: 2, entries: [config] });
  expect(replica.core.currentMembership.config.voters).toEqual([1, 2, 3, 4]);
  replica.step({ ...base, ...rest, from: 3, term: 3, entries: [entryAt(2, 3)] });
  expect(replica.core.currentMembership.config.voters).toEqual([1, 2, 3]);
});

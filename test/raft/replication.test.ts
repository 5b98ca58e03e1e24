import { describe, expect, test } from 'vitest';
import type { Append, CoreMessage } from '../../raft/messages.ts';
import { CoreCluster, entries, type ReplicaOptions, SHARD } from '../harness/raft-cluster.ts';

function led(config: ReplicaOptions['config'] = {}, log: number[] = []): CoreCluster {
  const cluster = new CoreCluster([1, 2, 3], () => ({
    config: config ?? {},
    log: entries(...log),
  }));
  cluster.elect(1);
  return cluster;
}

function appendsTo(cluster: CoreCluster, to: number): Append[] {
  cluster.collect();
  const all: CoreMessage[] = cluster.inFlight;
  return all.filter((message): message is Append => message.type === 'append' && message.to === to);
}

const ack = (from: number, matchIndex: number, lastIndex = matchIndex) => ({
  ...{ shard: SHARD, from, to: 1, term: 1, type: 'appendReply' as const, success: true },
  ...{ matchIndex, conflictTerm: 0, conflictIndex: 0, lastIndex },
});

describe('pipelining', () => {
  test('appends follow each other without waiting, up to the window', () => {
    const cluster = led({ maxInflightAppends: 3 });
    for (let count = 0; count < 5; count++) cluster.replica(1).propose('x');
    expect(appendsTo(cluster, 2).map(({ prevIndex }) => prevIndex)).toEqual([1, 2, 3]);
    cluster.replica(1).step(ack(2, 3));
    const all = appendsTo(cluster, 2).map((append) => append.entries.map(({ index }) => index));
    expect(all).toEqual([[2], [3], [4], [5, 6]]);
  });

  test('a window in bytes counts too', () => {
    const cluster = led({ maxInflightBytes: 100, maxAppendBytes: 100 });
    for (let count = 0; count < 5; count++) cluster.replica(1).propose('x');
    expect(appendsTo(cluster, 2)).toHaveLength(2);
  });

  test('an append holds at most maxAppendBytes, and at least one entry', () => {
    const cluster = led({ maxAppendBytes: 150 });
    const leader = cluster.replica(1);
    cluster.isolate(2);
    for (let count = 0; count < 4; count++) leader.core.propose(body(1), false, leader.now);
    leader.core.propose(body(500), false, leader.now);
    leader.pump();
    expect(appendsTo(cluster, 2).map((append) => append.entries.length)).toEqual([2, 2, 1]);
  });
});

const body = (bytes: number) => ({
  head: new Uint8Array(bytes),
  payload: new Uint8Array(0),
  bodyCrc: 0,
});

describe('entries below the window', () => {
  test('are asked from the store, once, and sent when they come', () => {
    const cluster = new CoreCluster([1, 2, 3], (id) => ({
      log: entries(...(id === 2 ? [1] : [1, 1, 1, 1])),
      hardState: { term: 1 },
    }));
    const leader = cluster.elect(1);
    cluster.run(200);
    expect(leader.loads).toEqual([{ peer: 2, term: 2, from: 2, to: 4, maxBytes: 1_048_576 }]);
    expect(cluster.replica(2).logTerms()).toEqual([1, 1, 1, 1, 2]);
  });

  test('an answer for an older term is ignored', () => {
    const cluster = led();
    const leader = cluster.replica(1);
    const stale = { peer: 2, term: 0, from: 1, to: 1, maxBytes: 1 };
    leader.core.loaded(stale, entries(1), leader.now);
    leader.pump();
    expect(appendsTo(cluster, 2)).toEqual([]);
  });

  test('a follower that needs what is gone waits for a snapshot, and is not spammed', () => {
    const cluster = led();
    cluster.isolate(2);
    const leader = cluster.replica(1);
    for (let count = 0; count < 3; count++) leader.propose('x');
    cluster.run(100);
    leader.core.setLogStart({ index: 3, term: 1 });
    leader.pump();
    cluster.heal();
    leader.core.peerUp(2, leader.now);
    leader.pump();
    cluster.run(1000);
    expect(cluster.replica(2).core.log.lastIndex).toBe(1);
    expect(leader.core.log.commit).toBe(4);
    leader.propose('goes on');
    cluster.settle();
    expect(leader.core.log.commit).toBe(5);
  });
});

describe('answers', () => {
  test('of an older term, of a stranger and repeated ones count for nothing', () => {
    const cluster = led();
    const leader = cluster.replica(1);
    leader.isDiskManual = true;
    leader.propose('x');
    leader.step({ ...ack(2, 2), term: 0 });
    leader.step(ack(9, 2));
    leader.step(ack(2, 1));
    leader.step(ack(2, 1));
    expect(leader.core.log.commit).toBe(1);
    leader.step(ack(2, 2));
    expect(leader.core.log.commit).toBe(1);
    leader.step(ack(3, 2));
    expect(leader.core.log.commit).toBe(2);
  });

  test('written marks never commit', () => {
    const cluster = led();
    const leader = cluster.replica(1);
    leader.isDiskManual = true;
    leader.propose('x', true);
    for (const from of [2, 3]) {
      leader.step({ shard: SHARD, from, to: 1, term: 1, type: 'written', index: 2 });
    }
    expect([leader.core.log.commit, leader.core.majorityWritten]).toEqual([1, 2]);
  });

  test('a late refusal of something that matched meanwhile is ignored', () => {
    const cluster = led();
    const leader = cluster.replica(1);
    leader.propose('x');
    cluster.settle();
    leader.step({ ...ack(2, 1), success: false, conflictIndex: 1 });
    leader.propose('y');
    expect(appendsTo(cluster, 2).map(({ prevIndex }) => prevIndex)).toEqual([2]);
  });

  test('only followers that are asked to say when it is written', () => {
    const cluster = led();
    const leader = cluster.replica(1);
    leader.propose('quiet');
    leader.propose('loud', true);
    leader.propose('quiet again');
    const wants = appendsTo(cluster, 2).map(({ wantsWritten }) => wantsWritten);
    expect(wants).toEqual([false, true, false]);
  });
});

describe('memory of a follower', () => {
  const append = (prevIndex: number, commit: number): Append => ({
    ...{ type: 'append', shard: SHARD, from: 2, to: 1, term: 1, commit, wantsWritten: false },
    ...{ prevIndex, prevTerm: prevIndex === 0 ? 0 : 1 },
    entries: entries(1, 1, 1, 1).slice(prevIndex, prevIndex + 2),
  });

  test('that lacks what is committed holds nothing that it has applied and synced', () => {
    const follower = new CoreCluster([1, 2, 3]).replica(1);
    follower.isDiskManual = true;
    follower.step(append(0, 4));
    expect([follower.core.log.applied, follower.core.log.windowFirst]).toEqual([2, 1]);
    follower.sync();
    expect(follower.core.log.windowFirst).toBe(3);
    follower.step(append(2, 4));
    follower.sync();
    expect(follower.core.log.applied).toBe(4);
    expect(follower.core.log.windowFirst).toBe(3);
  });
});

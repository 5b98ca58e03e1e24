import { describe, expect, it } from 'vitest';
import { agree } from '../../chaos/cluster.ts';
import { type Attack, queuesLedBy, victims } from '../../chaos/nemesis.ts';
import type { ClusterDescription } from '../../chaos/workload/methods.ts';

const pids = new Map([
  [1, 101],
  [2, 102],
  [3, 103],
]);
const leaders = new Map([
  [0, 1],
  [1, 2],
  [2, 3],
]);
const plan: Attack = { scenario: 'kill-leader', kills: 9, betweenMs: 0, shardOfQueue: [1, 2, 1] };

describe('whom to kill', () => {
  it('the leader of each queue in turn, which takes all its queues with it', () => {
    const chosen = [0, 1, 2, 3].map((kill) => victims(plan, { pids, leaders }, kill));
    expect(chosen).toEqual([[2], [3], [2], [2]]);
    expect(queuesLedBy(plan, { pids, leaders }, [2])).toEqual([0, 2]);
  });

  it('everybody', () => {
    const all = victims({ ...plan, scenario: 'kill-all' }, { pids, leaders }, 0);
    expect(all).toEqual([1, 2, 3]);
    expect(queuesLedBy(plan, { pids, leaders }, all)).toEqual([0, 1, 2]);
  });
});

describe('a whole cluster', () => {
  const view = (node: number, leader = 1, up = true): ClusterDescription => ({
    node,
    nodes: [1, 2].map((id) => ({ id, pid: 100 + id, up: up || id === node })),
    shards: [{ id: 0, leader, commit_index: 5, replicas: [] }],
  });

  it.each([
    ['all see the same', [view(1), view(2)], true],
    ['one does not answer', [view(1), undefined], false],
    ['the first does not answer', [undefined, view(2)], false],
    ['one misses the other', [view(1), view(2, 1, false)], false],
    ['a shard without a leader', [view(1, 0), view(2, 0)], false],
    ['two leaders', [view(1, 1), view(2, 2)], false],
  ])('%s', (_, views, whole) => {
    expect(agree(views)).toBe(whole);
  });
});

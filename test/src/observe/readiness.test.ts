import { expect, it } from 'vitest';
import { readinessOf } from '../../../src/observe/readiness.ts';
import type { ShardStatus } from '../../../src/shards/api.ts';

const status = (shard: number, leader: number | undefined): ShardStatus => ({
  ...{ shard, leader, term: 4, commitIndex: 9, appliedIndex: 8, suspect: shard === 2 },
  replicas: [],
});

function hostOf(...leaders: (number | undefined)[]) {
  return {
    node: 3,
    leaderOf: (shard: number) => leaders[shard],
    status: () => leaders.map((leader, shard) => status(shard, leader)),
  };
}

it('is ready when it serves and the metadata has a leader; shows every shard', () => {
  const report = readinessOf(hostOf(1, 2, 3), true);
  expect(report).toMatchObject({ ready: true, node: 3 });
  expect(report).not.toHaveProperty('reason');
  expect(report.shards[2]).toEqual({
    ...{ shard: 2, ready: true, leader: 3, term: 4 },
    ...{ commit_index: 9, applied_index: 8, suspect: true },
  });
});

it('a data shard without a leader is shown, and others are served', () => {
  const report = readinessOf(hostOf(1, undefined), true);
  expect(report.ready).toBe(true);
  expect(report.shards[1]).toMatchObject({ ready: false, leader: null });
});

it.each([
  [hostOf(undefined, 1), true, /metadata shard has no leader/],
  [hostOf(1, 1), false, /not caught up, or this node is stopping/],
])('not ready, and why', (host, isServing, reason) => {
  const report = readinessOf(host, isServing);
  expect(report.ready).toBe(false);
  expect(report.reason).toMatch(reason);
  expect(report.shards).toHaveLength(2);
});

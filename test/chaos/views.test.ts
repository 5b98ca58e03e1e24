import { describe, expect, it } from 'vitest';
import { agree, levelWith, newestLeaders } from '../../chaos/cluster/views.ts';
import type { ClusterDescription } from '../../chaos/workload/methods.ts';

const view = (node: number, leader = 1, up = true, term = 1): ClusterDescription => ({
  node,
  nodes: [1, 2].map((id) => ({ id, pid: 100 + id, up: up || id === node })),
  shards: [{ id: 0, leader, term, commit_index: 5, replicas: [{ node: 2, match_index: 4 }] }],
});

describe('a whole cluster', () => {
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

  it('holds what was committed', () => {
    expect(levelWith(view(1), new Map([[0, 4]]))).toBe(true);
    expect(levelWith(view(1), new Map([[0, 5]]))).toBe(false);
  });
});

it('of two leaders the one of the newer term counts', () => {
  const deposed = view(1, 1, true, 3);
  const elected = view(2, 2, true, 4);
  expect(newestLeaders([deposed, elected])).toEqual(new Map([[0, 2]]));
  expect(newestLeaders([elected, undefined, deposed])).toEqual(new Map([[0, 2]]));
  expect(newestLeaders([undefined])).toEqual(new Map());
});

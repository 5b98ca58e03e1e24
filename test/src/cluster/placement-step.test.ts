import { describe, expect, it } from 'vitest';
import type { ReplicaAddress } from '../../../raft/types.ts';
import { nextStep } from '../../../src/cluster/placement-step.ts';

const on = (node: number, replica: number): ReplicaAddress => ({
  node,
  replica,
  incarnation: `i${node}`,
});

describe('a placement in which no voter stays', () => {
  const old = [on(1, 1), on(2, 2), on(3, 3)];
  const wanted = [on(2, 6), on(4, 4), on(5, 5)];
  const membership = {
    config: { voters: [1, 2, 3], votersOutgoing: [], learners: [4, 5, 6], learnersNext: [] },
    replicas: [...old, ...wanted],
  };

  it('leaves but the leader of the old ones: no node gets a second vote', () => {
    const step = nextStep({
      placement: {
        ...{ shard: 1, version: 3, placedVersion: 2, nextReplica: 7, leader: 2 },
        ...{ voters: wanted, learners: [], leaving: old },
      },
      membership,
      isSettled: true,
      self: 1,
      isCaughtUp: () => true,
      isUp: () => true,
    });
    expect(step).toEqual({
      type: 'change',
      changes: [
        { type: 'addVoter', node: 6 },
        { type: 'addVoter', node: 4 },
        { type: 'addVoter', node: 5 },
        { type: 'remove', node: 2 },
        { type: 'remove', node: 3 },
      ],
      replicas: [],
    });
  });
});

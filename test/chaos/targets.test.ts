import { describe, expect, it } from 'vitest';
import type { Stage } from '../../chaos/nemesis/nemesis.ts';
import { queuesLedBy, someFollower, someLeader, someNodes } from '../../chaos/nemesis/targets.ts';
import { Random } from '../../chaos/run/random.ts';

const leaders = new Map([
  [0, 1],
  [1, 2],
  [2, 3],
]);
const shardOfQueue = [1, 2, 1];
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

const stage = (seed: number) => {
  const cluster = { nodes: [1, 2, 3] };
  return { cluster, shardOfQueue, leaders, random: new Random(seed) } as unknown as Stage;
};
const drawn = <T>(draw: (on: Stage) => T): T[] => SEEDS.map((seed) => draw(stage(seed)));

describe('whom to hit', () => {
  it('the leader of some queue, which takes all its queues with it', () => {
    expect(new Set(drawn(someLeader))).toEqual(new Set([2, 3]));
    expect(queuesLedBy({ shardOfQueue, leaders }, [2])).toEqual([0, 2]);
    expect(queuesLedBy({ shardOfQueue, leaders }, [1, 2, 3])).toEqual([0, 1, 2]);
    expect(queuesLedBy({ shardOfQueue, leaders }, [1])).toEqual([]);
  });

  it('a follower is not that leader', () => {
    const onlyTwo = (seed: number) => ({ ...stage(seed), shardOfQueue: [1] }) as Stage;
    expect(new Set(SEEDS.map((seed) => someFollower(onlyTwo(seed))))).toEqual(new Set([1, 3]));
  });

  it('some nodes are at least one and never all', () => {
    const sizes = new Set(drawn(someNodes).map((nodes) => new Set(nodes).size));
    expect(sizes).toEqual(new Set([1, 2]));
  });

  it('follows from the seed', () => {
    expect(drawn(someNodes)).toEqual(drawn(someNodes));
  });
});

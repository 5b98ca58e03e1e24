import { describe, expect, it } from 'vitest';
import type { Stage } from '../../chaos/nemesis/nemesis.ts';
import {
  inAnyOrder,
  provable,
  queuesLedBy,
  someFollower,
  someLeader,
  someMinority,
  someNode,
  someNodes,
} from '../../chaos/nemesis/targets.ts';
import { Choices } from '../../chaos/run/choices.ts';
import { Random } from '../../chaos/run/random.ts';

const leaders = new Map([
  [0, 1],
  [1, 2],
  [2, 3],
]);
const shardOfQueue = [1, 2, 1];
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

const stage = (seed: number, choice = new Choices().ofOne()) => {
  const cluster = { nodes: [1, 2, 3] };
  const random = new Random(seed);
  return { cluster, shardOfQueue, leaders, random, ...choice } as unknown as Stage;
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

  it('a minority has no majority of any group', () => {
    const five = (groups: number[][]) => (seed: number) => {
      const on = { ...stage(seed), cluster: { nodes: [1, 2, 3, 4, 5] } } as unknown as Stage;
      return someMinority(on, groups).sort((a, b) => a - b);
    };
    const sizes = (groups: number[][]) => new Set(SEEDS.map(five(groups)).map((n) => n.length));
    expect(sizes([[1, 2, 3, 4, 5]])).toEqual(new Set([2]));
    const apart = [
      [1, 2, 3],
      [2, 3, 4],
      [3, 4, 5],
    ];
    for (const nodes of SEEDS.map(five(apart))) {
      expect(nodes.length).toBeGreaterThan(0);
      for (const group of apart) {
        expect(group.filter((node) => nodes.includes(node)).length).toBeLessThan(2);
      }
    }
    expect(sizes([[1, 2]])).toEqual(new Set([3]));
  });

  it('follows from the seed', () => {
    expect(drawn(someNodes)).toEqual(drawn(someNodes));
  });
});

describe('of two faults of one step', () => {
  const pairs = <T>(first: (on: Stage) => unknown, second: (on: Stage) => T): T[] =>
    SEEDS.map((seed) => {
      const choices = new Choices();
      const [one, other] = [choices.ofOne(), choices.ofOne()];
      first(stage(seed, one));
      return second(stage(seed + 1, other));
    });
  const takes = (node: number) => (on: Stage) => on.claim([node]);

  it('the second one chooses somebody else', () => {
    expect(new Set(pairs(takes(2), someLeader))).toEqual(new Set([3]));
    expect(new Set(pairs(takes(2), someNode))).toEqual(new Set([1, 3]));
    expect(new Set(pairs(takes(2), someFollower))).toEqual(new Set([1, 3]));
    expect(new Set(pairs(takes(2), someNodes).flat())).toEqual(new Set([1, 3]));
    const minority = (on: Stage) => someMinority(on, [[1, 2, 3]]);
    expect(new Set(pairs(takes(2), minority).flat())).toEqual(new Set([1, 3]));
    expect(new Set(pairs(takes(2), inAnyOrder).map((order) => order.at(-1)))).toEqual(new Set([2]));
  });

  it.each([someLeader, someFollower, someNode])('what %o chooses is known to others', (choose) => {
    for (const isFree of pairs(
      (on) => [choose(on)].filter((node) => on.isTaken(node)),
      (on) => [1, 2, 3].filter((node) => !on.isTaken(node)).length,
    )) {
      expect(isFree).toBe(2);
    }
  });

  it('a follower, too, whoever leads', () => {
    const twoTaken = (on: Stage) => on.claim([1, 3]);
    expect(new Set(pairs(twoTaken, someFollower))).toEqual(new Set([2]));
  });

  it('takes somebody all the same where nobody is left', () => {
    const all = (on: Stage) => on.claim([1, 2, 3]);
    expect(new Set(pairs(all, someLeader))).toEqual(new Set([2, 3].concat([1])));
    for (const nodes of pairs(all, someNodes)) expect(nodes.length).toBeGreaterThan(0);
  });

  it('proves nothing on links of the other', () => {
    const links = [
      { from: 1, to: 2 },
      { from: 3, to: 1 },
      { from: 0, to: 2 },
    ];
    for (const left of pairs(takes(2), (on) => provable(on, links))) {
      expect(left).toEqual([{ from: 3, to: 1 }]);
    }
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planLeaders } from '../../../src/cluster/leader-plan.ts';
import { META_VOTERS_MAX, planMeta, planReplicas } from '../../../src/cluster/replica-plan.ts';

type Held = Map<number, number[]>;

const numbers = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
const empty = (shards: number): Held => new Map(numbers(shards).map((shard) => [shard, []]));

function loads(plan: Held, nodes: readonly number[]): number[] {
  const all = [...plan.values()].flat();
  return nodes.map((node) => all.filter((one) => one === node).length);
}

const spreadOf = (counts: readonly number[]) => Math.max(...counts) - Math.min(...counts);

/** Replicas in `after` that were not in `before`. */
function moved(before: Held, after: Held): number {
  let count = 0;
  for (const [shard, nodes] of after) {
    count += nodes.filter((node) => !before.get(shard)!.includes(node)).length;
  }
  return count;
}

/**
 * The fewest replicas that must be newly made: those lost, and those that an even spread needs. A
 * bound from below: which shards may meet on a node can make more of them necessary.
 */
function leastMoves(before: Held, nodes: readonly number[], copies: number): number {
  const kept = new Map(
    [...before].map(([shard, held]) => [shard, held.filter((node) => nodes.includes(node))]),
  );
  const total = before.size * copies;
  const counts = loads(kept, nodes).sort((left, right) => right - left);
  const floor = Math.floor(total / nodes.length);
  const extra = total - floor * nodes.length;
  // The fullest nodes are those that may have one more.
  const goals = counts.map((_, at) => floor + (at < extra ? 1 : 0));
  return counts.reduce((sum, count, at) => sum + Math.max(0, goals[at]! - count), 0);
}

/** How far above that bound a plan may be: it is greedy, not exhaustive. Never seen: more. */
const SLACK = 2;

const churn = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 });

describe('the plan of replicas', () => {
  it('over any order of joining and leaving: full, spread, and no more moved than needed', () => {
    fc.assert(
      fc.property(churn, fc.integer({ min: 1, max: 16 }), (steps, shards) => {
        let nodes = [1];
        let plan = planReplicas({ nodes, replicationFactor: 3, held: empty(shards) });
        for (const node of steps) {
          const next = nodes.includes(node)
            ? nodes.filter((one) => one !== node)
            : [...nodes, node].sort((left, right) => left - right);
          if (next.length === 0) continue;
          nodes = next;
          const before = plan;
          plan = planReplicas({ nodes, replicationFactor: 3, held: before });
          const copies = Math.min(3, nodes.length);
          for (const held of plan.values()) {
            expect(held).toHaveLength(copies);
            expect(new Set(held).size).toBe(copies);
            expect(held.every((one) => nodes.includes(one))).toBe(true);
          }
          expect(spreadOf(loads(plan, nodes))).toBeLessThanOrEqual(1);
          expect(moved(before, plan)).toBeLessThanOrEqual(
            leastMoves(before, nodes, copies) + SLACK,
          );
          expect(planReplicas({ nodes, replicationFactor: 3, held: plan })).toEqual(plan);
        }
      }),
      { numRuns: 100, seed: 20 },
    );
  });

  it('growing 3 → 4 → 5 gives each new node its share and moves nothing else', () => {
    const three = planReplicas({ nodes: [1, 2, 3], replicationFactor: 3, held: empty(12) });
    const four = planReplicas({ nodes: [1, 2, 3, 4], replicationFactor: 3, held: three });
    expect(moved(three, four)).toBe(9);
    expect(loads(four, [1, 2, 3, 4])).toEqual([9, 9, 9, 9]);
    const five = planReplicas({ nodes: [1, 2, 3, 4, 5], replicationFactor: 3, held: four });
    expect(moved(four, five)).toBe(7);
    expect(loads(five, [1, 2, 3, 4, 5]).sort()).toEqual([7, 7, 7, 7, 8]);
  });

  it('fewer nodes than copies: one on each', () => {
    const plan = planReplicas({ nodes: [4, 6], replicationFactor: 3, held: empty(2) });
    expect([...plan.values()]).toEqual([
      [4, 6],
      [4, 6],
    ]);
  });
});

describe('the plan of leaders', () => {
  const voters = fc.array(
    fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
    { minLength: 1, maxLength: 7 },
  );

  const leads = (plan: Map<number, number>): number[] =>
    numbers(5).map((node) => [...plan.values()].filter((one) => one === node).length);

  /** The least sum of squares that any choice reaches, by trying all of them. */
  function bestSquares(lists: readonly (readonly number[])[], counts: number[], at = 0): number {
    if (at === lists.length) return counts.reduce((sum, count) => sum + count * count, 0);
    let best = Number.POSITIVE_INFINITY;
    for (const node of lists[at]!) {
      counts[node - 1]! += 1;
      best = Math.min(best, bestSquares(lists, counts, at + 1));
      counts[node - 1]! -= 1;
    }
    return best;
  }

  it('is as even as any choice could be, and stays when asked again', () => {
    fc.assert(
      fc.property(voters, fc.array(fc.integer({ min: 1, max: 5 })), (lists, wishes) => {
        const shards = new Map(lists.map((nodes, at) => [at + 1, nodes]));
        const present = new Map(wishes.map((node, at) => [at + 1, node]));
        const plan = planLeaders(shards, present);
        for (const [shard, node] of plan) expect(shards.get(shard)).toContain(node);
        const squares = leads(plan).reduce((sum, count) => sum + count * count, 0);
        expect(squares).toBe(bestSquares(lists, [0, 0, 0, 0, 0]));
        expect(planLeaders(shards, plan)).toEqual(plan);
      }),
      { numRuns: 500 },
    );
  });

  it('an even one is left alone', () => {
    const shards = new Map([1, 2, 3].map((shard) => [shard, [1, 2, 3]]));
    const present = new Map([
      [1, 3],
      [2, 1],
      [3, 2],
    ]);
    expect(planLeaders(shards, present)).toEqual(present);
  });
});

describe('the plan of the metadata', () => {
  it('up to five vote, the others learn, and a voter that goes is replaced', () => {
    expect(META_VOTERS_MAX).toBe(5);
    const seven = planMeta(numbers(7), []);
    expect(seven).toEqual({ voters: [1, 2, 3, 4, 5], learners: [6, 7] });
    expect(planMeta([1, 3, 4, 5, 6, 7], seven.voters)).toEqual({
      voters: [1, 3, 4, 5, 6],
      learners: [7],
    });
    expect(planMeta(numbers(7), [2, 3, 4, 6, 7]).learners).toEqual([1, 5]);
    expect(planMeta([2], [1, 2, 3])).toEqual({ voters: [2], learners: [] });
  });
});

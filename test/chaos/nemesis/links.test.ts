import { describe, expect, it } from 'vitest';
import { CLIENTS, type Link } from '../../../chaos/cluster/proxies.ts';
import {
  bridgeCuts,
  linksAcross,
  linksBetween,
  linksOf,
  minorityFirst,
  peerLinks,
  ringCuts,
} from '../../../chaos/nemesis/links.ts';

/** Whom each node still hears, itself included. */
function heardBy(nodes: readonly number[], cuts: readonly Link[]): Map<number, number[]> {
  const isCut = (from: number, to: number) => {
    return cuts.some((link) => link.from === from && link.to === to);
  };
  return new Map(nodes.map((to) => [to, nodes.filter((from) => !isCut(from, to))]));
}

const FIVE = [3, 1, 5, 2, 4];

describe('which links', () => {
  it('one way is not the other', () => {
    expect(linksBetween([1], [2, 3])).toEqual([
      { from: 1, to: 2 },
      { from: 1, to: 3 },
    ]);
    expect(linksAcross([1], [2])).toEqual([
      { from: 1, to: 2 },
      { from: 2, to: 1 },
    ]);
  });

  it('a node has none with itself', () => {
    expect(peerLinks([1, 2])).toEqual(linksAcross([1], [2]));
    expect(peerLinks([1, 2, 3])).toHaveLength(6);
    expect(linksOf(2, [1, 2])).toEqual([...linksAcross([2], [1]), { from: CLIENTS, to: 2 }]);
  });

  it('halves: the smaller part is no majority', () => {
    expect(minorityFirst([3, 1, 2])).toEqual([[3], [1, 2]]);
    expect(minorityFirst(FIVE)).toEqual([
      [3, 1],
      [5, 2, 4],
    ]);
  });

  it.each([[[2, 3, 1]], [FIVE]])(
    'a bridge: the last of %j hears all, no half the other',
    (order) => {
      const heard = heardBy(order, bridgeCuts(order));
      const half = (order.length - 1) / 2;
      for (const [at, node] of order.slice(0, -1).entries()) {
        const own = at < half ? order.slice(0, half) : order.slice(half, -1);
        expect(new Set(heard.get(node))).toEqual(new Set([...own, order.at(-1)]));
      }
      expect(heard.get(order.at(-1)!)).toEqual(order);
    },
  );

  it('a ring of majorities: three of five each, no two the same, both ways', () => {
    const heard = [...heardBy(FIVE, ringCuts(FIVE)).values()];
    for (const nodes of heard) expect(nodes).toHaveLength(3);
    expect(new Set(heard.map((nodes) => [...nodes].sort().join(' '))).size).toBe(5);
    const cuts = ringCuts(FIVE).map(({ from, to }) => `${from} ${to}`);
    expect(ringCuts(FIVE).every(({ from, to }) => cuts.includes(`${to} ${from}`))).toBe(true);
  });
});

/** The ways in which a network falls apart: which directed links are cut. */
import type { NodeId } from '../../raft/types.ts';
import type { Random } from './random.ts';

export const PARTITIONS = [
  'isolate',
  'oneWay',
  'oneLink',
  'halves',
  'bridge',
  'ring',
  'chain',
] as const;
export type Partition = (typeof PARTITIONS)[number];

export type Link = readonly [from: NodeId, to: NodeId];

type SeesEachOther = (left: NodeId, right: NodeId) => boolean;

/** `victim` is the one that it hurts most, where there is one. */
export function linksCut(
  partition: Partition,
  nodes: readonly NodeId[],
  victim: NodeId,
  random: Random,
): readonly Link[] {
  const order = random.shuffled(nodes);
  switch (partition) {
    case 'isolate':
      return bothWays(nodes, (left, right) => left !== victim && right !== victim);
    case 'oneWay': {
      const isDeaf = random.chance(0.5);
      const others = nodes.filter((node) => node !== victim);
      return others.map((other) => (isDeaf ? [other, victim] : [victim, other]));
    }
    case 'oneLink': {
      const others = nodes.filter((node) => node !== victim);
      return others.length === 0 ? [] : [[victim, random.pick(others)]];
    }
    case 'halves': {
      const half = new Set(order.slice(0, random.between(1, Math.max(1, order.length - 1))));
      return bothWays(nodes, (left, right) => half.has(left) === half.has(right));
    }
    case 'bridge': {
      const half = new Set(order.slice(0, order.length >> 1));
      const isBridged: SeesEachOther = (left, right) => left === victim || right === victim;
      return bothWays(
        nodes,
        (left, right) => isBridged(left, right) || half.has(left) === half.has(right),
      );
    }
    case 'ring':
    case 'chain':
      return bothWays(nodes, neighbours(order, partition === 'ring'));
    default:
      return unknownPartition(partition);
  }
}

/** Everybody sees only the next ones: no two see the same majority. */
function neighbours(order: readonly NodeId[], isClosed: boolean): SeesEachOther {
  return (left, right) => {
    const distance = Math.abs(order.indexOf(left) - order.indexOf(right));
    return distance === 1 || (isClosed && distance === order.length - 1);
  };
}

function bothWays(nodes: readonly NodeId[], seesEachOther: SeesEachOther): Link[] {
  const links: Link[] = [];
  for (const from of nodes) {
    for (const to of nodes) if (from !== to && !seesEachOther(from, to)) links.push([from, to]);
  }
  return links;
}

function unknownPartition(partition: never): never {
  throw new Error(`unknown partition ${String(partition)}`);
}

/** Births of clusters for tests: `born(3)` = nodes 1 to 3 with incarnations `i1` to `i3`. */
import type { Birth } from '../../src/cluster/birth-placement.ts';

export function born(nodes: number, dataShards = 12, replicationFactor = 3): Birth {
  const members = Array.from({ length: nodes }, (_, at) => ({
    node: at + 1,
    incarnation: `i${at + 1}`,
  }));
  return { dataShards, replicationFactor, members };
}

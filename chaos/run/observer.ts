/** Asks every node all the time who leads, and writes down each new leader of each shard. */
import type { AttackedCluster } from '../cluster/attacked-cluster.ts';
import type { View } from '../cluster/views.ts';
import { nowMs } from '../history.ts';
import type { Load } from '../workload/load.ts';

const PACE_MS = 200;

/** Until the load ends. A node that hangs holds up nobody's answers but its own. */
export async function observeLeaders(cluster: AttackedCluster, load: Load): Promise<void> {
  const seen = new Set<string>();
  await Promise.all(cluster.nodes.map((node) => observeThrough(cluster, node, load, seen)));
}

async function observeThrough(
  cluster: AttackedCluster,
  node: number,
  load: Load,
  seen: Set<string>,
): Promise<void> {
  while (load.running) {
    record(await cluster.view(node), load, seen);
    await load.pace(PACE_MS);
  }
  record(await cluster.view(node), load, seen);
}

function record(view: View, load: Load, seen: Set<string>): void {
  for (const { id: shard, leader: node, term } of view?.shards ?? []) {
    const key = `${shard} ${term} ${node}`;
    if (node === 0 || seen.has(key)) continue;
    seen.add(key);
    load.record({ type: 'leader', atMs: nowMs(), shard, node, term });
  }
}

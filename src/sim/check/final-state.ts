/**
 * At the end of a run: what every replica that has applied everything holds in memory is what the
 * logs add up to, whether it came there entry by entry, by its own rows, or by a snapshot.
 */
import type { SimCluster } from '../cluster.ts';

export function expectFinalStates(cluster: SimCluster): void {
  const { ledger } = cluster.judge;
  ledger.spanning.expectEnd();
  // Elsewhere logs are cut whatever lives in them.
  const isLogKept = !cluster.swarm.retention;
  for (const shard of cluster.dataShards) {
    const last = cluster.committed.of(shard).length;
    for (const { driver, machine } of cluster.nodes) {
      if (driver?.holds(shard) !== true || machine.appliedIndex(shard) !== last) continue;
      const logTrim = isLogKept ? machine.life.machine.logTrim(shard) : 0;
      ledger.expectState(shard, machine.data(shard), logTrim);
    }
  }
}

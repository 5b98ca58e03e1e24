/** Kills node processes with SIGKILL; the next kill waits for a cluster that is whole again. */
import type { Cluster, WholeCluster } from './cluster.ts';
import { nowMs } from './history.ts';
import type { Load } from './workload/load.ts';

/** Recovery without hands has this long; it is a bound on waiting, not a goal. */
export const RECOVERY_TIMEOUT_MS = 120_000;

export const SCENARIOS = ['kill-leader', 'kill-all'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export interface Attack {
  readonly scenario: Scenario;
  readonly kills: number;
  readonly betweenMs: number;
  /** By queue number. */
  readonly shardOfQueue: readonly number[];
}

/** Resolves after the last kill and some load behind it, with a whole cluster. */
export async function attack(cluster: Cluster, load: Load, plan: Attack): Promise<void> {
  const whole = () => cluster.whole(RECOVERY_TIMEOUT_MS, () => load.running);
  let before = await whole();
  for (let kill = 0; before !== undefined && kill < plan.kills; kill++) {
    await load.pace(plan.betweenMs);
    before = await whole();
    if (before === undefined || !load.running) break;
    const nodes = victims(plan, before, kill);
    const atMs = nowMs();
    for (const node of nodes) killProcess(before.pids.get(node) ?? 0);
    const after = await whole();
    const landed =
      after !== undefined && nodes.every((n) => after.pids.get(n) !== before?.pids.get(n));
    load.record({ type: 'kill', atMs, nodes, queues: queuesLedBy(plan, before, nodes), landed });
    before = after;
  }
  if (before !== undefined) await load.pace(plan.betweenMs);
  else if (cluster.ended) load.trouble('nemesis', 'holdfast up ended by itself');
  else if (load.running) {
    load.trouble('nemesis', `not whole ${RECOVERY_TIMEOUT_MS / 1000} s after the last kill`);
  }
}

/** Everybody, or the leader of each queue in turn. */
export function victims(plan: Attack, { pids, leaders }: WholeCluster, kill: number): number[] {
  if (plan.scenario === 'kill-all') return [...pids.keys()];
  const shard = plan.shardOfQueue[kill % plan.shardOfQueue.length];
  return [leaders.get(shard ?? 0) ?? 0];
}

export function queuesLedBy(
  { shardOfQueue }: Attack,
  { leaders }: WholeCluster,
  nodes: readonly number[],
): number[] {
  return shardOfQueue.flatMap((shard, queue) =>
    nodes.includes(leaders.get(shard) ?? 0) ? [queue] : [],
  );
}

function killProcess(pid: number): void {
  // 0 and negative numbers would mean whole process groups.
  if (pid <= 1) throw new Error(`a node gave ${pid} as its process id`);
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It died between the status and now: the next status shows another process.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

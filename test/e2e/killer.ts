/** Kills leaders (or everybody) with SIGKILL at a steady pace; the supervisor brings them back. */
import type { ClusterProcess, ClusterStatus } from './cluster-process.ts';
import type { GapMeter } from './gaps.ts';

export type Attack = 'leader' | 'all' | 'none';

export interface KillPlan {
  readonly attack: Attack;
  readonly everyMs: number;
  /** Shard of each queue, by queue number. */
  readonly shardOfQueue: readonly number[];
  readonly killsMax: number;
}

export class Killer {
  readonly #cluster: ClusterProcess;
  readonly #plan: KillPlan;
  readonly #gaps: GapMeter;
  #kills = 0;
  #stopped = false;

  constructor(cluster: ClusterProcess, plan: KillPlan, gaps: GapMeter) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#gaps = gaps;
  }

  get kills(): number {
    return this.#kills;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Until stopped or done. Each kill waits for a cluster that is whole again. */
  async run(): Promise<void> {
    const { attack, everyMs, killsMax } = this.#plan;
    if (attack === 'none') return;
    while (!this.#stopped && this.#kills < killsMax) {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      if (this.#stopped) return;
      const status = await this.#whole();
      if (status === undefined) return;
      if (attack === 'all') this.#killAll(status);
      else this.#killLeader(status);
      this.#kills++;
    }
  }

  /** Every node up, every shard led, every replica caught up with what was committed. */
  async #whole(): Promise<ClusterStatus | undefined> {
    while (!this.#stopped) {
      const status = await this.#cluster.status().catch(() => undefined);
      const whole =
        status?.nodes.every((node) => node.up) && status.shards.every((shard) => shard.leader > 0);
      if (status !== undefined && whole) return status;
    }
    return undefined;
  }

  #killLeader(status: ClusterStatus): void {
    const { shardOfQueue } = this.#plan;
    const shard = shardOfQueue[this.#kills % shardOfQueue.length] as number;
    const leaderOf = (id: number): number =>
      status.shards.find((candidate) => candidate.id === id)?.leader ?? 0;
    const victim = leaderOf(shard);
    const queues = shardOfQueue.flatMap((id, queue) => (leaderOf(id) === victim ? [queue] : []));
    const node = status.nodes.find(({ id }) => id === victim);
    if (node === undefined) return;
    this.#gaps.kill(queues);
    kill(node.pid);
  }

  #killAll(status: ClusterStatus): void {
    this.#gaps.kill(this.#plan.shardOfQueue.map((_, queue) => queue));
    for (const { pid } of status.nodes) kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself between the status and now: the run will show why.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

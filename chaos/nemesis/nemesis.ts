/** What every fault is, and what it works on. */
import type { AttackedCluster } from '../cluster/attacked-cluster.ts';
import type { Leaders } from '../cluster/views.ts';
import type { Random } from '../run/random.ts';
import type { Load } from '../workload/load.ts';

/**
 * What a fault cannot do without: our processes, proxies on all links or only on those of clients,
 * our library in nodes.
 */
export type Need = 'processes' | 'proxies' | 'client-links' | 'shim';

/** `indeterminate`: something was done, and nobody can say whether it took. */
export type Installed = 'installed' | 'skipped' | 'indeterminate';

/** One application of a fault. */
export interface Strike {
  readonly state: Installed;
  /** Why it did not take, or what exactly was done. */
  readonly text?: string;
  /** Whom it hit. */
  readonly nodes: readonly number[];
  /** The queues whose leader was hit. */
  readonly queues: readonly number[];
}

export interface Stage {
  readonly cluster: AttackedCluster;
  /** Every choice of a strike comes from here. */
  readonly random: Random;
  readonly load: Load;
  /** By queue number. */
  readonly shardOfQueue: readonly number[];
  /** When the cluster was last whole, right before the strike. */
  readonly leaders: Leaders;
  /** What other faults of the same step shall not choose. */
  claim(nodes: readonly number[]): void;
  /** Another fault of the same step has chosen it: nothing can be proved on it. */
  isTaken(node: number): boolean;
  /** Every fault of the step has chosen: each does so before it first waits. */
  readonly begun: Promise<void>;
  /** Until the time is over or the run is to stop. */
  hold(ms: number): Promise<void>;
}

export interface Nemesis {
  readonly name: string;
  /** One line for `chaos list`. */
  readonly does: string;
  readonly needs: readonly Need[];
  /** Some shard has to get another leader. */
  readonly movesLeader: boolean;
  /** Fewer nodes do not have the shape that it makes; 3 when not given. */
  readonly nodesMin?: number;
  /** Inflicts it, holds it for about `holdMs`, takes it back. A fault that did not take says so. */
  strike(stage: Stage, holdMs: number): Promise<Strike>;
}

/** What the nemesis hands to a strike, and what many of them do. */
import type { SimCluster } from './cluster.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

export const DOWN_MAX_MS = 3000;

/** What a strike works with. */
export interface Stage {
  readonly cluster: SimCluster;
  readonly random: Random;
  /** Within so long, unless the faults have ended by then. */
  later(maxMs: number, run: () => void): void;
  restartLater(node: SimNode, maxMs?: number): void;
  healNetwork(): void;
}

export function crash(stage: Stage, node: SimNode, power: boolean, downMaxMs = DOWN_MAX_MS): void {
  if (!node.isRunning) return;
  stage.cluster.crash(node, power);
  stage.restartLater(node, downMaxMs);
}

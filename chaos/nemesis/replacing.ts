/** Takes a node out of the cluster and brings it back with an empty directory. */
import { rmSync } from 'node:fs';
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** What an operator does about a node that lost its directory (docs/operations.md). */
export async function replace(stage: Stage, node: number, holdMs: number): Promise<Strike> {
  const { cluster } = stage;
  const target = cluster.process(node);
  await stage.hold(holdMs);
  await cluster.command(['remove', String(node)], node);
  await target.kill();
  rmSync(target.files.data, { recursive: true, force: true });
  await cluster.command(['add', '--no-wait', '--config', target.files.config], node);
  target.start();
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  return { state: 'installed', text: `node ${node} removed, emptied, added`, ...struck };
}

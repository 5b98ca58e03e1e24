/** SIGKILL, some time without the processes, and their restart over the same directories. */
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

export async function killFor(
  stage: Stage,
  nodes: readonly number[],
  holdMs: number,
): Promise<Strike> {
  const processes = nodes.map((node) => stage.cluster.process(node));
  const killed = await Promise.all(processes.map((one) => one.kill()));
  await stage.hold(holdMs);
  for (const one of processes) one.start();
  const alive = nodes.filter((_, at) => killed[at] === false);
  const struck = { nodes, queues: queuesLedBy(stage, nodes) };
  if (alive.length === 0) return { state: 'installed', ...struck };
  return { state: 'indeterminate', text: `did not run: node ${alive.join(', ')}`, ...struck };
}

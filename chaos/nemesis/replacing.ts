/** Takes a node out of the cluster and brings it back with an empty directory. */
import { rmSync } from 'node:fs';
import { nowMs } from '../history.ts';
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** Under another fault a command may be refused, rightly, until that is over. */
const COMMAND_WITHIN_MS = 60_000;
const REPEAT_PACE_MS = 500;

/** What an operator does about a node that lost its directory (docs/operations.md). */
export async function replace(stage: Stage, node: number, holdMs: number): Promise<Strike> {
  const target = stage.cluster.process(node);
  await stage.hold(holdMs);
  await persist(stage, ['remove', String(node)], node, () => isGone(stage, node));
  await target.kill();
  rmSync(target.files.data, { recursive: true, force: true });
  await persist(stage, ['add', '--no-wait', '--config', target.files.config], node);
  target.start();
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  return { state: 'installed', text: `node ${node} removed, emptied, added`, ...struck };
}

/** Until it succeeds, or an earlier attempt is seen to have done it. */
async function persist(
  { cluster, hold, load }: Stage,
  words: readonly string[],
  past: number,
  isDone: () => Promise<boolean> = async () => false,
): Promise<void> {
  const giveUpAtMs = nowMs() + COMMAND_WITHIN_MS;
  for (;;) {
    try {
      return await cluster.command(words, past);
    } catch (error) {
      if (await isDone()) return;
      if (!load.running || nowMs() > giveUpAtMs) throw error;
    }
    await hold(REPEAT_PACE_MS);
  }
}

/** Some other node knows the cluster without it. */
async function isGone({ cluster }: Stage, node: number): Promise<boolean> {
  const others = cluster.nodes.filter((one) => one !== node);
  const views = await Promise.all(others.map((one) => cluster.view(one)));
  return views.some((view) => view?.nodes.every(({ id }) => id !== node) === true);
}

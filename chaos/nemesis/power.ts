/** SIGKILL, then what no sync covers is taken back, as when the power goes. */
import type { PowerCut } from '../shim/power-cut.ts';
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/**
 * Fast disks leave little un-synced; for the last moments they are as slow as busy ones are. The
 * longer a sync takes, the more requests gather in the flush that is lost.
 */
const SYNC_DELAY_MS = 100;
const SLOW_MS = 500;

/** What a power cut took, or why it proves nothing. */
export type Loss = Required<Pick<Strike, 'state' | 'text'>>;

export async function cutPowerFor(
  stage: Stage,
  nodes: readonly number[],
  holdMs: number,
): Promise<Strike> {
  const loss = await cutPowerOf(stage, nodes);
  await stage.hold(holdMs);
  for (const node of nodes) stage.cluster.process(node).start();
  return { ...loss, nodes, queues: queuesLedBy(stage, nodes) };
}

/** After a moment in which their disks get behind. */
export async function cutPowerOf(stage: Stage, nodes: readonly number[]): Promise<Loss> {
  for (const node of nodes) stage.cluster.disk(node).page.slowSyncs(SYNC_DELAY_MS);
  await stage.hold(SLOW_MS);
  return losePower(stage, nodes);
}

/** Their disks are fast again when they start again. */
export async function losePower(
  { cluster, random }: Stage,
  nodes: readonly number[],
): Promise<Loss> {
  const disks = nodes.map((node) => cluster.disk(node));
  const killed = await Promise.all(nodes.map((node) => cluster.process(node).kill()));
  for (const disk of disks) disk.page.slowSyncs(0);
  const cuts = disks.map((disk) => disk.cutPower(() => random.fraction()));
  const alive = nodes.filter((_, at) => killed[at] === false);
  const unseen = nodes.filter((_, at) => disks[at]?.isWatched !== true);
  if (alive.length > 0) return doubtful(`did not run: node ${alive.join(', ')}`);
  if (unseen.length > 0) return doubtful(`no syncs seen of node ${unseen.join(', ')}`);
  const isHarmless = cuts.every((one) => one.lostBytes === 0 && one.undoneNames === 0);
  if (isHarmless) return doubtful('every byte had reached the disk');
  return { state: 'installed', text: sumOf(cuts) };
}

function doubtful(text: string): Loss {
  return { state: 'indeterminate', text };
}

function sumOf(cuts: readonly PowerCut[]): string {
  const sum = (count: (cut: PowerCut) => number) => cuts.reduce((all, one) => all + count(one), 0);
  const files = [...new Set(cuts.flatMap((one) => one.files))].sort();
  return [
    `lost ${sum((one) => one.lostBytes)} bytes of ${files.join(' ') || 'no file'}`,
    `tore ${sum((one) => one.tornWrites)} writes`,
    `undid ${sum((one) => one.undoneNames)} names`,
  ].join(', ');
}

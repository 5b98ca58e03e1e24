/**
 * Bits turn over under a node that runs, in a file that it does not write any more: it finds out
 * when it reads there, at once or much later. The same node as for damage at rest.
 */
import { join } from 'node:path';
import type { Nemesis, Stage, Strike } from './nemesis.ts';
import { readBack } from './reading-back.ts';
import { filesIn, flipBits } from './rot.ts';
import { queuesLedBy } from './targets.ts';

interface RunningFiles {
  readonly name: string;
  readonly folder: string;
  readonly files: RegExp;
  /** So many of the newest are being written. */
  readonly open: number;
}

/** Once it ended over it, it has to serve again, by itself, or say what is damaged. */
const SETTLES_WITHIN_MS = 60_000;
/** Of the place that was hit nobody knows which message lies there. */
const ALL_READ_WITHIN_MS = 10_000;

export const flipRunningLog = flipUnder({
  ...{ name: 'log', folder: 'log', files: /^\d+\.log$/, open: 1 },
});
export const flipRunningState = flipUnder({
  ...{ name: 'state', folder: 'state', files: /\.ldb$/, open: 0 },
});

function flipUnder(files: RunningFiles): Nemesis {
  return {
    name: `flip-running-${files.name}`,
    does: `bits of a closed file turn over under a node that runs: ${files.name}`,
    needs: ['processes'],
    movesLeader: false,
    strike: (stage, holdMs) => strike(stage, files, holdMs),
  };
}

async function strike(stage: Stage, files: RunningFiles, holdMs: number): Promise<Strike> {
  const { cluster, load, random } = stage;
  const node = cluster.nodes.at(-1) ?? 0;
  const target = cluster.process(node);
  const queues = queuesLedBy(stage, [node]);
  const struck = { nodes: [node], queues };
  if (stage.isTaken(node)) {
    return { state: 'indeterminate', text: `another fault has node ${node}`, ...struck };
  }
  stage.claim([node]);
  const [file] = random.shuffled(await closedFiles(stage, node, files));
  if (file === undefined) {
    return { state: 'skipped', text: `node ${node} has no closed ${files.name}`, ...struck };
  }
  target.mayEnd = true;
  target.mayMeetDamage = true;
  load.expectDamage();
  const harm = `${file.slice(target.files.data.length + 1)}: ${flipBits(file, random)}`;
  const { answers, refusals } = await readBack(stage, node, queues, holdMs, ALL_READ_WITHIN_MS);
  const hasEnded = !target.isRunning;
  if (hasEnded) await startOver(stage, node);
  target.mayEnd = false;
  target.start();
  const outcome = hasEnded ? 'it ended' : `${refusals} refusals, ${answers} answers`;
  return { state: 'installed', text: `${harm}; ${outcome}`, ...struck };
}

/** With a restart, which closes what is open, when there are none yet. */
async function closedFiles(
  { cluster, load }: Stage,
  node: number,
  { folder, files, open }: RunningFiles,
): Promise<string[]> {
  const target = cluster.process(node);
  const closed = () => filesIn(join(target.files.data, folder), files).slice(0, -open || undefined);
  if (closed().length === 0) {
    await target.stop();
    target.start();
    await cluster.whole(SETTLES_WITHIN_MS, () => load.running);
  }
  return closed();
}

/** It met the damage and ended: it starts over its files as they are. */
async function startOver({ cluster, load }: Stage, node: number): Promise<void> {
  const target = cluster.process(node);
  if (!target.spokeOfDamage()) {
    const words = target.lastWords();
    load.trouble('nemesis', `node ${node} ended over damaged bytes: ${words}`);
  }
  target.start();
  await cluster.whole(SETTLES_WITHIN_MS, () => load.running && target.isRunning);
}

import type { Nemesis, Stage, Strike } from './nemesis.ts';
import { queuesLedBy, someLeader } from './targets.ts';

const SYNCS_MAX = 50;
/** A node ends with the first sync that fails; this long it may take it. */
const ENDS_WITHIN_MS = 5000;
/** After it, what the page cache shows is not what the disk holds. */
const POWER_CUT_RATE = 0.5;

export const fsyncError: Nemesis = {
  name: 'fsync-error',
  does: 'a sync of a leader fails with EIO: it has to end; then, half of the time, a power cut',
  needs: ['processes', 'shim'],
  movesLeader: false,
  strike,
};

async function strike(stage: Stage, holdMs: number): Promise<Strike> {
  const { cluster, load, random } = stage;
  const node = someLeader(stage);
  const [target, disk] = [cluster.process(node), cluster.disk(node)];
  const before = disk.seen.failedSyncs;
  target.mayEnd = true;
  const syncs = 1 + random.below(SYNCS_MAX);
  disk.page.failSyncIn(syncs);
  await Promise.race([target.gone(), stage.hold(holdMs)]);
  disk.page.failSyncIn(0);
  const hasFailed = disk.seen.failedSyncs > before;
  if (hasFailed) await Promise.race([target.gone(), stage.hold(ENDS_WITHIN_MS)]);
  const hasEnded = !target.isRunning;
  if (hasFailed && !hasEnded && load.running) {
    load.trouble('nemesis', `node ${node} goes on after a sync that failed`);
  }
  const isCut = hasEnded && random.fraction() < POWER_CUT_RATE;
  if (isCut) disk.cutPower(() => random.fraction());
  target.mayEnd = false;
  target.start();
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  if (!hasFailed) return { state: 'indeterminate', text: `less than ${syncs} syncs`, ...struck };
  const text = `sync ${syncs} failed, the node ended${isCut ? ', then a power cut' : ''}`;
  return { state: hasEnded ? 'installed' : 'indeterminate', text, ...struck };
}

/** A disk of a leader that fails once, with EIO: the node has to end by itself, and is started. */
import type { Counters } from '../shim/control.ts';
import type { NodeDisk } from '../shim/node-disk.ts';
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy, someLeader } from './targets.ts';

const OPERATIONS_MAX = 50;
/** A node ends with the first write or sync that fails; this long it may take it. */
const ENDS_WITHIN_MS = 5000;
/** After it, what the page cache shows is not what the disk holds. */
const POWER_CUT_RATE = 0.5;

export interface DiskError {
  /** In words: what fails. */
  readonly what: string;
  readonly count: keyof Counters;
  /** The n-th one from now; 0 takes it back. */
  readonly failIn: (disk: NodeDisk, n: number) => void;
}

export async function failFor(stage: Stage, error: DiskError, holdMs: number): Promise<Strike> {
  const { cluster, load, random } = stage;
  const { what, count, failIn } = error;
  const node = someLeader(stage);
  const [target, disk] = [cluster.process(node), cluster.disk(node)];
  const before = disk.seen[count];
  target.mayEnd = true;
  const nth = 1 + random.below(OPERATIONS_MAX);
  failIn(disk, nth);
  await Promise.race([target.gone(), stage.hold(holdMs)]);
  failIn(disk, 0);
  const hasFailed = disk.seen[count] > before;
  if (hasFailed) await Promise.race([target.gone(), stage.hold(ENDS_WITHIN_MS)]);
  const hasEnded = !target.isRunning;
  if (hasFailed && !hasEnded && load.running) {
    load.trouble('nemesis', `node ${node} goes on after a ${what} that failed`);
  }
  const isCut = hasEnded && random.fraction() < POWER_CUT_RATE;
  if (isCut) disk.cutPower(() => random.fraction());
  target.mayEnd = false;
  target.start();
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  if (!hasFailed) return { state: 'indeterminate', text: `less than ${nth} ${what}s`, ...struck };
  const text = `${what} ${nth} failed, the node ended${isCut ? ', then a power cut' : ''}`;
  return { state: hasEnded ? 'installed' : 'indeterminate', text, ...struck };
}

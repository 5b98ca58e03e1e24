import { DISK_CLASSES, type DiskClass } from '../shim/control.ts';
import type { Nemesis, Stage, Strike } from './nemesis.ts';
import { readBack } from './reading-back.ts';
import { queuesLedBy, someLeader } from './targets.ts';

/** Of the times only the log is unreadable, so that the node has a state to go on with. */
const LOG_ALONE_RATE = 0.5;
/** A node that cannot read its files does not start; this long it may take it to find out. */
const ENDS_WITHIN_MS = 5000;

export const readError: Nemesis = {
  name: 'read-error',
  does: 'reads of a leader fail with EIO for a while: it may refuse or end, nothing else',
  needs: ['processes', 'shim'],
  movesLeader: false,
  strike,
};

async function strike(stage: Stage, holdMs: number): Promise<Strike> {
  const { cluster, load, random } = stage;
  const node = someLeader(stage);
  const [target, disk] = [cluster.process(node), cluster.disk(node)];
  const queues = queuesLedBy(stage, [node]);
  const isLogAlone = random.fraction() < LOG_ALONE_RATE;
  const classes: readonly DiskClass[] = isLogAlone ? ['log'] : DISK_CLASSES;
  const before = disk.seen.failedReads;
  target.mayEnd = true;
  load.expectDamage();
  disk.page.failReads(classes);
  const { answers, refusals } = await readBack(stage, node, queues, holdMs);
  const failed = () => disk.seen.failedReads - before;
  // What was asked for was still in its memory: it has to read when it starts.
  const isRestarted = failed() === 0 && (await target.stop());
  if (isRestarted) {
    target.start();
    await Promise.race([target.gone(), stage.hold(ENDS_WITHIN_MS)]);
  }
  disk.page.failReads([]);
  const hasEnded = !target.isRunning;
  target.mayEnd = false;
  target.start();
  const files = isLogAlone ? 'the log' : 'any file';
  const text = [
    `${failed()} reads of ${files} failed${isRestarted ? ' at a start' : ''}`,
    hasEnded ? 'the node ended' : `${refusals} refusals, ${answers} answers`,
  ].join(', ');
  return { state: failed() > 0 ? 'installed' : 'indeterminate', text, nodes: [node], queues };
}

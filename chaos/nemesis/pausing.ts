/** SIGSTOP and SIGCONT: a process that is there and does nothing, then wakes with old beliefs. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeProcess } from '../cluster/node-process.ts';
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** The signal is delivered when the threads of the process next come to the kernel. */
const STOPPED_WITHIN_MS = 200;

/** Of one node, in spells of `pauseMs` with as long between them, until `holdMs` are over. */
export async function pauseFor(
  stage: Stage,
  node: number,
  pauseMs: number,
  holdMs: number,
): Promise<Strike> {
  const target = stage.cluster.process(node);
  let spells = 0;
  let seen = 0;
  for (let leftMs = holdMs; spells === 0 || leftMs > pauseMs; leftMs -= 2 * pauseMs) {
    if (spells > 0) await stage.hold(pauseMs);
    spells++;
    if (target.pause() && (await isStopped(target))) seen++;
    await stage.hold(pauseMs);
    target.resume();
  }
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  const text = `${seen} of ${spells} pauses of ${Math.round(pauseMs)} ms seen`;
  return { state: seen === spells ? 'installed' : 'indeterminate', text, ...struck };
}

export async function areStopped(nodes: readonly NodeProcess[]): Promise<boolean> {
  return (await Promise.all(nodes.map(isStopped))).every(Boolean);
}

async function isStopped({ pid }: NodeProcess): Promise<boolean> {
  // Another system than Linux: the signal was accepted, nothing else is known.
  if (process.platform !== 'linux') return true;
  if (isStateT(pid)) return true;
  await delay(STOPPED_WITHIN_MS);
  return isStateT(pid);
}

/** proc_pid_stat(5): the state follows the name in brackets, which may itself hold brackets. */
function isStateT(pid: number): boolean {
  try {
    return /\) T [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

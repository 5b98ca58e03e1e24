/**
 * Kills the coordinator of a transaction at a step of it: the next one that passes it, as its
 * client sees it, and up to a few milliseconds later, so that the entry may be half written,
 * half acknowledged, committed, or all but answered.
 */
import type { Step } from '../workload/steps.ts';
import { killFor } from './killing.ts';
import type { Nemesis, Stage, Strike } from './nemesis.ts';

/** A majority answers within a few of them; several shards one after the other take longer. */
const LATER_MS_MAX = 40;
const STEP_WAIT_MS = 10_000;

async function killAt(stage: Stage, step: Step, holdMs: number): Promise<Strike> {
  const { leaders, load, random, shardOfQueue } = stage;
  const laterMs = random.below(LATER_MS_MAX);
  const passed = load.steps.next(step);
  const nobody = stage.hold(STEP_WAIT_MS).then(() => undefined);
  const queue = await Promise.race([passed, nobody]);
  const leader = queue === undefined ? undefined : leaders.get(shardOfQueue[queue] ?? -1);
  if (leader === undefined) {
    load.steps.forget(step);
    return { state: 'indeterminate', text: `no transaction was ${step}`, nodes: [], queues: [] };
  }
  if (laterMs > 0) await stage.hold(laterMs);
  return killFor(stage, [leader], holdMs);
}

function killAtStep(name: string, step: Step, does: string): Nemesis {
  return {
    ...{ name, does: `kill -9 of the coordinator of a transaction ${does}` },
    needs: ['processes'],
    movesLeader: true,
    strike: (stage, holdMs) => killAt(stage, step, holdMs),
  };
}

export const killPreparing = killAtStep('kill-preparing', 'preparing', 'while it is stored');
export const killPrepared = killAtStep('kill-prepared', 'prepared', 'that was just stored');
export const killEnding = killAtStep('kill-ending', 'ending', 'while its End is on its way');
export const killEnded = killAtStep('kill-ended', 'ended', 'whose End was just answered');

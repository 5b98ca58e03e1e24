/** Carries out the plan of a scenario: each step strikes a whole cluster, and leaves one. */
import type { AttackedCluster } from '../cluster/attacked-cluster.ts';
import type { Leaders } from '../cluster/views.ts';
import { nowMs } from '../history.ts';
import { nemesisNamed } from '../nemesis/list.ts';
import type { Nemesis, Stage, Strike } from '../nemesis/nemesis.ts';
import { ACKED_PER_SECOND_MIN } from '../validity.ts';
import type { Load } from '../workload/load.ts';
import { type Choice, Choices } from './choices.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenario-file.ts';
import { type PlannedFault, type PlannedStep, roundLength, schedule } from './schedule.ts';

/** Processes that just started are slow; a verdict needs a load that is at work. */
const AT_WORK_PER_SECOND = 1.5 * ACKED_PER_SECOND_MIN;
const AT_WORK_TIMEOUT_MS = 20_000;
const AT_WORK_PACE_MS = 100;

/** Recovery without hands has this long; it is a bound on waiting, not a goal. */
export const RECOVERY_TIMEOUT_MS = 120_000;

export interface Attacked {
  readonly cluster: AttackedCluster;
  readonly load: Load;
  /** By queue number. */
  readonly shardOfQueue: readonly number[];
  /** Told what is on, for people who watch. */
  readonly onFaults: (names: readonly string[]) => void;
}

/** Resolves after the last fault was taken back, or when the cluster does not recover. */
export async function attack(on: Attacked, scenario: Scenario, seed: number): Promise<void> {
  const { load } = on;
  let quietMs = 0;
  let endAtMs = 0;
  let stepsLeft = roundLength(scenario);
  await load.pace(1000 * scenario.warmUpSeconds);
  await loadAtWork(load);
  for (const step of schedule(scenario, seed)) {
    const leaders = await wholeAfter(on, quietMs);
    if (leaders === undefined) return;
    endAtMs ||= nowMs() + 1000 * scenario.seconds;
    // Time is over only when every kind had its turn.
    if (stepsLeft <= 0 && nowMs() >= endAtMs) return;
    await carryOut(on, step, leaders);
    stepsLeft--;
    quietMs = step.gapMs;
    if (!load.running) return;
  }
}

async function loadAtWork(load: Load): Promise<void> {
  const giveUpAtMs = nowMs() + AT_WORK_TIMEOUT_MS;
  while (load.running && load.acksPerSecond < AT_WORK_PER_SECOND && nowMs() < giveUpAtMs) {
    await load.pace(AT_WORK_PACE_MS);
  }
}

/** With some quiet time in between: who leads by the end of it. */
async function wholeAfter(on: Attacked, quietMs: number): Promise<Leaders | undefined> {
  const { cluster, load } = on;
  const whole = () => cluster.whole(RECOVERY_TIMEOUT_MS, () => load.running);
  await cluster.heal();
  let leaders = await whole();
  if (leaders !== undefined) {
    await load.pace(quietMs);
    leaders = await whole();
  }
  if (leaders === undefined && load.running) {
    load.trouble('nemesis', `not whole ${RECOVERY_TIMEOUT_MS / 1000} s after the last fault`);
  }
  return load.running ? leaders : undefined;
}

async function carryOut(on: Attacked, step: PlannedStep, leaders: Leaders): Promise<void> {
  on.onFaults(step.faults.map(({ nemesis }) => nemesis));
  const choices = new Choices();
  const strikes = step.faults.map((fault) => {
    return inflict(on, fault, step.holdMs, { leaders, ...choices.ofOne() });
  });
  choices.allBegun();
  await Promise.all(strikes);
  on.onFaults([]);
}

async function inflict(
  { cluster, load, shardOfQueue }: Attacked,
  { nemesis: name, seed }: PlannedFault,
  holdMs: number,
  step: Pick<Stage, 'leaders'> & Choice,
): Promise<void> {
  const nemesis = nemesisNamed(name);
  const hold = (ms: number) => load.pace(ms);
  const random = new Random(seed);
  const atMs = nowMs();
  const stage = { cluster, random, load, shardOfQueue, hold, ...step };
  const strike = await struck(nemesis, stage, holdMs);
  const { movesLeader } = nemesis;
  load.record({ type: 'fault', nemesis: name, atMs, endMs: nowMs(), movesLeader, ...strike });
}

async function struck(nemesis: Nemesis, stage: Stage, holdMs: number): Promise<Strike> {
  const nobody = { nodes: [], queues: [] };
  const lacking = nemesis.needs.map((need) => stage.cluster.lacks(need)).find(Boolean);
  if (lacking !== undefined) return { state: 'skipped', text: lacking, ...nobody };
  try {
    return await nemesis.strike(stage, holdMs);
  } catch (error) {
    return { state: 'indeterminate', text: `broke down: ${(error as Error).message}`, ...nobody };
  }
}

/** One run: a cluster, load, faults, everything read again; leaves a history. */
import { join } from 'node:path';
import type { AttackedCluster } from '../cluster/attacked-cluster.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { RunningCluster } from '../cluster/running-cluster.ts';
import { type HistoryEvent, HistoryWriter, nowMs } from '../history.ts';
import { nemesisNamed } from '../nemesis/list.ts';
import { buildShim } from '../shim/build.ts';
import { answerChecks } from '../workload/answered-checks.ts';
import { readEverything } from '../workload/final-read.ts';
import { Load } from '../workload/load.ts';
import { createTopics, producerGroups, runWorkload, settleWorkload } from '../workload/workload.ts';
import { attack, RECOVERY_TIMEOUT_MS } from './attack.ts';
import { observeLeaders } from './observer.ts';
import type { Scenario } from './scenario-file.ts';
import { nemesesOf } from './schedule.ts';

const QUEUES = 6;
const TOPIC_TIMEOUT_MS = 30_000;

export interface RunPlan {
  readonly scenario: Scenario;
  readonly seed: number;
  /** Gets the history, and what the nodes leave. */
  readonly folder: string;
  readonly interrupted: AbortSignal;
  /** Of a running cluster; undefined: one of our own is started. */
  readonly servers?: readonly string[] | undefined;
  /** What every node of our own runs, when it is not `holdfast` as it was built. */
  readonly binary?: string | undefined;
  readonly onEvent?: (event: HistoryEvent) => void;
  readonly onFaults?: (names: readonly string[]) => void;
}

/** Resolves with the file of the history. */
export async function runScenario(plan: RunPlan): Promise<string> {
  const { scenario, seed, folder, interrupted } = plan;
  const file = join(folder, 'history.jsonl');
  const history = new HistoryWriter(file, plan.onEvent);
  let load: Load | undefined;
  const onLost = (text: string) => load?.trouble('cluster', text);
  const cluster = await (plan.servers === undefined
    ? startOwn(plan, onLost)
    : RunningCluster.reach(folder, plan.servers));
  load = new Load(cluster.addresses, QUEUES, history, scenario.level, scenario.rate);
  const interrupt = () => load.interrupt();
  interrupted.addEventListener('abort', interrupt, { once: true });
  // It may have happened while the cluster started.
  if (interrupted.aborted) interrupt();
  try {
    const { name, level } = scenario;
    const nodes = cluster.nodes.length;
    const nemeses = nemesesOf(scenario);
    const asked = { scenario: name, seed, nodes, level, nemeses };
    load.record({ type: 'start', ...asked, queues: QUEUES, atMs: nowMs() });
    await underAttack(cluster, load, plan);
    if (!interrupted.aborted) load.record({ type: 'stop', atMs: nowMs() });
  } finally {
    interrupted.removeEventListener('abort', interrupt);
    await cluster.stop();
    history.close();
  }
  return file;
}

function startOwn(
  { scenario, folder, binary }: RunPlan,
  onLost: (text: string) => void,
): Promise<AttackedCluster> {
  const needs = nemesesOf(scenario).flatMap((name) => nemesisNamed(name).needs);
  return LocalCluster.start(folder, {
    nodes: scenario.nodes,
    settings: Object.entries(scenario.settings).map((pair) => pair.join('=')),
    shim: needs.includes('shim') ? buildShim(folder) : undefined,
    ...{ needs, onLost, binary },
  });
}

async function underAttack(cluster: AttackedCluster, load: Load, plan: RunPlan): Promise<void> {
  const { scenario, seed, onFaults = () => undefined } = plan;
  const shardOfQueue = await createTopics(load, TOPIC_TIMEOUT_MS);
  if (shardOfQueue === undefined) return;
  const workload = runWorkload(load, scenario.workload);
  const clients = Promise.all([workload, observeLeaders(cluster, load)]).then(() => {});
  // A client that breaks down ends the load; the settling below passes its error on.
  clients.catch(() => load.stop());
  try {
    await attack({ cluster, load, shardOfQueue, onFaults }, scenario, seed);
  } finally {
    await cluster.heal();
    const settled = await settleWorkload(load, clients, RECOVERY_TIMEOUT_MS);
    if (!settled) load.trouble('workload', 'some writes stayed without an outcome');
  }
  if (load.giveUp.aborted) return;
  const whole = await cluster.whole(RECOVERY_TIMEOUT_MS, () => !load.giveUp.aborted);
  if (whole === undefined) load.trouble('nemesis', 'the cluster is not whole after the run');
  const isAnswered =
    whole !== undefined && (await answerChecks(load, producerGroups(scenario.workload)));
  // A cluster that somebody else runs may ask as late as it was told to.
  await readEverything(load, isAnswered && plan.servers === undefined);
}

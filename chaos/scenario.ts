/** One run: a fresh cluster, load, kills, everything read again; leaves a history. */

import { join } from 'node:path';
import { Cluster } from './cluster.ts';
import { HistoryWriter, nowMs } from './history.ts';
import { attack, RECOVERY_TIMEOUT_MS, type Scenario } from './nemesis.ts';
import { readEverything } from './workload/final-read.ts';
import { Load } from './workload/load.ts';
import { createTopic, runWorkload, settleWorkload } from './workload/workload.ts';

const QUEUES = 6;
const TOPIC_TIMEOUT_MS = 30_000;

export interface ScenarioPlan {
  readonly scenario: Scenario;
  readonly kills: number;
  readonly betweenMs: number;
  readonly nodes: number;
}

/** Resolves with the file of the history; `folder` keeps all that the run leaves. */
export async function runScenario(
  plan: ScenarioPlan,
  folder: string,
  interrupted: AbortSignal,
): Promise<string> {
  const file = join(folder, 'history.jsonl');
  const history = new HistoryWriter(file);
  const cluster = await Cluster.start(folder, plan.nodes);
  const load = new Load(cluster.addresses, QUEUES, history);
  const interrupt = () => load.interrupt();
  interrupted.addEventListener('abort', interrupt, { once: true });
  // It may have happened while the cluster started.
  if (interrupted.aborted) interrupt();
  try {
    const { scenario, nodes } = plan;
    load.record({ type: 'start', scenario, nodes, queues: QUEUES, atMs: nowMs() });
    await underAttack(cluster, load, plan);
    if (!interrupted.aborted) load.record({ type: 'stop', atMs: nowMs() });
  } finally {
    interrupted.removeEventListener('abort', interrupt);
    await cluster.stop();
    history.close();
  }
  return file;
}

async function underAttack(cluster: Cluster, load: Load, plan: ScenarioPlan): Promise<void> {
  const shardOfQueue = await createTopic(load, TOPIC_TIMEOUT_MS);
  if (shardOfQueue === undefined) return;
  const clients = runWorkload(load);
  // A client that breaks down ends the load; the settling below passes its error on.
  clients.catch(() => load.stop());
  try {
    await attack(cluster, load, { ...plan, shardOfQueue });
  } finally {
    const settled = await settleWorkload(load, clients, RECOVERY_TIMEOUT_MS);
    if (!settled) load.trouble('workload', 'some writes stayed without an outcome');
  }
  if (load.giveUp.aborted) return;
  const whole = await cluster.whole(RECOVERY_TIMEOUT_MS, () => !load.giveUp.aborted);
  if (whole === undefined) load.trouble('nemesis', 'the cluster is not whole after the run');
  if (!cluster.ended) await readEverything(load);
}

/** Reads old messages through a node while its disk is bad; the history has what it answered. */
import { nowMs } from '../history.ts';
import { NodeStub } from '../workload/node-stub.ts';
import { poll } from '../workload/read.ts';
import type { Stage } from './nemesis.ts';

const READ_PACE_MS = 50;

export interface ReadBack {
  readonly answers: number;
  readonly refusals: number;
}

/** Each queue from its beginning, again and again, until the time is over or the node is gone. */
export async function readBack(
  { cluster, hold, load }: Pick<Stage, 'cluster' | 'hold' | 'load'>,
  node: number,
  queues: readonly number[],
  holdMs: number,
): Promise<ReadBack> {
  const address = cluster.addresses[cluster.nodes.indexOf(node)];
  const target = cluster.process(node);
  if (address === undefined || queues.length === 0) {
    await hold(holdMs);
    return { answers: 0, refusals: 0 };
  }
  const stub = new NodeStub(node, address);
  const giveUpAtMs = nowMs() + holdMs;
  const isOn = () => nowMs() < giveUpAtMs && target.isRunning && load.running;
  let [answers, refusals] = [0, 0];
  const offsets = queues.map(() => 0);
  for (let turn = 0; isOn(); turn++) {
    const at = turn % queues.length;
    const what = { process: `back-${node}`, queue: queues[at]!, from: offsets[at]!, seek: true };
    const answer = await poll(load, stub, what);
    if (answer.outcome === 'ok') answers++;
    else refusals++;
    const next = answer.outcome === 'ok' ? answer.value : { next_offset: 0, end_offset: 0 };
    offsets[at] = next.next_offset < next.end_offset ? next.next_offset : 0;
    await hold(READ_PACE_MS);
  }
  stub.close();
  return { answers, refusals };
}

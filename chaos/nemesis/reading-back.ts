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

/**
 * Each queue from its beginning, again and again, until the time is over or the node is gone; so
 * much longer at most, until each was read to its end.
 */
export async function readBack(
  { cluster, hold, load }: Pick<Stage, 'cluster' | 'hold' | 'load'>,
  node: number,
  queues: readonly number[],
  holdMs: number,
  longerMs = 0,
): Promise<ReadBack> {
  const address = cluster.addresses[cluster.nodes.indexOf(node)];
  const target = cluster.process(node);
  if (address === undefined || queues.length === 0) {
    await hold(holdMs);
    return { answers: 0, refusals: 0 };
  }
  const stub = new NodeStub(node, address);
  const heldUntilMs = nowMs() + holdMs;
  const unread = new Set(queues);
  const isTime = () => nowMs() < heldUntilMs + (unread.size > 0 ? longerMs : 0);
  const isOn = () => isTime() && target.isRunning && load.running;
  let [answers, refusals] = [0, 0];
  const offsets = queues.map(() => 0);
  for (let turn = 0; isOn(); turn++) {
    const at = turn % queues.length;
    const what = { process: `back-${node}`, queue: queues[at]!, from: offsets[at]!, seek: true };
    const answer = await poll(load, stub, what);
    if (answer.outcome === 'ok') answers++;
    else refusals++;
    const { next_offset: next, end_offset: end } =
      answer.outcome === 'ok' ? answer.value : { next_offset: offsets[at]!, end_offset: Infinity };
    if (next >= end) unread.delete(queues[at]!);
    offsets[at] = next < end ? next : 0;
    await hold(READ_PACE_MS);
  }
  stub.close();
  return { answers, refusals };
}

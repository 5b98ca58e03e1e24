/** Committed offsets of a group as one node shows them. */
import type { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Response } from './methods.ts';
import type { Answer } from './node-stub.ts';

type Offsets = Answer<Response<'Log.GetOffset'>>;

/** A group and what it reads; without a topic that of the run. */
export interface Reading {
  readonly group: string;
  readonly topic?: { readonly name: string; readonly id: string; readonly queues: number };
}

/** Through the client's node. */
export async function readCommitted(
  load: Load,
  client: Client,
  process: string,
  { group, topic }: Reading,
): Promise<Offsets> {
  const { node } = client;
  const request = { group, topic: topic?.name ?? TOPIC, queues: [] };
  const answer = await client.attempt('Log.GetOffset', request);
  const epoch = answer.outcome === 'ok' ? answer.value.epoch : 0;
  for (const { queue, offset } of registersIn(answer, topic?.queues ?? load.queues)) {
    load.record({
      type: 'committed',
      ...attemptOf(process, answer),
      ...{ node, group, ...(topic === undefined ? {} : { topic: topic.id }), queue },
      ...(offset === undefined ? {} : { offset }),
      ...(epoch === 0 ? {} : { epoch }),
    });
  }
  return answer;
}

/** An unknown group has never committed anything, says the node. */
function registersIn(
  answer: Offsets,
  queues: number,
): readonly { readonly queue: number; readonly offset?: number }[] {
  if (answer.outcome === 'ok') return answer.value.queues;
  if (answer.reason !== 'GROUP_NOT_FOUND') return [];
  return Array.from({ length: queues }, (_, queue) => ({ queue }));
}

export function offsetIn(answer: Offsets, queue: number): number | undefined {
  if (answer.outcome !== 'ok') return undefined;
  return answer.value.queues.find((one) => one.queue === queue)?.offset;
}

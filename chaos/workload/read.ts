/** One fetch, or one element of a subscription, and the line that it leaves. */
import { attemptOf, type Load, TOPIC, type Topic } from './load.ts';
import type { Fetched, Request } from './methods.ts';
import type { Answer, NodeStub } from './node-stub.ts';
import { observedValue } from './payload.ts';

const POLL_WAIT_MS = 500;
const POLL_TIMEOUT_MS = 5000;
const MAX_BYTES = 1024 * 1024;

export interface Poll {
  readonly process: string;
  /** Absent: the topic of the run. */
  readonly topic?: Topic;
  readonly queue: number;
  readonly from: number;
  /** Sees every message acknowledged before it; else it waits for new ones. */
  readonly linearizable?: boolean;
  readonly seek?: boolean;
  readonly last?: boolean;
}

export async function poll(load: Load, stub: NodeStub, what: Poll): Promise<Answer<Fetched>> {
  const { topic, queue, from, linearizable = false } = what;
  const request: Request<'Log.Fetch'> = {
    topic: topic?.name ?? TOPIC,
    ...(topic === undefined ? {} : { topic_id: topic.id }),
    queue,
    offset: from,
    max_bytes: MAX_BYTES,
    max_wait_ms: linearizable ? 0 : POLL_WAIT_MS,
    linearizable,
  };
  const answer = await stub.call('Log.Fetch', request, POLL_TIMEOUT_MS);
  recordRead(load, stub.node, what, answer);
  return answer;
}

export function recordRead(load: Load, node: number, what: Poll, answer: Answer<Fetched>): void {
  const { process, topic, queue, from, linearizable = false, seek = false, last = false } = what;
  const fetched = answer.outcome === 'ok' ? answer.value : undefined;
  load.record({
    type: 'read',
    ...attemptOf(process, answer),
    node,
    ...(topic === undefined ? { queue } : { topic: topic.id, queue }),
    from,
    batches: (fetched?.batches ?? []).map((batch) => ({
      offset: batch.base_offset,
      values: batch.messages.map(observedValue),
    })),
    ...(fetched === undefined ? {} : { nextOffset: fetched.next_offset }),
    ...((fetched?.start_offset ?? 0) === 0 ? {} : { startOffset: fetched!.start_offset }),
    endOffset: fetched?.end_offset ?? 0,
    ...(linearizable ? { linearizable } : {}),
    ...(seek ? { seek } : {}),
    last,
  });
}

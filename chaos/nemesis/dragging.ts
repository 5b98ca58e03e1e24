/** How long a large answer takes through a client's link: slow links show on it. */
import { nowMs } from '../history.ts';
import { TOPIC } from '../workload/load.ts';
import { NodeStub } from '../workload/node-stub.ts';
import type { Stage } from './nemesis.ts';

const FETCH_BYTES = 64 * 1024;
const FETCH_TIMEOUT_MS = 10_000;

export interface Drag {
  readonly ms: number;
  /** Of bodies alone. */
  readonly bytes: number;
}

/** Undefined: nothing came. The queue was filled before the first fault. */
export async function drag(
  { cluster }: Pick<Stage, 'cluster'>,
  node: number,
  queue: number,
): Promise<Drag | undefined> {
  const address = cluster.addresses[cluster.nodes.indexOf(node)];
  if (address === undefined) return undefined;
  const stub = new NodeStub(node, address);
  await stub.connected(FETCH_TIMEOUT_MS);
  const beganMs = nowMs();
  const request = {
    ...{ topic: TOPIC, queue, offset: 0, max_bytes: FETCH_BYTES },
    ...{ max_wait_ms: 0, linearizable: false },
  };
  const answer = await stub.call('Log.Fetch', request, FETCH_TIMEOUT_MS);
  const ms = nowMs() - beganMs;
  stub.close();
  if (answer.outcome !== 'ok') return undefined;
  const messages = answer.value.batches.flatMap((batch) => batch.messages);
  return { ms, bytes: messages.reduce((sum, { body }) => sum + body.length, 0) };
}

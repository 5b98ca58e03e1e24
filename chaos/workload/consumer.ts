/** A consumer of one queue through one node, and what it commits through every node. */
import { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Request, Response } from './methods.ts';
import { type Answer, NodeStub } from './node-stub.ts';
import { observedValue } from './payload.ts';

const POLL_WAIT_MS = 500;
const POLL_TIMEOUT_MS = 5000;
const POLL_PACE_MS = 100;
const CONNECT_WAIT_MS = 500;
const MAX_BYTES = 1024 * 1024;
const COMMIT_EVERY_MESSAGES = 40;

export interface Poll {
  readonly process: string;
  readonly queue: number;
  readonly from: number;
  readonly last: boolean;
}

/** One fetch, written down; `last` ones see every message acknowledged before them. */
export async function poll(
  load: Load,
  stub: NodeStub,
  { process, queue, from, last }: Poll,
): Promise<Answer<Response<'Log.Fetch'>>> {
  const request: Request<'Log.Fetch'> = {
    topic: TOPIC,
    queue,
    offset: from,
    max_bytes: MAX_BYTES,
    max_wait_ms: last ? 0 : POLL_WAIT_MS,
    linearizable: last,
  };
  const answer = await stub.call('Log.Fetch', request, POLL_TIMEOUT_MS);
  const fetched = answer.outcome === 'ok' ? answer.value : undefined;
  load.record({
    type: 'read',
    ...attemptOf(process, answer),
    node: stub.node,
    queue,
    from,
    batches: (fetched?.batches ?? []).map((batch) => ({
      offset: batch.base_offset,
      values: batch.messages.map(observedValue),
    })),
    endOffset: fetched?.end_offset ?? 0,
    last,
  });
  return answer;
}

/** Committed offsets as seen through the client's node. */
export async function readCommitted(
  load: Load,
  client: Client,
  process: string,
  group: string,
): Promise<Answer<Response<'Log.GetOffset'>>> {
  const { node } = client;
  const answer = await client.attempt('Log.GetOffset', { group, topic: TOPIC, queues: [] });
  for (const { queue, offset } of registersIn(answer, load.queues)) {
    const where = offset === undefined ? {} : { offset };
    const attempt = attemptOf(process, answer);
    load.record({ type: 'committed', ...attempt, node, group, queue, ...where });
  }
  return answer;
}

/** An unknown group has never committed anything, says the node. */
function registersIn(
  answer: Answer<Response<'Log.GetOffset'>>,
  queues: number,
): readonly { readonly queue: number; readonly offset?: number }[] {
  if (answer.outcome === 'ok') return answer.value.queues;
  if (answer.reason !== 'GROUP_NOT_FOUND') return [];
  return Array.from({ length: queues }, (_, queue) => ({ queue }));
}

export function groupOf(node: number): string {
  return `group-${node}`;
}

export class Consumer {
  readonly #load: Load;
  readonly #stub: NodeStub;
  readonly #commits: Client;
  readonly #queue: number;
  readonly #group: string;
  readonly #name: string;
  #offset = 0;
  #committed = 0;

  constructor(load: Load, node: number, queue: number) {
    this.#load = load;
    this.#stub = new NodeStub(node, load.addresses[node - 1]!);
    this.#commits = new Client(load.addresses, node + queue, load.giveUp);
    this.#queue = queue;
    this.#group = groupOf(node);
    this.#name = `consumer-${node}-${queue}`;
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      await this.#poll();
      if (this.#offset - this.#committed < COMMIT_EVERY_MESSAGES) continue;
      if (!(await this.#commit())) break;
    }
    this.#stub.close();
    this.#commits.close();
  }

  async #poll(): Promise<void> {
    const what = { process: this.#name, queue: this.#queue, from: this.#offset, last: false };
    const answer = await poll(this.#load, this.#stub, what);
    if (answer.outcome === 'ok') {
      this.#offset = answer.value.next_offset;
      await this.#load.pace(POLL_PACE_MS);
    } else if (answer.retryable) {
      await this.#load.pace(answer.retryAfterMs || POLL_PACE_MS);
      await this.#stub.connected(CONNECT_WAIT_MS);
    } else {
      this.#load.trouble(this.#name, `fetch at ${this.#offset}: ${answer.text}`);
      this.#load.stop();
    }
  }

  async #commit(): Promise<boolean> {
    const [group, queue, offset] = [this.#group, this.#queue, this.#offset];
    const request = { group, topic: TOPIC, offsets: [{ queue, offset }] };
    const answer = await this.#commits.settle('Log.CommitOffset', request, (attempt) => {
      const line = attemptOf(this.#name, attempt);
      this.#load.record({ type: 'commit', ...line, group, queue, offset });
    });
    if (answer.outcome !== 'ok') {
      this.#load.trouble(this.#name, `commit of ${offset}: ${answer.text}`);
      return false;
    }
    this.#committed = offset;
    this.#commits.useNext();
    await readCommitted(this.#load, this.#commits, this.#name, this.#group);
    return true;
  }
}

/** One client of the cluster: knows all nodes, uses one, moves on when that one is gone. */
import { setTimeout as delay } from 'node:timers/promises';
import type { MethodName, Request, Response } from './methods.ts';
import { type Answer, NodeStub, type Refusal } from './node-stub.ts';

/** Long enough for any election; a dead node is noticed by its reset connection, not by this. */
const ATTEMPT_TIMEOUT_MS = 5000;
const RETRY_DELAY_MS = 10;
const CONNECT_WAIT_MS = 1000;

export class Client {
  readonly #nodes: readonly NodeStub[];
  readonly #giveUp: AbortSignal;
  #current: number;
  #failuresInRow = 0;

  /** After `giveUp` nothing is repeated any more. */
  constructor(addresses: readonly string[], first: number, giveUp: AbortSignal) {
    this.#nodes = addresses.map((address, i) => new NodeStub(i + 1, address));
    this.#current = first % addresses.length;
    this.#giveUp = giveUp;
  }

  /** The node that the next attempt goes to. */
  get node(): number {
    return this.#current + 1;
  }

  useNext(): void {
    this.#current = (this.#current + 1) % this.#nodes.length;
  }

  async attempt<M extends MethodName>(
    method: M,
    request: Request<M>,
  ): Promise<Answer<Response<M>>> {
    const used = this.#current;
    const answer = await this.#nodes[used]!.call(method, request, ATTEMPT_TIMEOUT_MS);
    if (answer.outcome === 'ok') this.#failuresInRow = 0;
    else if (isLost(answer) && used === this.#current) this.useNext();
    return answer;
  }

  /** Repeats an idempotent call until its outcome is known; `onAttempt` sees each one. */
  async settle<M extends MethodName>(
    method: M,
    request: Request<M>,
    onAttempt: (answer: Answer<Response<M>>, node: number) => void,
  ): Promise<Answer<Response<M>>> {
    for (;;) {
      const { node } = this;
      const answer = await this.attempt(method, request);
      onAttempt(answer, node);
      if (answer.outcome === 'ok' || !answer.retryable || this.#giveUp.aborted) return answer;
      await this.pauseAfter(answer);
    }
  }

  /** Waits for what makes another attempt worth it: the node's hint, or any connection. */
  async pauseAfter(answer: Refusal): Promise<void> {
    await delay(answer.retryAfterMs || RETRY_DELAY_MS);
    this.#failuresInRow = isLost(answer) ? this.#failuresInRow + 1 : 0;
    if (this.#failuresInRow < this.#nodes.length) return;
    this.#failuresInRow = 0;
    const first = await Promise.any(this.#nodes.map(whenConnected)).catch(() => undefined);
    if (first !== undefined) this.#current = first;
  }

  close(): void {
    for (const node of this.#nodes) node.close();
  }
}

/** The node went away, or is going: another one may do better. */
function isLost({ reason }: Refusal): boolean {
  return reason === '' || reason === 'NODE_STOPPING';
}

async function whenConnected(node: NodeStub, index: number): Promise<number> {
  if (await node.connected(CONNECT_WAIT_MS)) return index;
  throw new Error(`node ${node.node} is not there`);
}

/**
 * A consumer of one queue through one node, and what it commits through every node. Now and then it
 * dies, and goes on where its group stands.
 */
import { Client } from './client.ts';
import { offsetIn, readCommitted } from './committed.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import { NodeStub } from './node-stub.ts';
import { random } from './produce.ts';
import { poll } from './read.ts';

const POLL_PACE_MS = 200;
const CONNECT_WAIT_MS = 500;
const COMMIT_EVERY_MESSAGES = 40;
/** One poll in so many. */
const LINEARIZABLE_EVERY = 8;
/** One commit in so many. */
const DIES_EVERY = 20;

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
  #seek = false;

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
    const answer = await poll(this.#load, this.#stub, {
      process: this.#name,
      queue: this.#queue,
      from: this.#offset,
      linearizable: random(LINEARIZABLE_EVERY) === 0,
      seek: this.#seek,
    });
    if (answer.outcome === 'ok') {
      this.#seek = false;
      this.#offset = answer.value.next_offset;
      await this.#load.pace(POLL_PACE_MS);
    } else if (this.#load.isWorthRepeating(answer)) {
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
    const stands = await readCommitted(this.#load, this.#commits, this.#name, { group });
    if (random(DIES_EVERY) === 0) this.#goOnAt(offsetIn(stands, queue) ?? offset);
    return true;
  }

  #goOnAt(offset: number): void {
    this.#offset = offset;
    this.#seek = true;
  }
}

/** A subscription to every queue, given up and opened again through the next node all the time. */
import { nowMs } from '../history.ts';
import { type Load, TOPIC } from './load.ts';
import type { Streams } from './methods.ts';
import { NodeStub } from './node-stub.ts';
import { recordRead } from './read.ts';

const CREDIT = 200;
const REOPEN_PACE_MS = 100;
const CONNECT_WAIT_MS = 500;
/** A stream that was cut off without a word says nothing more. */
const SESSION_MS = 4000;

type Element = Streams['Log.Subscribe']['response'];

export class Subscriber {
  readonly #load: Load;
  readonly #stubs: readonly NodeStub[];
  /** By queue number. */
  readonly #offsets: number[];

  constructor(load: Load) {
    this.#load = load;
    this.#stubs = load.addresses.map((address, i) => new NodeStub(i + 1, address));
    this.#offsets = Array.from({ length: load.queues }, () => 0);
  }

  async run(): Promise<void> {
    for (let sessions = 0; this.#load.running; sessions++) {
      const stub = this.#stubs[sessions % this.#stubs.length]!;
      if (await stub.connected(CONNECT_WAIT_MS)) await this.#session(stub);
      await this.#load.pace(REOPEN_PACE_MS);
    }
    for (const stub of this.#stubs) stub.close();
  }

  async #session(stub: NodeStub): Promise<void> {
    const stream = stub.stream('Log.Subscribe');
    let invokedMs = nowMs();
    stream.on('data', (element: Element) => {
      this.#take(stub.node, element, invokedMs);
      invokedMs = nowMs();
      const count = element.batches.reduce((sum, { messages }) => sum + messages.length, 0);
      if (count > 0) stream.write({ credit: count });
    });
    // However it ends, the next one goes on where this one stood.
    stream.on('error', () => undefined);
    const ended = new Promise((resolve) => stream.once('status', resolve));
    const queues = this.#offsets.map((offset, queue) => ({ queue, offset }));
    stream.write({ start: { topic: TOPIC, queues, credit: CREDIT } });
    await Promise.race([this.#load.pace(SESSION_MS), ended]);
    stream.cancel();
    await ended;
  }

  #take(node: number, element: Element, invokedMs: number): void {
    const { queue } = element;
    const from = this.#offsets[queue] ?? 0;
    const answer = { outcome: 'ok', invokedMs, completedMs: nowMs(), value: element } as const;
    recordRead(this.#load, node, { process: 'subscriber', queue, from }, answer);
    this.#offsets[queue] = element.next_offset;
  }
}

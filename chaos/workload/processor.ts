/**
 * Consumes, processes, produces: what it makes of some messages goes to queues of two topics in one
 * transaction, together with the offset of its group. Several work on the same queues as if each
 * were another life of the same program: only one of them may get through. Now and then one dies on
 * the way, and its End comes late, or never.
 */
import type { MovedOffset, PreparedPart } from '../history.ts';
import { Client } from './client.ts';
import { offsetIn, readCommitted } from './committed.ts';
import { endTransaction } from './end-transaction.ts';
import type { Load } from './load.ts';
import { NodeStub } from './node-stub.ts';
import { prepareRequest, recordPrepare, type Transaction } from './prepare.ts';
import { random } from './produce.ts';
import { poll } from './read.ts';
import { INPUT_QUEUES, someKey, WORK_QUEUES } from './work-topic.ts';

export const PROCESSOR_GROUP = 'group-processors';
/** Of producers: who ends their transactions, and is asked about them. */
export const PROCESSORS = 'processors';
const CONSUMED_MAX = 8;
const MADE_MAX = 2;
/** Of those that were prepared. */
const SHARE_COMMITTED = 0.7;
const SHARE_ROLLED_BACK = 0.12;
const SHARE_LATE = 0.12;
/** One in so many dies while it prepares: whether anything is stored nobody knows. */
const DIES_EVERY = 20;
/** The End of a life that was taken for dead comes with one step in so many. */
const LATE_EVERY = 4;
const PACE_MS = 100;

/** Another life was faster, has not ended yet, or the outcome was settled without us. */
const REFUSED = new Set(['TRANSACTION_NOT_PREPARED', 'TRANSACTION_ENDED']);

export class Processor {
  readonly #name: string;
  readonly #load: Load;
  readonly #client: Client;
  readonly #stubs: readonly NodeStub[];
  /** Of lives that are taken for dead. */
  readonly #late: Transaction[] = [];
  #count = 0;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#name = `processor-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
    this.#stubs = load.addresses.map((address, i) => new NodeStub(i + 1, address));
  }

  async run(): Promise<void> {
    while (this.#load.running && (await this.#step())) {
      await this.#load.turn(2);
      await this.#load.pace(PACE_MS);
    }
    for (const late of this.#late) await this.#end(late, 'commit');
    for (const one of [...this.#stubs, this.#client]) one.close();
  }

  async #step(): Promise<boolean> {
    const late = random(LATE_EVERY) === 0 ? this.#late.shift() : undefined;
    if (late !== undefined) return this.#end(late, random(2) === 0 ? 'commit' : 'rollback');
    const consumed = await this.#consume(random(INPUT_QUEUES));
    if (consumed === undefined) return true;
    return this.#produce(this.#made(consumed));
  }

  /** From where the group stands; undefined where there is nothing, or no answer. */
  async #consume(queue: number): Promise<MovedOffset | undefined> {
    const { work } = this.#load;
    const reading = { group: PROCESSOR_GROUP, topic: { ...work, queues: WORK_QUEUES } };
    const stands = await readCommitted(this.#load, this.#client, this.#name, reading);
    if (stands.outcome !== 'ok' && stands.reason !== 'GROUP_NOT_FOUND') {
      await this.#client.pauseAfter(stands);
      return undefined;
    }
    const from = offsetIn(stands, queue);
    const stub = this.#stubs[random(this.#stubs.length)]!;
    const begin = from ?? 0;
    const what = { process: this.#name, topic: work, queue, from: begin, seek: true };
    const read = await poll(this.#load, stub, what);
    if (read.outcome !== 'ok') {
      if (this.#load.isWorthRepeating(read)) await this.#client.pauseAfter(read);
      else this.#load.trouble(this.#name, `fetch at ${begin}: ${read.text}`);
      return undefined;
    }
    const count = Math.min(read.value.next_offset - begin, 1 + random(CONSUMED_MAX));
    if (count === 0) return undefined;
    const moved = { group: PROCESSOR_GROUP, topic: work.id, queue, offset: begin + count };
    return from === undefined ? moved : { ...moved, from };
  }

  /** Messages for two queues of the one topic, and half of the time for one of the other. */
  #made(consumed: MovedOffset): Transaction {
    const { queues, work } = this.#load;
    const id = `${this.#name}-${this.#count++}`;
    const valuesFor = (part: number): string[] =>
      Array.from({ length: 1 + random(MADE_MAX) }, (_, i) => `${id}.${part}.${i}`);
    const queue = random(queues);
    const others: PreparedPart[] = [];
    if (queues > 1) others.push({ queue: (queue + 1) % queues, values: valuesFor(1) });
    if (random(2) === 0) {
      const output = INPUT_QUEUES + random(WORK_QUEUES - INPUT_QUEUES);
      others.push({ topic: work.id, queue: output, values: valuesFor(2), key: someKey() });
    }
    const parts = [{ queue, values: valuesFor(0) }, ...others] as const;
    return { id, group: PROCESSORS, parts, moves: [consumed] };
  }

  async #produce(transaction: Transaction): Promise<boolean> {
    const request = prepareRequest(this.#load, transaction);
    const { steps } = this.#load;
    const { queue } = transaction.parts[0];
    steps.pass('preparing', queue);
    if (random(DIES_EVERY) === 0) {
      const answer = await this.#client.attempt('Transactions.Prepare', request);
      recordPrepare(this.#load, this.#name, transaction, answer);
      this.#client.useNext();
      return true;
    }
    const answer = await this.#client.settle('Transactions.Prepare', request, (attempt) => {
      recordPrepare(this.#load, this.#name, transaction, attempt);
    });
    if (answer.outcome === 'ok') {
      steps.pass('prepared', queue);
      return this.#decide(transaction);
    }
    if (REFUSED.has(answer.reason)) return true;
    this.#load.trouble(this.#name, `prepare ${transaction.id}: ${answer.text}`);
    return false;
  }

  async #decide(transaction: Transaction): Promise<boolean> {
    const draw = Math.random();
    if (draw < SHARE_COMMITTED) return this.#end(transaction, 'commit');
    if (draw < SHARE_COMMITTED + SHARE_ROLLED_BACK) return this.#end(transaction, 'rollback');
    if (draw < SHARE_COMMITTED + SHARE_ROLLED_BACK + SHARE_LATE) this.#late.push(transaction);
    this.#client.useNext();
    return true;
  }

  async #end({ id, group, parts }: Transaction, decision: 'commit' | 'rollback'): Promise<boolean> {
    const ending = { id, group, queue: parts[0].queue, decision };
    const answer = await endTransaction(this.#load, this.#client, this.#name, ending);
    // Whoever was asked meanwhile may have decided first; the checker knows who asked for what.
    if (answer.outcome !== 'ok') return answer.reason === 'TRANSACTION_ENDED';
    const places = answer.value.parts.length;
    if (decision === 'commit' && places !== parts.length) {
      this.#load.trouble(this.#name, `commit of ${id}: ${places} of ${parts.length} parts`);
    }
    return true;
  }
}

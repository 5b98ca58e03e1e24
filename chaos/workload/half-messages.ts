/** A producer of half messages under ids of its own; some stay undecided over many faults. */
import { Client } from './client.ts';
import { LateEnds } from './late-ends.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Request, Response } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { messageOf } from './payload.ts';

const UNDECIDED_MAX = 8;
const MESSAGES_MAX = 3;
const SHARE_COMMITTED = 0.6;
const SHARE_ROLLED_BACK = 0.25;

/** `lost`: it never decides, and has to be asked. */
type Fate = 'commit' | 'rollback' | 'lost';

/** What an End has to name. */
export interface Prepared {
  readonly id: string;
  readonly queue: number;
  readonly group: string;
}

interface Transaction extends Prepared {
  readonly fate: Fate;
  readonly values: readonly string[];
}

export class HalfMessageProducer {
  readonly group: string;
  readonly #load: Load;
  readonly #client: Client;
  readonly #undecided: Transaction[] = [];
  readonly #late: LateEnds;
  #count = 0;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.group = `halves-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
    this.#late = new LateEnds(load, this.group, index);
  }

  async run(): Promise<void> {
    while (this.#load.running && (await this.#prepareOne())) {
      if (this.#undecided.length >= UNDECIDED_MAX && !(await this.#endOne())) break;
      // One prepare and one end.
      await this.#load.turn(2);
    }
    while (this.#undecided.length > 0 && (await this.#endOne()));
    for (const one of [this.#client, this.#late]) one.close();
  }

  async #prepareOne(): Promise<boolean> {
    const { queues } = this.#load;
    const id = `${this.group}-${this.#count++}`;
    const length = 1 + Math.floor(Math.random() * MESSAGES_MAX);
    const transaction: Transaction = {
      id,
      group: this.group,
      queue: Math.floor(Math.random() * queues),
      fate: drawFate(),
      values: Array.from({ length }, (_, i) => `${id}.${i}`),
    };
    const answer = await this.#prepare(transaction);
    if (answer.outcome === 'ok') {
      this.#undecided.push(transaction);
      return true;
    }
    this.#load.trouble(this.group, `prepare ${id}: ${answer.text}`);
    return false;
  }

  #prepare({ id, queue, values }: Transaction): Promise<Answer<Response<'Transactions.Prepare'>>> {
    const request: Request<'Transactions.Prepare'> = {
      producer_group: this.group,
      transaction_id: id,
      parts: [{ topic: TOPIC, queue, messages: values.map(messageOf) }],
    };
    return this.#client.settle('Transactions.Prepare', request, (answer) => {
      const attempt = attemptOf(this.group, answer);
      this.#load.record({ type: 'prepare', ...attempt, transaction: id, queue, values });
    });
  }

  /** Any of those that wait, so that ends come in another order than prepares. */
  async #endOne(): Promise<boolean> {
    const at = Math.floor(Math.random() * this.#undecided.length);
    const transaction = this.#undecided.splice(at, 1)[0]!;
    const { id, fate, values } = transaction;
    if (fate === 'lost') return true;
    const answer = await endTransaction(this.#load, this.#client, this.group, transaction, fate);
    if (answer.outcome === 'ok' || answer.reason === 'TRANSACTION_ENDED') {
      await this.#late.after(transaction);
    }
    // Whoever was asked meanwhile may have decided first; the checker knows who asked for what.
    if (answer.outcome !== 'ok') return answer.reason === 'TRANSACTION_ENDED';
    const count = answer.value.parts[0]?.count ?? 0;
    if (fate === 'commit' && count !== values.length) {
      this.#load.trouble(this.group, `${fate} of ${id}: ${count} messages`);
    }
    return true;
  }
}

/** Repeated until the outcome is known. */
export async function endTransaction(
  load: Load,
  client: Client,
  process: string,
  { id, queue, group }: Prepared,
  decision: 'commit' | 'rollback',
): Promise<Answer<Response<'Transactions.End'>>> {
  const request: Request<'Transactions.End'> = {
    producer_group: group,
    transaction_id: id,
    decision: decision === 'commit' ? 'COMMIT' : 'ROLLBACK',
    topic: TOPIC,
    queue,
  };
  const answer = await client.settle('Transactions.End', request, (attempt) => {
    const part = attempt.outcome === 'ok' ? attempt.value.parts[0] : undefined;
    load.record({
      type: 'end',
      ...attemptOf(process, attempt),
      ...{ transaction: id, queue, decision },
      ...stateIn(attempt),
      ...(part === undefined ? {} : { baseOffset: part.base_offset }),
    });
  });
  if (answer.outcome !== 'ok' && answer.reason !== 'TRANSACTION_ENDED') {
    load.trouble(process, `${decision} of ${id}: ${answer.text}`);
  }
  return answer;
}

const STATES = ['UNDECIDED', 'COMMITTED', 'ROLLED_BACK'] as const;

/** In an answer or in a refusal. */
function stateIn(answer: Answer<Response<'Transactions.End'>>) {
  const text = answer.outcome === 'ok' ? answer.value.state : answer.transactionState;
  const state = STATES.find((one) => one === text);
  return state === undefined ? {} : { state };
}

function drawFate(): Fate {
  const draw = Math.random();
  if (draw < SHARE_COMMITTED) return 'commit';
  return draw < SHARE_COMMITTED + SHARE_ROLLED_BACK ? 'rollback' : 'lost';
}

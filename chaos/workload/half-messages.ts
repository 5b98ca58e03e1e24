/**
 * A producer of half messages under ids of its own, for one queue or for several; some stay
 * undecided over many faults.
 */
import type { PreparedPart } from '../history.ts';
import { Client } from './client.ts';
import { endTransaction } from './end-transaction.ts';
import { LateEnds } from './late-ends.ts';
import type { Load } from './load.ts';
import { prepareRequest, recordPrepare, type Transaction } from './prepare.ts';
import { random } from './produce.ts';

const UNDECIDED_MAX = 8;
const MESSAGES_MAX = 3;
/** One in so many has parts for other queues, too: up to this many in all. */
const SEVERAL_EVERY = 3;
const PARTS_MAX = 3;
const SHARE_COMMITTED = 0.6;
const SHARE_ROLLED_BACK = 0.25;

/** `lost`: it never decides, and has to be asked. */
type Fate = 'commit' | 'rollback' | 'lost';

interface Half extends Transaction {
  readonly fate: Fate;
}

export class HalfMessageProducer {
  readonly #group: string;
  readonly #name: string;
  readonly #load: Load;
  readonly #client: Client;
  readonly #undecided: Half[] = [];
  readonly #late: LateEnds;
  #count = 0;

  /** Others may be in its group. */
  constructor(load: Load, index: number, group: string) {
    this.#load = load;
    this.#group = group;
    this.#name = `halves-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
    this.#late = new LateEnds(load, this.#name, index);
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
    const id = `${this.#name}-${this.#count++}`;
    const half: Half = { id, group: this.#group, parts: this.#someParts(id), fate: drawFate() };
    const request = prepareRequest(this.#load, half);
    this.#load.steps.pass('preparing', half.parts[0].queue);
    const answer = await this.#client.settle('Transactions.Prepare', request, (attempt) => {
      recordPrepare(this.#load, this.#name, half, attempt);
    });
    if (answer.outcome === 'ok') {
      this.#load.steps.pass('prepared', half.parts[0].queue);
      this.#undecided.push(half);
      return true;
    }
    // The time for it was over, or a part was refused because its shard had just no leader.
    if (answer.reason === 'TRANSACTION_NOT_PREPARED' || answer.reason === 'TRANSACTION_ENDED') {
      return true;
    }
    this.#load.trouble(this.#name, `prepare ${id}: ${answer.text}`);
    return false;
  }

  /** Queues one after the other are in shards of their own. */
  #someParts(id: string): Half['parts'] {
    const { queues } = this.#load;
    const count = random(SEVERAL_EVERY) === 0 ? 2 + random(PARTS_MAX - 1) : 1;
    const queue = random(queues);
    const part = (at: number): PreparedPart => {
      const length = 1 + random(MESSAGES_MAX);
      const name = count === 1 ? id : `${id}.${at}`;
      const values = Array.from({ length }, (_, i) => `${name}.${i}`);
      return { queue: (queue + at) % queues, values };
    };
    const others = Array.from({ length: Math.min(count, queues) - 1 }, (_, i) => part(i + 1));
    return [part(0), ...others];
  }

  /** Any of those that wait, so that ends come in another order than prepares. */
  async #endOne(): Promise<boolean> {
    const [half] = this.#undecided.splice(random(this.#undecided.length), 1);
    if (half === undefined || half.fate === 'lost') return true;
    const { id, fate: decision, group, parts } = half;
    const prepared = { id, group, queue: parts[0].queue };
    const ending = { ...prepared, decision };
    const answer = await endTransaction(this.#load, this.#client, this.#name, ending);
    if (answer.outcome === 'ok' || answer.reason === 'TRANSACTION_ENDED') {
      await this.#late.after(prepared);
    }
    // Whoever was asked meanwhile may have decided first; the checker knows who asked for what.
    if (answer.outcome !== 'ok') return answer.reason === 'TRANSACTION_ENDED';
    const count = answer.value.parts.reduce((sum, part) => sum + part.count, 0);
    const due = parts.reduce((sum, { values }) => sum + values.length, 0);
    if (decision === 'commit' && count !== due) {
      this.#load.trouble(this.#name, `${decision} of ${id}: ${count} messages`);
    }
    return true;
  }
}

function drawFate(): Fate {
  const draw = Math.random();
  if (draw < SHARE_COMMITTED) return 'commit';
  return draw < SHARE_COMMITTED + SHARE_ROLLED_BACK ? 'rollback' : 'lost';
}

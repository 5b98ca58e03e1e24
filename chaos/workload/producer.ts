/** An idempotent producer of one queue: some requests in flight, open outcomes settled in order. */
import { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Response } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { messageOf } from './payload.ts';

const IN_FLIGHT_MAX = 8;
const BATCH_MESSAGES_MAX = 5;
const SHARE_ALONE = 0.5;
const ROUND_PACE_MS = 20;

interface Write {
  readonly sequence: number;
  readonly values: readonly string[];
}

type Ack = Answer<Response<'Log.Produce'>>;

export class Producer {
  readonly #load: Load;
  readonly #queue: number;
  readonly #id: string;
  readonly #client: Client;
  #sequence = 0;

  /** Of those that write to the same queue the one with this index. */
  constructor(load: Load, queue: number, index: number) {
    this.#load = load;
    this.#queue = queue;
    this.#id = `producer-${queue}-${index}`;
    this.#client = new Client(load.addresses, queue + index, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      const round = Array.from({ length: 1 + random(IN_FLIGHT_MAX) }, () => this.#nextWrite());
      if (!(await this.#send(round))) break;
      await this.#load.pace(ROUND_PACE_MS);
    }
    this.#client.close();
  }

  #nextWrite(): Write {
    const sequence = this.#sequence;
    const count = Math.random() < SHARE_ALONE ? 1 : 1 + random(BATCH_MESSAGES_MAX);
    this.#sequence += count;
    return {
      sequence,
      values: Array.from({ length: count }, (_, i) => `${this.#id}.${sequence + i}`),
    };
  }

  /** All at once; those that stay open are repeated one by one, the oldest first. */
  async #send(round: readonly Write[]): Promise<boolean> {
    const acks = await Promise.all(round.map((write) => this.#attempt(write)));
    for (const [i, write] of round.entries()) {
      if (acks[i]?.outcome === 'ok') continue;
      const ack = await this.#client.settle('Log.Produce', this.#request(write), (answer) => {
        this.#record(write, answer);
      });
      if (ack.outcome === 'ok') continue;
      this.#load.trouble(this.#id, `queue ${this.#queue}, ${write.sequence}: ${ack.text}`);
      return false;
    }
    return true;
  }

  async #attempt(write: Write): Promise<Ack> {
    const answer = await this.#client.attempt('Log.Produce', this.#request(write));
    this.#record(write, answer);
    return answer;
  }

  #request({ sequence, values }: Write) {
    const messages = values.map(messageOf);
    return { topic: TOPIC, queue: this.#queue, producer_id: this.#id, sequence, messages };
  }

  #record({ sequence, values }: Write, answer: Ack): void {
    const acked = answer.outcome === 'ok' ? answer.value : undefined;
    this.#load.record({
      type: 'produce',
      ...attemptOf(this.#id, answer),
      queue: this.#queue,
      producer: this.#id,
      sequence,
      values,
      ...(acked?.base_offset === undefined ? {} : { baseOffset: acked.base_offset }),
      ...(acked?.duplicate === true ? { duplicate: true } : {}),
    });
    if (acked === undefined) return;
    if (acked.base_offset === undefined || acked.count !== values.length) {
      this.#load.trouble(this.#id, `${sequence}: an ack of ${acked.count} without an offset`);
    }
  }
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}

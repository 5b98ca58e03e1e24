/**
 * An idempotent producer of one queue: some requests in flight, open outcomes settled in order. Now
 * and then it dies with requests in flight, and starts again under its id with a higher epoch.
 */
import { Client } from './client.ts';
import { LateRequests } from './late-requests.ts';
import type { Load } from './load.ts';
import type { ProduceAck } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';
import { Repeats } from './repeats.ts';

const IN_FLIGHT_MAX = 8;
const BATCH_MESSAGES_MAX = 5;
const SHARE_ALONE = 0.5;
/** One round in so many. */
const DIES_EVERY = 200;

export class Producer {
  readonly #load: Load;
  readonly #queue: number;
  readonly #id: string;
  /** What nobody waits for any more. */
  readonly #abandoned: Promise<unknown>[] = [];
  readonly #repeats: Repeats;
  readonly #late: LateRequests;
  #client: Client;
  #epoch = 0;
  #sequence = 0;

  /** Of those that write to the same queue the one with this index. */
  constructor(load: Load, queue: number, index: number) {
    this.#load = load;
    this.#queue = queue;
    this.#id = `producer-${queue}-${index}`;
    this.#client = new Client(load.addresses, queue + index, load.giveUp);
    this.#repeats = new Repeats(load, this.#id, queue);
    this.#late = new LateRequests(load, this.#id, queue);
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      const length = 1 + Math.floor(IN_FLIGHT_MAX * Math.random() ** 2);
      const round = Array.from({ length }, () => this.#nextWrite());
      if (random(DIES_EVERY) === 0) this.#die(round);
      else if (!(await this.#sendAll(round)) || !(await this.#late.send())) break;
    }
    await Promise.all(this.#abandoned);
    for (const one of [this.#client, this.#repeats, this.#late]) one.close();
  }

  #nextWrite(): Write {
    const [epoch, sequence] = [this.#epoch, this.#sequence];
    const count = Math.random() < SHARE_ALONE ? 1 : 1 + random(BATCH_MESSAGES_MAX);
    this.#sequence += count;
    return {
      queue: this.#queue,
      producer: { id: this.#id, epoch, sequence },
      values: Array.from({ length: count }, (_, i) => `${this.#id}.${epoch}.${sequence + i}`),
    };
  }

  /** With repetitions of former rounds at the same time. */
  async #sendAll(round: readonly Write[]): Promise<boolean> {
    const repeated = this.#repeats.after(round.length);
    const goesOn = await this.#send(round);
    if (goesOn) this.#repeats.acknowledged(round);
    return (await repeated) && goesOn;
  }

  #die(round: readonly Write[]): void {
    const client = this.#client;
    const acked = random(2) === 0 ? this.#repeats.any() : undefined;
    this.#late.keep(acked ?? this.#nextWrite());
    this.#repeats.forget();
    const attempts = Promise.all(round.map((write) => this.#attempt(client, write)));
    this.#abandoned.push(attempts.finally(() => client.close()));
    this.#client = new Client(this.#load.addresses, this.#queue, this.#load.giveUp);
    this.#epoch += 1;
    this.#sequence = 0;
  }

  /** All at once; those that stay open are repeated one by one, the oldest first. */
  async #send(round: readonly Write[]): Promise<boolean> {
    const acks = await this.#pipeline(round);
    for (const [i, write] of round.entries()) {
      if (acks[i]?.outcome === 'ok') continue;
      const ack = await this.#client.settle('Log.Produce', requestOf(write), (answer) => {
        recordProduce(this.#load, this.#id, write, answer);
      });
      if (ack.outcome === 'ok') continue;
      this.#load.trouble(this.#id, `queue ${this.#queue}, ${write.values[0]}: ${ack.text}`);
      return false;
    }
    return true;
  }

  /** Sends are spread over time, or a queue would wait for the rounds of all others. */
  async #pipeline(round: readonly Write[]): Promise<readonly Answer<ProduceAck>[]> {
    const attempts: Promise<Answer<ProduceAck>>[] = [];
    for (const write of round) {
      await this.#load.turn(1);
      attempts.push(this.#attempt(this.#client, write));
    }
    return Promise.all(attempts);
  }

  async #attempt(client: Client, write: Write): Promise<Answer<ProduceAck>> {
    const answer = await client.attempt('Log.Produce', requestOf(write));
    recordProduce(this.#load, this.#id, write, answer);
    return answer;
  }
}

/** An idempotent producer of all queues over one stream, pipelined; what stays open is settled. */
import { Client } from './client.ts';
import type { Load } from './load.ts';
import { NodeStub } from './node-stub.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';
import { ProduceSession } from './produce-session.ts';
import { Repeats } from './repeats.ts';

const ROUND_REQUESTS_MAX = 8;
const BATCH_MESSAGES_MAX = 5;

export class StreamProducer {
  readonly #load: Load;
  readonly #id: string;
  readonly #client: Client;
  readonly #stubs: readonly NodeStub[];
  readonly #repeats: Repeats;
  /** By queue number. */
  readonly #sequences: number[];
  #sessions: number;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#id = `stream-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
    this.#stubs = load.addresses.map((address, i) => new NodeStub(i + 1, address));
    this.#repeats = new Repeats(load, this.#id, index);
    this.#sequences = Array.from({ length: load.queues }, () => 0);
    this.#sessions = index;
  }

  /** Through another node after each loss. */
  async run(): Promise<void> {
    let goesOn = true;
    while (goesOn && this.#load.running) {
      const stub = this.#stubs[this.#sessions++ % this.#stubs.length]!;
      const session = new ProduceSession(stub);
      while (goesOn && this.#load.running && !session.ended) {
        const length = 1 + random(ROUND_REQUESTS_MAX);
        await this.#load.turn(length);
        const round = Array.from({ length }, () => this.#nextWrite());
        goesOn = await this.#sendAll(session, round);
      }
      session.close();
    }
    for (const stub of [...this.#stubs, this.#client, this.#repeats]) stub.close();
  }

  /** With repetitions of former rounds at the same time. */
  async #sendAll(session: ProduceSession, round: readonly Write[]): Promise<boolean> {
    const repeated = this.#repeats.after(round.length);
    const goesOn = await this.#send(session, round);
    if (goesOn) this.#repeats.acknowledged(round);
    return (await repeated) && goesOn;
  }

  /** After an error the stream refuses what follows on that queue: the rest goes another way. */
  async #send(session: ProduceSession, round: readonly Write[]): Promise<boolean> {
    const answers = await session.send(round.map(requestOf));
    for (const [i, write] of round.entries()) {
      recordProduce(this.#load, this.#id, write, answers[i]!);
    }
    const open = round.filter((_, i) => answers[i]?.outcome !== 'ok');
    for (const write of open) {
      const ack = await this.#client.settle('Log.Produce', requestOf(write), (answer) => {
        recordProduce(this.#load, this.#id, write, answer);
      });
      if (ack.outcome === 'ok') continue;
      this.#load.trouble(this.#id, `${write.values[0]}: ${ack.text}`);
      return false;
    }
    if (open.length > 0) session.close();
    return true;
  }

  #nextWrite(): Write {
    const queue = random(this.#load.queues);
    const sequence = this.#sequences[queue]!;
    const count = 1 + random(BATCH_MESSAGES_MAX);
    this.#sequences[queue] = sequence + count;
    return {
      queue,
      producer: { id: this.#id, epoch: 0, sequence },
      values: Array.from({ length: count }, (_, i) => `${this.#id}.${queue}.${sequence + i}`),
    };
  }
}

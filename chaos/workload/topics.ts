/** A topic that lives for a few seconds, again and again under one name, with all that is in it. */
import { Client } from './client.ts';
import { attemptOf, type Load } from './load.ts';
import type { Response } from './methods.ts';
import { type Answer, NodeStub } from './node-stub.ts';
import { random, recordProduce, requestOf, type Write } from './produce.ts';
import { poll } from './read.ts';

const QUEUES = 2;
const ROUND_PACE_MS = 100;
const BATCH_MESSAGES_MAX = 3;
/** Longer than what it keeps, where it does not keep everything. */
const LIFE_ROUNDS = 60;

interface Life {
  readonly name: string;
  readonly id: string;
}

/** Where its reader stands. */
interface Position {
  readonly read: number;
  readonly seek: boolean;
}

export class ShortLivedTopic {
  readonly #load: Load;
  readonly #name: string;
  readonly #retentionMs: number | undefined;
  readonly #client: Client;
  readonly #stubs: readonly NodeStub[];
  #lives = 0;

  /** Without `retentionMs` it keeps everything. */
  constructor(load: Load, index: number, retentionMs?: number) {
    this.#load = load;
    this.#name = `brief-${index}`;
    this.#retentionMs = retentionMs;
    this.#client = new Client(load.addresses, index, load.giveUp);
    this.#stubs = load.addresses.map((address, i) => new NodeStub(i + 1, address));
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      const life = await this.#create();
      if (life === undefined || !(await this.#live(life)) || !(await this.#delete(life))) break;
      this.#lives += 1;
    }
    for (const stub of [...this.#stubs, this.#client]) stub.close();
  }

  async #create(): Promise<Life | undefined> {
    const name = this.#name;
    const retentionMs = this.#retentionMs;
    const config = retentionMs === undefined ? {} : { retention_ms: retentionMs };
    const request = { name, queue_count: QUEUES, config };
    while (this.#load.running) {
      const answer = await this.#client.attempt('Admin.CreateTopic', request);
      const id = await this.#idAfter(answer);
      this.#load.record({
        ...{ type: 'topic', action: 'create', name },
        ...attemptOf(name, answer),
        ...(id === undefined ? {} : { topic: id }),
        ...(retentionMs === undefined ? {} : { retentionMs }),
      });
      if (id !== undefined) return { name, id };
      if (answer.outcome === 'ok') continue;
      if (!answer.retryable && answer.reason !== 'TOPIC_EXISTS') {
        this.#load.trouble(name, `create: ${answer.text}`);
        return undefined;
      }
      await this.#client.pauseAfter(answer);
    }
    return undefined;
  }

  /** There is one already: an attempt of ours, without an answer, made it. */
  async #idAfter(answer: Answer<Response<'Admin.CreateTopic'>>): Promise<string | undefined> {
    if (answer.outcome === 'ok') return answer.value.topic.topic_id;
    if (answer.reason !== 'TOPIC_EXISTS') return undefined;
    const described = await this.#client.attempt('Admin.DescribeTopic', { name: this.#name });
    return described.outcome === 'ok' ? described.value.topic.topic_id : undefined;
  }

  async #live(life: Life): Promise<boolean> {
    const ends = Array.from({ length: QUEUES }, () => ({ sequence: 0, read: 0, seek: false }));
    for (let round = 0; round < LIFE_ROUNDS && this.#load.running; round++) {
      const queue = round % QUEUES;
      const end = ends[queue]!;
      const count = 1 + random(BATCH_MESSAGES_MAX);
      const offset = await this.#write(life, queue, end.sequence, count);
      if (offset === undefined) return false;
      end.sequence += count;
      Object.assign(end, await this.#read(life, queue, end, offset + count));
      await this.#load.pace(ROUND_PACE_MS);
    }
    return true;
  }

  /** Where it stands; undefined when it is refused for good. */
  async #write(
    topic: Life,
    queue: number,
    sequence: number,
    count: number,
  ): Promise<number | undefined> {
    const name = `${this.#name}.${this.#lives}.${queue}`;
    const values = Array.from({ length: count }, (_, i) => `${name}.${sequence + i}`);
    const write: Write = { topic, queue, values, producer: { id: 'brief', epoch: 0, sequence } };
    const answer = await this.#client.settle('Log.Produce', requestOf(write), (attempt) => {
      recordProduce(this.#load, this.#name, write, attempt);
    });
    if (answer.outcome === 'ok') return answer.value.base_offset;
    this.#load.trouble(this.#name, `${values[0]}: ${answer.text}`);
    return undefined;
  }

  /** Everything there is, through any node; from the first that is left where time took some. */
  async #read(
    topic: Life,
    queue: number,
    { read: from, seek }: Position,
    end: number,
  ): Promise<Position> {
    const stub = this.#stubs[random(this.#stubs.length)]!;
    const process = `${this.#name}-reader-${topic.id}`;
    const what = { process, topic, queue, from, linearizable: true, seek };
    const answer = await poll(this.#load, stub, what);
    if (answer.outcome === 'ok') return { read: answer.value.next_offset, seek: false };
    if (answer.reason === 'OFFSET_OUT_OF_RANGE') {
      // Where nothing is shown yet: a read beyond what it skips would call that lost.
      const asked = await poll(this.#load, stub, { ...what, from: end, seek: true });
      return { read: asked.outcome === 'ok' ? asked.value.start_offset : from, seek: true };
    }
    if (!this.#load.isWorthRepeating(answer)) {
      this.#load.trouble(process, `fetch at ${from}: ${answer.text}`);
    }
    return { read: from, seek };
  }

  async #delete({ name, id }: Life): Promise<boolean> {
    const request = { name, topic_id: id };
    const answer = await this.#client.settle('Admin.DeleteTopic', request, (attempt) => {
      const line = attemptOf(name, attempt);
      this.#load.record({ ...{ type: 'topic', action: 'delete', name, topic: id }, ...line });
    });
    // It is gone by an attempt before, of which we have no answer.
    if (answer.outcome === 'ok' || answer.reason === 'TOPIC_NOT_FOUND') return true;
    this.#load.trouble(name, `delete: ${answer.text}`);
    return false;
  }
}

/**
 * Asks every node in turn where the queues begin and end, and which message was the first one after
 * a time; then reads what stands around that place, because only nodes know when they stored it.
 */
import { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Response } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { random } from './produce.ts';

const PACE_MS = 250;
const SOUGHT_BEFORE_MS = 20_000;
const MAX_BYTES = 65_536;

type Listed = Answer<Response<'Log.ListOffsets'>>;

/** When a node stored the messages before and at a place. */
interface Found {
  readonly beforeMs?: number;
  readonly foundMs?: number;
}

export class OffsetLists {
  readonly #load: Load;
  readonly #client: Client;

  constructor(load: Load) {
    this.#load = load;
    this.#client = new Client(load.addresses, 0, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      const soughtMs = Date.now() - random(SOUGHT_BEFORE_MS);
      const { node } = this.#client;
      const request = { topic: TOPIC, queues: [], at_ms: soughtMs };
      const answer = await this.#client.attempt('Log.ListOffsets', request);
      await this.#record(answer, node, soughtMs);
      if (answer.outcome !== 'ok' && !answer.retryable) {
        this.#load.trouble('offset-lists', answer.text);
        break;
      }
      this.#client.useNext();
      await this.#load.pace(PACE_MS);
    }
    this.#client.close();
  }

  /** Of one of the queues the place is looked at. */
  async #record(answer: Listed, node: number, soughtMs: number): Promise<void> {
    if (answer.outcome !== 'ok') return;
    const chosen = random(this.#load.queues);
    for (const { queue, start_offset, end_offset, offset_at_time: found } of answer.value.queues) {
      const isSought = queue === chosen && found !== undefined;
      const stored = isSought ? await this.#around(queue, found, end_offset) : {};
      this.#load.record({
        type: 'listed',
        ...attemptOf('offset-lists', answer),
        ...{ node, queue, endOffset: end_offset },
        ...(start_offset === 0 ? {} : { startOffset: start_offset }),
        ...(isSought ? { soughtMs, foundOffset: found, ...stored } : {}),
      });
    }
  }

  async #around(queue: number, offset: number, end: number): Promise<Found> {
    const beforeMs = offset > 0 ? await this.#storedMs(queue, offset - 1) : undefined;
    const foundMs = offset < end ? await this.#storedMs(queue, offset) : undefined;
    return {
      ...(beforeMs === undefined ? {} : { beforeMs }),
      ...(foundMs === undefined ? {} : { foundMs }),
    };
  }

  async #storedMs(queue: number, offset: number): Promise<number | undefined> {
    const answer = await this.#client.attempt('Log.Fetch', {
      ...{ topic: TOPIC, queue, offset },
      ...{ max_bytes: MAX_BYTES, max_messages: 1, max_wait_ms: 0, linearizable: true },
    });
    return answer.outcome === 'ok' ? answer.value.batches[0]?.stored_at_ms : undefined;
  }
}

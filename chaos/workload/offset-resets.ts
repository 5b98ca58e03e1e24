/** A group that goes back: commits, resets, and commits again, through every node in turn. */
import { Client } from './client.ts';
import { readCommitted } from './committed.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Answer } from './node-stub.ts';
import { random } from './produce.ts';

const PACE_MS = 150;
/** The queue is longer than that before long; until then a commit is refused. */
const STEP_MAX = 10;
export const RESET_GROUP = 'group-reset';

/** Its own attempts without an answer may come late, and in the beginning there is nothing yet. */
const EXPECTED = new Set(['OFFSET_FALLS', 'OFFSET_PAST_END', 'GROUP_NOT_FOUND']);

export class OffsetResets {
  readonly #load: Load;
  readonly #client: Client;
  #offset = 0;

  constructor(load: Load) {
    this.#load = load;
    this.#client = new Client(load.addresses, 0, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running && (await this.#goOn()) && (await this.#goBack())) {
      await readCommitted(this.#load, this.#client, 'resets', { group: RESET_GROUP });
      this.#client.useNext();
      await this.#load.pace(PACE_MS);
    }
    this.#client.close();
  }

  async #goOn(): Promise<boolean> {
    const offset = this.#offset + 1 + random(STEP_MAX);
    const group = RESET_GROUP;
    const request = { group, topic: TOPIC, offsets: [{ queue: 0, offset }] };
    const answer = await this.#client.settle('Log.CommitOffset', request, (attempt) => {
      const line = attemptOf('resets', attempt);
      this.#load.record({ type: 'commit', ...line, group, queue: 0, offset });
    });
    if (answer.outcome === 'ok') this.#offset = offset;
    return this.#isFine('commit', offset, answer);
  }

  async #goBack(): Promise<boolean> {
    const offset = random(this.#offset + 1);
    const group = RESET_GROUP;
    const offsets = { offsets: [{ queue: 0, offset }] };
    const request = { group, topic: TOPIC, offsets };
    const answer = await this.#client.settle('Log.ResetOffsets', request, (attempt) => {
      const line = attemptOf('resets', attempt);
      const epoch = attempt.outcome === 'ok' ? { epoch: attempt.value.epoch } : {};
      this.#load.record({ type: 'reset', ...line, group, queue: 0, offset, ...epoch });
    });
    if (answer.outcome === 'ok') this.#offset = offset;
    return this.#isFine('reset', offset, answer);
  }

  #isFine(what: string, offset: number, answer: Answer<unknown>): boolean {
    if (answer.outcome === 'ok' || EXPECTED.has(answer.reason)) return true;
    this.#load.trouble('resets', `${what} to ${offset}: ${answer.text}`);
    return false;
  }
}

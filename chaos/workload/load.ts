/** What all parts of the workload share: where it goes, what it writes down, when it ends. */
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type HistoryEvent, type HistoryWriter, nowMs, type Outcome } from '../history.ts';
import { isAckedWrite } from '../validity.ts';
import type { Answer, Refusal } from './node-stub.ts';
import { Rate } from './rate.ts';
import { Steps } from './steps.ts';

export const TOPIC = 'chaos';

/** A topic by its name, and which life of it. */
export interface Topic {
  readonly name: string;
  readonly id: string;
}

/** The level at which nothing takes an ack back, and acks say where the messages are. */
export const ACKS_LAST_AT = 'majority_fsync';

/** The first burst is no rate. */
const RATE_WINDOW_MIN_MS = 2000;

export class Load {
  readonly addresses: readonly string[];
  readonly queues: number;
  /** How far an acknowledged write has got: the topic's default. */
  readonly level: string;
  /** What transactions are at, for faults that wait for it. */
  readonly steps = new Steps();
  #work: Topic | undefined;
  readonly #history: HistoryWriter;
  readonly #rate: Rate;
  readonly #stop = new AbortController();
  readonly #giveUp = new AbortController();
  #interrupted = false;
  #damageExpected = false;
  #acks = 0;
  #firstAckMs = 0;

  constructor(
    addresses: readonly string[],
    queues: number,
    history: HistoryWriter,
    level: string = ACKS_LAST_AT,
    rate = 0,
  ) {
    this.addresses = addresses;
    this.queues = queues;
    this.level = level;
    this.#rate = new Rate(rate);
    this.#history = history;
    setMaxListeners(0, this.#stop.signal);
  }

  /** The topic whose messages are worked on. */
  get work(): Topic {
    if (this.#work === undefined) throw new Error('its topics were not created');
    return this.#work;
  }

  set work(topic: Topic) {
    this.#work = topic;
  }

  get running(): boolean {
    return !this.#stop.signal.aborted;
  }

  /** Aborted when nothing may be repeated any more, settled or not. */
  get giveUp(): AbortSignal {
    return this.#giveUp.signal;
  }

  /** Nothing new is begun; what is open is settled. */
  stop(): void {
    this.#stop.abort();
  }

  abandon(): void {
    this.stop();
    this.#giveUp.abort();
  }

  /** Somebody ended the run: what fails from here on says nothing about the cluster. */
  interrupt(): void {
    this.#interrupted = true;
    this.abandon();
  }

  record(event: HistoryEvent): void {
    if (isAckedWrite(event)) {
      this.#acks++;
      this.#firstAckMs ||= event.completedMs;
    }
    this.#history.write(event);
  }

  /** Acknowledged writes since the first one, as a verdict counts them. */
  get acksPerSecond(): number {
    const elapsedMs = nowMs() - this.#firstAckMs;
    return (1000 * this.#acks) / Math.max(RATE_WINDOW_MIN_MS, elapsedMs);
  }

  /** Bytes of one node are bad from now on: it may refuse reads, until it has them again. */
  expectDamage(): void {
    this.#damageExpected = true;
  }

  /** A refusal that explains itself: the same call has to succeed in the end. */
  isWorthRepeating({ reason, retryable }: Refusal): boolean {
    return retryable || (this.#damageExpected && reason === 'DATA_DAMAGED');
  }

  trouble(process: string, text: string): void {
    if (!this.#interrupted) this.record({ type: 'trouble', atMs: nowMs(), process, text });
  }

  /** Resolves when it is time for so many more write requests; at once when the load ended. */
  async turn(requests: number): Promise<void> {
    const waitMs = this.#rate.waitMs(requests, nowMs());
    if (waitMs > 0) await this.pace(waitMs);
  }

  /** The pace of a closed loop; shorter when the load ends. */
  async pace(milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}

/** The part of a history line that every attempt has. */
export function attemptOf<T>(process: string, answer: Answer<T>) {
  const { invokedMs, completedMs, outcome } = answer;
  const known: { process: string; invokedMs: number; completedMs: number; outcome: Outcome } = {
    process,
    invokedMs,
    completedMs,
    outcome,
  };
  return answer.outcome === 'ok' ? known : { ...known, reason: answer.reason };
}

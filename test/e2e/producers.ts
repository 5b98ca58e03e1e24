/**
 * Several producers over all queues: each (producer, queue) pair sends its own lines in order, with
 * a bounded number on the way, so that a queue without a leader holds up no other queue.
 */
import { HoldfastError, type Producer } from '../../src/client/index.ts';
import { digestOf, type QueueLedger, type Verdict } from './ledger.ts';

const IN_FLIGHT_PER_LANE_MAX = 256;

export interface Feed {
  /** undefined = no more lines. */
  next(): Buffer | undefined;
}

/** Is told of every acknowledgement. */
export interface Acks {
  ack(queue: number): void;
}

export interface Progress {
  acked: number;
  bytes: number;
  /** Lines over the message limit, refused as such. */
  refused: number;
}

export interface Shared {
  readonly gaps: Acks;
  readonly verdict: Verdict;
  readonly progress: Progress;
  /** Per lane; default 256. */
  readonly inFlightMax?: number;
}

export class ProducingLane {
  readonly #producer: Producer;
  readonly #queue: number;
  readonly #feed: Feed;
  readonly #ledger: QueueLedger;
  readonly #gaps: Acks;
  readonly #verdict: Verdict;
  readonly #progress: Progress;
  readonly #inFlightMax: number;
  #inFlight = 0;
  #lastOffset = -1;
  #wake: (() => void) | undefined;

  constructor(producer: Producer, queue: number, feed: Feed, ledger: QueueLedger, shared: Shared) {
    this.#producer = producer;
    this.#queue = queue;
    this.#feed = feed;
    this.#ledger = ledger;
    this.#gaps = shared.gaps;
    this.#verdict = shared.verdict;
    this.#progress = shared.progress;
    this.#inFlightMax = shared.inFlightMax ?? IN_FLIGHT_PER_LANE_MAX;
  }

  /** Until the feed ends and everything sent is settled. */
  async run(): Promise<void> {
    for (let line = this.#feed.next(); line !== undefined; line = this.#feed.next()) {
      this.#send(line);
      while (this.#inFlight >= this.#inFlightMax) await this.#woken();
    }
    while (this.#inFlight > 0) await this.#woken();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #send(body: Buffer): void {
    const digest = digestOf(body);
    this.#inFlight++;
    this.#producer.send({ body, queue: this.#queue }).then(
      (ack) => {
        this.#acked(ack.offset as number, digest, body.length);
        this.#settled();
      },
      (error: unknown) => {
        if (!(error instanceof HoldfastError)) throw error;
        if (error.reason === 'MESSAGE_TOO_LARGE') this.#progress.refused++;
        else if (error.outcomeUnknown) this.#verdict.unknown++;
        else throw error;
        this.#settled();
      },
    );
  }

  #acked(offset: number, digest: number, bytes: number): void {
    // Acks of one lane come in send order, so offsets must rise.
    if (offset <= this.#lastOffset) this.#verdict.reordered++;
    this.#lastOffset = offset;
    this.#ledger.acknowledge(offset, digest);
    this.#gaps.ack(this.#queue);
    this.#progress.acked++;
    this.#progress.bytes += bytes;
  }

  #settled(): void {
    this.#inFlight--;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

import assert from 'node:assert/strict';
import type { HoldfastError } from './errors.ts';
import { type MessageEncoder, messageIdAfter } from './message-codec.ts';
import type { Ack, BatchAck } from './types.ts';

/** One `send()` that waits for its answer. */
export interface PendingSend {
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: HoldfastError) => void;
  /** Decides the queue, once the topic is known; undefined: any will do, or one was named. */
  orderingKey: string | undefined;
}

/** What holds for all messages of a batch. */
export interface BatchTerms {
  /** 0 = at once. */
  readonly deliverAtMs: number;
  /** '' = none. A message with one leaves by itself. */
  readonly dedupKey: string;
}
export const PLAIN_TERMS: BatchTerms = { deliverAtMs: 0, dedupKey: '' };

/** Of a new buffer; it doubles from there. */
const FIRST_BYTES = 2048;

/**
 * Messages that leave in one request, encoded as they were sent:
 *
 *     | room for the head | message | message | … | unused |
 *                         ^ start                 ^ end
 */
export class Batch {
  readonly start: number;
  readonly sends: PendingSend[] = [];
  readonly createdAtMs: number;
  readonly deadlineAtMs: number;
  readonly terms: BatchTerms;
  /** Given when the batch is first sent and on every renumbering. */
  sequence = -1;
  requestId = -1;
  attempts = 0;
  /** The last attempt was answered, by `error`. */
  error: HoldfastError | undefined;
  /** Any queue might have taken it; counted by the producer while it is under way. */
  free = false;
  /** Some attempt may have been stored. */
  unknown = false;
  #buffer: Buffer;
  #end: number;
  /** Where each message ends. */
  readonly #ends: number[] = [];

  constructor(
    room: number,
    expectedBytes: number,
    createdAtMs: number,
    deadlineAtMs: number,
    terms: BatchTerms = PLAIN_TERMS,
  ) {
    this.start = room;
    this.#end = room;
    this.#buffer = Buffer.allocUnsafeSlow(room + Math.max(FIRST_BYTES, expectedBytes));
    this.createdAtMs = createdAtMs;
    this.deadlineAtMs = deadlineAtMs;
    this.terms = terms;
  }

  /** May messages of these terms leave with it? */
  takes({ deliverAtMs, dedupKey }: BatchTerms): boolean {
    const own = this.terms;
    return own.deliverAtMs === deliverAtMs && own.dedupKey === '' && dedupKey === '';
  }

  get count(): number {
    return this.sends.length;
  }

  get bytes(): number {
    return this.#end - this.start;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  get end(): number {
    return this.#end;
  }

  /** Writes the message that the encoder has just measured. */
  append(encoder: MessageEncoder, framedSize: number, send: PendingSend): void {
    this.#reserve(framedSize);
    const end = encoder.write(this.#buffer, this.#end);
    assert.equal(end, this.#end + framedSize);
    this.#added(end, send);
  }

  /** Takes over message `position` of another batch. */
  appendFrom(other: Batch, position: number): void {
    const from = other.#ends[position - 1] ?? other.start;
    const to = other.#ends[position]!;
    this.#reserve(to - from);
    other.#buffer.copy(this.#buffer, this.#end, from, to);
    this.#added(this.#end + to - from, other.sends[position]!);
  }

  messageBytes(position: number): number {
    return this.#ends[position]! - (this.#ends[position - 1] ?? this.start);
  }

  resolve(ack: BatchAck): void {
    const { queue, term, logIndex, durability, duplicate, baseOffset, firstMessageId } = ack;
    const { deliverAtMs } = ack;
    for (let i = 0; i < this.sends.length; i++) {
      const offset = baseOffset === undefined ? undefined : baseOffset + i;
      const messageId = messageIdAfter(firstMessageId, i);
      const where = { queue, offset, messageId, term, logIndex };
      this.sends[i]!.resolve({ ...where, durability, duplicate, deliverAtMs });
    }
  }

  reject(error: HoldfastError): void {
    for (const send of this.sends) send.reject(error);
  }

  #added(end: number, send: PendingSend): void {
    this.#end = end;
    this.#ends.push(end);
    this.sends.push(send);
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, this.start, this.start, this.#end);
    this.#buffer = larger;
  }
}

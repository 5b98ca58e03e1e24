/**
 * What was acknowledged, offset by offset, and the judgement over what is read back. Kept compact
 * (a digest per message), because the input has millions of lines.
 */
import { createHash } from 'node:crypto';

/** The first 48 bits of SHA-1: a whole number that a double holds exactly. */
export function digestOf(body: Uint8Array): number {
  return createHash('sha1').update(body).digest().readUIntBE(0, 6);
}

export interface Verdict {
  acked: number;
  /** Acknowledged, and not (or not unchanged) at its offset. */
  lost: number;
  /** At an offset that no acknowledgement named, although every send was acknowledged. */
  duplicated: number;
  /** Acknowledged at an offset not above the one of the send before it. */
  reordered: number;
  /** Half messages seen before their commit, or after a rollback. */
  halfSeen: number;
  /** Offsets missing between two that were read. */
  holes: number;
  /** Sends whose outcome stayed unknown to the end. */
  unknown: number;
}

export function cleanVerdict(): Verdict {
  return { acked: 0, lost: 0, duplicated: 0, reordered: 0, halfSeen: 0, holes: 0, unknown: 0 };
}

export function isClean(verdict: Verdict): boolean {
  const { lost, duplicated, reordered, halfSeen, holes } = verdict;
  return lost + duplicated + reordered + halfSeen + holes === 0;
}

/** One queue's acknowledged messages. */
export class QueueLedger {
  #digests = new Float64Array(1024).fill(-1);
  #end = 0;
  acked = 0;
  /** Two acknowledgements that named one offset. */
  collisions = 0;

  acknowledge(offset: number, digest: number): void {
    this.#grow(offset + 1);
    if (this.#digests[offset] !== -1) this.collisions++;
    this.#digests[offset] = digest;
    this.#end = Math.max(this.#end, offset + 1);
    this.acked++;
  }

  /** One past the highest acknowledged offset. */
  get end(): number {
    return this.#end;
  }

  /** undefined = no acknowledgement named this offset. */
  expected(offset: number): number | undefined {
    const digest = this.#digests[offset];
    return digest === undefined || digest === -1 ? undefined : digest;
  }

  #grow(length: number): void {
    if (length <= this.#digests.length) return;
    const grown = new Float64Array(Math.max(length, this.#digests.length * 2)).fill(-1);
    grown.set(this.#digests);
    this.#digests = grown;
  }
}

/** Follows one queue's final read, from its first offset to its end. */
export class QueueCheck {
  readonly #ledger: QueueLedger;
  readonly #verdict: Verdict;
  #next = 0;
  #matched = 0;

  constructor(ledger: QueueLedger, verdict: Verdict) {
    this.#ledger = ledger;
    this.#verdict = verdict;
    verdict.duplicated += ledger.collisions;
  }

  read(offset: number, body: Uint8Array): void {
    if (offset !== this.#next) this.#verdict.holes++;
    this.#next = offset + 1;
    const expected = this.#ledger.expected(offset);
    if (expected === undefined) this.#verdict.duplicated++;
    else if (expected === digestOf(body)) this.#matched++;
  }

  /** To be called at the queue's end. */
  finish(): void {
    this.#verdict.acked += this.#ledger.acked;
    this.#verdict.lost += this.#ledger.acked - this.#ledger.collisions - this.#matched;
  }
}

/**
 * What a leader knows about one follower, and how much it may send ahead of the answers.
 *
 * - probe: the point of agreement is unknown; one append at a time, until one is accepted.
 * - replicate: appends are sent one after another without waiting; `next` is optimistic.
 * - snapshot: what the follower needs is no longer in the log.
 */
import { strict as assert } from 'node:assert';
import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** Appends sent and not yet answered, oldest first, bounded by count and by bytes. */
export class Inflight {
  readonly #maxAppends: number;
  readonly #maxBytes: number;
  #lastIndexes: LogIndex[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  constructor(maxAppends: number, maxBytes: number) {
    this.#maxAppends = maxAppends;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#lastIndexes.length - this.#head;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get isFull(): boolean {
    return this.count >= this.#maxAppends || this.#bytes >= this.#maxBytes;
  }

  add(lastIndex: LogIndex, bytes: number): void {
    assert(!this.isFull, 'nothing is sent over a full window');
    this.#lastIndexes.push(lastIndex);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Forgets appends that end at or before `index`. */
  freeTo(index: LogIndex): void {
    while (this.#head < this.#lastIndexes.length && this.#lastIndexes[this.#head]! <= index) {
      this.#bytes -= this.#sizes[this.#head]!;
      this.#head++;
    }
    if (this.#head === this.#lastIndexes.length) this.clear();
    else if (this.#head > this.#maxAppends) this.#compact();
  }

  #compact(): void {
    this.#lastIndexes = this.#lastIndexes.slice(this.#head);
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }

  clear(): void {
    this.#lastIndexes.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }
}

export class Progress {
  readonly replica: ReplicaId;
  readonly inflight: Inflight;
  /** Durable and equal to the leader's log through here. */
  match: LogIndex = 0;
  /** The next entry to send; > match. */
  next: LogIndex;
  state: ProgressState = 'probe';
  /** Probe: an append is out and unanswered. */
  probeSent = false;
  /** It answered in this term: its node holds the replica. */
  isKnown = false;
  /** It said that records of it are lost: appends are in vain. */
  isSuspect = false;
  /** Entries below the window were asked from the store. */
  loading = false;
  /** Entries up to here were read from the store. */
  loadedTo: LogIndex = 0;
  /** Last sign of life in this term. */
  contactMs: MonotonicMs;
  /** Since when the oldest unanswered append waits without any progress. */
  waitingSinceMs: MonotonicMs;

  constructor(
    replica: ReplicaId,
    next: LogIndex,
    nowMs: MonotonicMs,
    limits: { readonly maxInflightAppends: number; readonly maxInflightBytes: number },
  ) {
    this.replica = replica;
    this.next = next;
    this.contactMs = nowMs;
    this.waitingSinceMs = nowMs;
    this.inflight = new Inflight(limits.maxInflightAppends, limits.maxInflightBytes);
  }

  get canSend(): boolean {
    if (this.loading || this.isSuspect || this.state === 'snapshot') return false;
    return this.state === 'probe' ? !this.probeSent : !this.inflight.isFull;
  }

  /** On its way to the follower, read from the store. */
  get loadedBytes(): number {
    return this.match < this.loadedTo ? this.inflight.bytes : 0;
  }

  sent(lastIndex: LogIndex, bytes: number, nowMs: MonotonicMs): void {
    if (this.state === 'probe') {
      this.probeSent = true;
      this.waitingSinceMs = nowMs;
      return;
    }
    if (this.inflight.count === 0) this.waitingSinceMs = nowMs;
    this.inflight.add(lastIndex, bytes);
    this.next = lastIndex + 1;
  }

  accepted(index: LogIndex, nowMs: MonotonicMs): void {
    if (index > this.match) {
      this.match = index;
      this.waitingSinceMs = nowMs;
    }
    if (this.state === 'replicate') {
      this.inflight.freeTo(this.match);
      this.next = Math.max(this.next, this.match + 1);
    } else {
      this.state = 'replicate';
      this.probeSent = false;
      this.inflight.clear();
      this.next = this.match + 1;
    }
  }

  /** Appends do not help it; nothing of them counts until the snapshot is there. */
  becomeSnapshot(): void {
    this.inflight.clear();
    this.state = 'snapshot';
  }

  /** The follower has everything through `index`, from a snapshot: appends go on behind it. */
  snapshotDone(index: LogIndex): void {
    if (this.state === 'snapshot') this.becomeProbe(index + 1);
  }

  /** Back to one append at a time, from the last point that is certain. */
  becomeProbe(next: LogIndex): void {
    this.state = 'probe';
    this.probeSent = false;
    this.inflight.clear();
    this.next = Math.max(next, this.match + 1);
  }
}

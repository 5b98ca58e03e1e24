/**
 * Which batch numbers are still in the store. LevelDB opens silently with a hole when the middle
 * of its own log is damaged. Whatever is not yet in a synced table file lies within the last two
 * write buffers, so numbers are kept for at least that many bytes, and a hole shows as a gap. Each
 * number says which is the oldest that is still kept: a hole at the beginning has no other mark.
 */
import { strict as assert } from 'node:assert';

/** So that catching up with a backlog of old numbers does not make one batch large. */
const EXPIRED_PER_BATCH_MAX = 64;

export interface NumberedBatch {
  readonly number: number;
  readonly bytes: number;
}

/** As stored under its number. */
export interface KeptBatch extends NumberedBatch {
  /** Oldest number that this batch left in the store. */
  readonly first: number;
}

export class BatchWindow {
  readonly #keepBytes: number;
  /** Sizes of batches #first, #first + 1, … (from #head of the array). */
  #sizes: number[];
  #head = 0;
  #first: number;
  #totalBytes: number;

  /** `kept`: what the store holds, ascending without gap. */
  constructor(keepBytes: number, kept: readonly NumberedBatch[]) {
    this.#keepBytes = keepBytes;
    this.#sizes = kept.map((batch) => batch.bytes);
    this.#first = kept[0]?.number ?? 1;
    this.#totalBytes = this.#sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Number of the newest batch; 0 = none yet. */
  get newest(): number {
    return this.#first + this.#sizes.length - this.#head - 1;
  }

  /** Numbers that the batch `bytes` long, about to be written, may delete. */
  add(bytes: number): KeptBatch & { readonly expired: readonly number[] } {
    this.#sizes.push(bytes);
    this.#totalBytes += bytes;
    const expired: number[] = [];
    while (expired.length < EXPIRED_PER_BATCH_MAX) {
      const oldest = this.#sizes[this.#head];
      if (oldest === undefined || this.#totalBytes - oldest < this.#keepBytes) break;
      this.#totalBytes -= oldest;
      this.#head++;
      expired.push(this.#first++);
    }
    this.#compact();
    assert(this.newest >= this.#first, 'the newest number is always kept');
    return { number: this.newest, bytes, first: this.#first, expired };
  }

  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#sizes.length) return;
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}

/** Text of the first gap in ascending batches; undefined = none. */
export function findGap(kept: readonly Omit<KeptBatch, 'bytes'>[]): string | undefined {
  const oldest = kept[0];
  const newest = kept.at(-1);
  if (oldest === undefined || newest === undefined) return undefined;
  if (oldest.number !== newest.first) return `batch ${newest.first} is missing`;
  for (const [at, { number }] of kept.entries()) {
    const before = oldest.number + at - 1;
    if (number !== before + 1) return `batch ${before} is followed by batch ${number}`;
  }
  return undefined;
}

/**
 * Which batch numbers are still in the store. LevelDB opens silently with a hole when the middle
 * of its own log is damaged. Whatever is not yet in a synced table file lies within the last two
 * write buffers, so numbers are kept for at least that many bytes, and a hole shows as a gap.
 */
import { strict as assert } from 'node:assert';

/** So that catching up with a backlog of old numbers does not make one batch large. */
const EXPIRED_PER_BATCH_MAX = 64;

export interface NumberedBatch {
  readonly number: number;
  readonly bytes: number;
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
  add(bytes: number): { readonly number: number; readonly expired: readonly number[] } {
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
    return { number: this.newest, expired };
  }

  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#sizes.length) return;
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}

/** Text of the first gap in ascending batch numbers; undefined = none. */
export function findGap(numbers: readonly number[]): string | undefined {
  for (let at = 1; at < numbers.length; at++) {
    const [before, after] = [numbers[at - 1] as number, numbers[at] as number];
    if (after !== before + 1) return `batch ${before} is followed by batch ${after}`;
  }
  return undefined;
}

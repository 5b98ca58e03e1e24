/**
 * What a filter leaves of batches that were read: runs of messages without a gap, so that the
 * offsets and ids of the layout stay true.
 */
import type { MessageFilter } from '../filter/filter.ts';
import { FILTER_LIMITS } from '../filter/limits.ts';
import type { FetchArguments, FetchedBatch } from './api.ts';
import { fieldEnd } from './message-slice.ts';

export interface Matching {
  readonly batches: readonly FetchedBatch[];
  /** After the last message that was looked at; undefined = there was none. */
  readonly nextOffset: number | undefined;
}

/** How many messages to read for so many that are wanted (0 = no matter how many). */
export function messagesToLookAt(wanted: number, filter: MessageFilter | undefined): number {
  if (filter === undefined) return wanted;
  const { maxFilteredMessages, maxFilteredPerMessage } = FILTER_LIMITS;
  return Math.min(maxFilteredMessages, wanted * maxFilteredPerMessage || maxFilteredMessages);
}

export function bytesToLookAt(maxBytes: number, filter: MessageFilter | undefined): number {
  return filter === undefined ? maxBytes : Math.min(maxBytes, FILTER_LIMITS.maxFilteredBytes);
}

export function matchingMessages(
  read: readonly FetchedBatch[],
  { filter, maxMessages }: Pick<FetchArguments, 'filter' | 'maxMessages'>,
): Matching {
  if (filter === undefined) {
    const last = read.at(-1);
    return { batches: read, nextOffset: last && last.baseOffset + last.count };
  }
  const selection = new Selection(filter, maxMessages || Number.MAX_SAFE_INTEGER);
  for (const batch of read) if (!selection.isFull) selection.look(batch);
  return selection;
}

class Selection implements Matching {
  readonly batches: FetchedBatch[] = [];
  nextOffset: number | undefined = undefined;
  readonly #filter: MessageFilter;
  #left: number;

  constructor(filter: MessageFilter, maxMessages: number) {
    this.#filter = filter;
    this.#left = maxMessages;
  }

  get isFull(): boolean {
    return this.#left === 0;
  }

  look(batch: FetchedBatch): void {
    const { baseOffset, count, messages } = batch;
    let end = 0;
    let at = 0;
    // The run that is open: where it begins, and its bytes do.
    let first = 0;
    let start = 0;
    for (; at < count && !this.isFull; at += 1) {
      const begin = end;
      end = fieldEnd(messages, begin);
      if (this.#filter.matches(messages, begin, end)) {
        this.#left -= 1;
        continue;
      }
      this.#keep(batch, first, at, messages.subarray(start, begin));
      first = at + 1;
      start = end;
    }
    this.#keep(batch, first, at, messages.subarray(start, end));
    this.nextOffset = baseOffset + at;
  }

  /** Messages `first` to `end`, that one not. */
  #keep(batch: FetchedBatch, first: number, end: number, messages: Uint8Array): void {
    const { baseOffset, firstIndex, firstPosition, row } = batch;
    if (first === end) return;
    this.batches.push({
      baseOffset: baseOffset + first,
      count: end - first,
      ...{ row, messages, firstIndex },
      firstPosition: firstPosition + first,
    });
  }
}

/**
 * What a reader wants of batches that were read, and what compaction shows of them: runs of
 * messages without a gap, so that the offsets and ids of the layout stay true.
 */
import type { MessageFilter } from '../filter/filter.ts';
import { FILTER_LIMITS } from '../filter/limits.ts';
import type { FetchedBatch } from './api.ts';
import { fieldEnd } from './message-slice.ts';
import type { VisibleMessages } from './visible-messages.ts';

export interface ReadBatches {
  readonly batches: readonly FetchedBatch[];
  /** After the last message that was looked at. */
  readonly nextOffset: number;
}

/** Of message `at` of a batch: its encoded field from `start` to `end`, tag included. */
export type Choice = (batch: FetchedBatch, at: number, start: number, end: number) => boolean;

/** undefined: every message is wanted. */
export function choiceOf(
  filter: MessageFilter | undefined,
  visible: VisibleMessages | undefined,
): Choice | undefined {
  if (filter === undefined && visible === undefined) return undefined;
  return (batch, at, start, end) =>
    filter?.matches(batch.messages, start, end) !== false &&
    visible?.isShown(batch, at, start, end) !== false;
}

/** How many messages to read for so many that are wanted (0 = no matter how many). */
export function messagesToLookAt(wanted: number, choice: Choice | undefined): number {
  if (choice === undefined) return wanted;
  const { maxFilteredMessages, maxFilteredPerMessage } = FILTER_LIMITS;
  return Math.min(maxFilteredMessages, wanted * maxFilteredPerMessage || maxFilteredMessages);
}

export function bytesToLookAt(maxBytes: number, choice: Choice | undefined): number {
  return choice === undefined ? maxBytes : Math.min(maxBytes, FILTER_LIMITS.maxFilteredBytes);
}

/** At most `maxMessages` (0 = no matter how many). */
export function matchingMessages(
  read: ReadBatches,
  choice: Choice | undefined,
  maxMessages: number,
): ReadBatches {
  if (choice === undefined) return read;
  const selection = new Selection(choice, maxMessages || Number.MAX_SAFE_INTEGER);
  for (const batch of read.batches) {
    const stoppedAt = selection.look(batch);
    if (selection.isFull) return { batches: selection.batches, nextOffset: stoppedAt };
  }
  return { batches: selection.batches, nextOffset: read.nextOffset };
}

class Selection {
  readonly batches: FetchedBatch[] = [];
  readonly #choice: Choice;
  #left: number;

  constructor(choice: Choice, maxMessages: number) {
    this.#choice = choice;
    this.#left = maxMessages;
  }

  get isFull(): boolean {
    return this.#left === 0;
  }

  /** Returns the offset after the last message that was looked at. */
  look(batch: FetchedBatch): number {
    const { baseOffset, count, messages } = batch;
    let end = 0;
    let at = 0;
    // The run that is open: where it begins, and its bytes do.
    let first = 0;
    let start = 0;
    for (; at < count && !this.isFull; at += 1) {
      const begin = end;
      end = fieldEnd(messages, begin);
      if (this.#choice(batch, at, begin, end)) {
        this.#left -= 1;
        continue;
      }
      this.#keep(batch, first, at, messages.subarray(start, begin));
      first = at + 1;
      start = end;
    }
    this.#keep(batch, first, at, messages.subarray(start, end));
    return baseOffset + at;
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

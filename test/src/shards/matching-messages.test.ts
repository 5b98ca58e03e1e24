import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FILTER_LIMITS } from '../../../src/filter/limits.ts';
import type { FetchedBatch } from '../../../src/shards/api.ts';
import {
  type Choice,
  choiceOf,
  matchingMessages,
  messagesToLookAt,
} from '../../../src/shards/matching-messages.ts';

/** Each message is one byte. */
const field = (byte: number) => Buffer.from([0xc2, 0x3e, 1, byte]);
const IS_WANTED: Choice = ({ messages }, _, start) => messages[start + 3] === 1;

function batchesOf(sizes: readonly (readonly number[])[], firstOffset: number): FetchedBatch[] {
  let baseOffset = firstOffset;
  return sizes.map((messages, at) => {
    const firstPosition = at === 0 ? 7 : 0;
    const row = { queueId: 1, baseOffset, count: messages.length, index: at + 10, term: 2 };
    const batch = {
      ...{ baseOffset, count: messages.length, firstIndex: at + 10, firstPosition },
      row: { ...row, storedAtMs: 5, cumulativeBytes: 0 },
      messages: Buffer.concat(messages.map(field)),
    };
    baseOffset += messages.length;
    return batch;
  });
}

/** Every message with its place, one by one. */
function messagesIn(batches: readonly FetchedBatch[]) {
  return batches.flatMap(({ baseOffset, count, firstIndex, firstPosition, messages }) => {
    expect(messages.length).toBe(4 * count);
    return Array.from({ length: count }, (_, at) => {
      const offset = baseOffset + at;
      return { offset, firstIndex, position: firstPosition + at, byte: messages[4 * at + 3] };
    });
  });
}

test('each message that matches is there once with its own offset and place', () => {
  const batch = fc.array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 5 }), fc.nat(12), (sizes, maxMessages) => {
      const batches = batchesOf(sizes, 100);
      const all = messagesIn(batches);
      const nextOffset = 100 + all.length;
      const found = matchingMessages({ batches, nextOffset }, IS_WANTED, maxMessages);
      const wanted = all.filter(({ byte }) => byte === 1).slice(0, maxMessages || undefined);
      expect(messagesIn(found.batches)).toEqual(wanted);
      expect(found.batches.every(({ count }) => count > 0)).toBe(true);
      const isFull = maxMessages > 0 && wanted.length === maxMessages;
      expect(found.nextOffset).toBe(isFull ? wanted.at(-1)!.offset + 1 : nextOffset);
    }),
    { numRuns: 500 },
  );
});

test('without a choice it is what was read', () => {
  const read = { batches: batchesOf([[0, 1], [1]], 4), nextOffset: 7 };
  expect(choiceOf(undefined, undefined)).toBeUndefined();
  expect(matchingMessages(read, undefined, 1)).toBe(read);
});

test('how many are looked at is bounded, by what is asked for and at all', () => {
  const { maxFilteredMessages, maxFilteredPerMessage } = FILTER_LIMITS;
  expect(messagesToLookAt(3, undefined)).toBe(3);
  expect(messagesToLookAt(0, undefined)).toBe(0);
  expect(messagesToLookAt(0, IS_WANTED)).toBe(maxFilteredMessages);
  expect(messagesToLookAt(3, IS_WANTED)).toBe(3 * maxFilteredPerMessage);
  expect(messagesToLookAt(100_000, IS_WANTED)).toBe(maxFilteredMessages);
});

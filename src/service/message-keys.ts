/** Keys of the messages of a request for a compacted topic: each has one. */
import type { MessageKey } from '../broker/commands.ts';
import { LATE_REFERENCE_OFFSETS } from '../broker/limits.ts';
import { keyOfMessage } from '../filter/message-key.ts';
import { fieldEnd } from '../shards/message-slice.ts';
import { CallError } from '../status.ts';
import { isDelayed } from './delay.ts';
import type { ProduceHead } from './request-head.ts';

/** Their keys stand in the head, too: with the payload it has to fit into one frame. */
export const MAX_COMPACTED_MESSAGES = LATE_REFERENCE_OFFSETS;
/** Of every key, replicas keep it in memory. */
export const MAX_COMPACTED_KEY_BYTES = 256;

/** Reads them once: whoever asks again gets the same. */
export function messageKeys(head: ProduceHead): readonly MessageKey[] | CallError {
  if (isDelayed(head)) {
    return new CallError(
      'TOPIC_COMPACTED',
      'a compacted topic takes no delayed messages: of a key the one that was sent last stays',
    );
  }
  if (head.messageKeys !== undefined) return head.messageKeys;
  if (head.count > MAX_COMPACTED_MESSAGES) return tooMany(head.count);
  const { payload } = head;
  const keys: MessageKey[] = [];
  for (let start = 0; start < payload.length; ) {
    const end = fieldEnd(payload, start);
    const { key, keyBytes, isTombstone } = keyOfMessage(payload, start, end);
    if (keyBytes === 0) return keyRequired(`message ${keys.length} has no key`);
    if (keyBytes > MAX_COMPACTED_KEY_BYTES) return keyTooLong(keys.length, keyBytes);
    keys.push({ key, isTombstone });
    start = end;
  }
  head.messageKeys = keys;
  return keys;
}

export function keyRequired(what: string): CallError {
  return new CallError(
    'KEY_REQUIRED',
    `${what}: in a compacted topic it says which earlier ones it replaces. Nothing was stored`,
  );
}

function tooMany(count: number): CallError {
  return new CallError(
    'TOO_MANY_MESSAGES',
    `${count} messages in one request for a compacted topic: at most ${MAX_COMPACTED_MESSAGES} ` +
      '(maxCompactedMessages) are allowed. Send several requests',
  );
}

function keyTooLong(position: number, bytes: number): CallError {
  return new CallError(
    'INVALID_REQUEST',
    `message ${position} has a key of ${bytes} bytes: at most ${MAX_COMPACTED_KEY_BYTES} ` +
      '(maxCompactedKeyBytes) are allowed in a compacted topic',
  );
}

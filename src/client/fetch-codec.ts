/** FetchResponse and SubscribeResponse, by hand: bodies stay views into what arrived. */
import { MESSAGES_TAG_VALUE, messageIdAfter, readMessage } from './message-codec.ts';
import type { Message } from './types.ts';
import { Reader } from './wire.ts';

/** A batch as it came, decoded message by message when they are taken. */
export interface StoredBatch {
  readonly baseOffset: number;
  readonly count: number;
  readonly storedAtMs: number;
  readonly firstMessageId: string;
  /** Stands before the first message; `nextMessage` moves it. */
  readonly messages: Reader;
}

export interface FetchAnswer {
  /** 0 for a FetchResponse: the caller knows which queue it asked. */
  readonly queue: number;
  readonly nextOffset: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly batches: readonly StoredBatch[];
  readonly bytes: number;
}

export function readFetchResponse(bytes: Buffer): FetchAnswer {
  return readAnswer(bytes, 0);
}

/** The same fields, each one number higher, behind the queue. */
export function readSubscribeResponse(bytes: Buffer): FetchAnswer {
  return readAnswer(bytes, 1);
}

function readAnswer(bytes: Buffer, shift: 0 | 1): FetchAnswer {
  const reader = new Reader(bytes);
  const numbers: [number, number, number, number] = [0, 0, 0, 0];
  const batches: StoredBatch[] = [];
  while (!reader.done()) {
    const tag = reader.varint();
    const field = (tag >>> 3) - shift;
    if (field === 4 && (tag & 7) === 2) batches.push(readBatch(reader.nested()));
    else if (field >= 0 && field <= 3 && (tag & 7) === 0) numbers[field] = reader.varint();
    else reader.skip(tag & 7);
  }
  const [queue, nextOffset, startOffset, endOffset] = numbers;
  return { queue, nextOffset, startOffset, endOffset, batches, bytes: bytes.length };
}

function readBatch(reader: Reader): StoredBatch {
  let [baseOffset, count, storedAtMs, firstMessageId] = [0, 0, 0, ''];
  while (!reader.done()) {
    const before = reader.position;
    const tag = reader.varint();
    if (tag === 0x08) baseOffset = reader.varint();
    else if (tag === 0x10) count = reader.varint();
    else if (tag === 0x18) storedAtMs = reader.varint();
    else if (tag === 0x22) firstMessageId = reader.text();
    else if (tag === MESSAGES_TAG_VALUE) {
      reader.position = before;
      break;
    } else reader.skip(tag & 7);
  }
  return { baseOffset, count, storedAtMs, firstMessageId, messages: reader };
}

/** The message at `position` of a batch; they must be taken in order. */
export function nextMessage(
  batch: StoredBatch,
  position: number,
  topic: string,
  queue: number,
): Message {
  const { messages, baseOffset, storedAtMs, firstMessageId } = batch;
  for (let tag = messages.varint(); tag !== MESSAGES_TAG_VALUE; tag = messages.varint()) {
    messages.skip(tag & 7);
  }
  return readMessage(messages.nested(), {
    topic,
    queue,
    offset: baseOffset + position,
    storedAtMs,
    messageId: messageIdAfter(firstMessageId, position),
  });
}

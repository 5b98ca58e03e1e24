/**
 * Heads of the hot requests, read from the raw bytes. The messages stay one slice of the request:
 * what a producer sent is what is logged, replicated and delivered (api.md section 2).
 */
import type { MessageKey } from '../broker/commands.ts';
import { checkedNumber, MAX_INT32 } from '../convert.ts';
import type { FilterText } from '../filter/filter.ts';
import { CallError } from '../status.ts';
import {
  MESSAGES_TAG,
  MESSAGES_TAG_BYTES,
  type MessageLimits,
  walkMessage,
} from './message-walk.ts';
import { WireReader, WireType } from './wire.ts';

/** ProduceRequest, and HalfBatch (the same numbers, fewer fields). -1 = not given. */
export class ProduceHead {
  topic = '';
  queue = -1;
  orderingKeys: string[] | undefined = undefined;
  dedupKeys: string[] | undefined = undefined;
  durability = 0;
  producerId = '';
  producerEpoch = 0;
  sequence = 0;
  queueEpoch = -1;
  topicId = '';
  /** 0 = not given. */
  deliverAtMs = 0;
  delayLevel = 0;
  count = 0;
  /** All `messages` fields, tags included. */
  payload: Uint8Array = NO_BYTES;
  /** One per message, once they were asked for (message-keys.ts). */
  messageKeys: readonly MessageKey[] | undefined = undefined;
}

const NO_BYTES = new Uint8Array(0);
const LAST_FIELD = 12;

export function readProduceHead(request: Uint8Array, limits: MessageLimits): ProduceHead {
  const reader = new WireReader(request);
  const head = new ProduceHead();
  const messages = new MessageRuns(reader);
  while (reader.position < reader.end) {
    const start = reader.position;
    const tag = reader.varint();
    if (tag === MESSAGES_TAG) {
      // Stored batches are walked by these two bytes: a longer spelling of the tag is refused.
      if (reader.position - start !== MESSAGES_TAG_BYTES) throw malformed('an overlong tag');
      walkMessage(reader, head.count, limits);
      head.count += 1;
      messages.add(start);
    } else readProduceField(reader, tag, head);
  }
  if (head.count > limits.maxMessagesPerRequest) {
    throw new CallError(
      'TOO_MANY_MESSAGES',
      `${head.count} messages in one request: at most ${limits.maxMessagesPerRequest} ` +
        '(maxMessagesPerRequest) are allowed. Send several requests',
    );
  }
  head.payload = messages.bytes();
  return head;
}

/** Where the `messages` fields stand: one run in practice, but any mix of fields is legal. */
class MessageRuns {
  readonly #reader: WireReader;
  #start = -1;
  #end = -1;
  #earlier: Uint8Array[] | undefined;

  constructor(reader: WireReader) {
    this.#reader = reader;
  }

  /** The message from `start` to the reader's position. */
  add(start: number): void {
    if (start !== this.#end) {
      if (this.#start >= 0) {
        this.#earlier ??= [];
        this.#earlier.push(this.#reader.bytes.subarray(this.#start, this.#end));
      }
      this.#start = start;
    }
    this.#end = this.#reader.position;
  }

  bytes(): Uint8Array {
    if (this.#start < 0) return NO_BYTES;
    const last = this.#reader.bytes.subarray(this.#start, this.#end);
    return this.#earlier === undefined ? last : Buffer.concat([...this.#earlier, last]);
  }
}

function readProduceField(reader: WireReader, tag: number, head: ProduceHead): void {
  switch (tag) {
    case 1 * 8 + WireType.bytes:
      head.topic = reader.text();
      return;
    case 2 * 8 + WireType.varint:
      head.queue = checkedNumber('queue', reader.varint(), MAX_INT32);
      return;
    case 3 * 8 + WireType.bytes:
      head.orderingKeys ??= [];
      head.orderingKeys.push(reader.text());
      return;
    case 4 * 8 + WireType.bytes:
      head.dedupKeys ??= [];
      head.dedupKeys.push(reader.text());
      return;
    case 5 * 8 + WireType.varint:
      head.deliverAtMs = checkedNumber('deliver_at_ms', reader.varint());
      return;
    case 6 * 8 + WireType.varint:
      head.durability = checkedNumber('durability', reader.varint(), MAX_INT32);
      return;
    case 7 * 8 + WireType.bytes:
      head.producerId = reader.text();
      return;
    case 8 * 8 + WireType.varint:
      head.sequence = checkedNumber('sequence', reader.varint());
      return;
    case 9 * 8 + WireType.varint:
      head.queueEpoch = checkedNumber('queue_epoch', reader.varint());
      return;
    case 10 * 8 + WireType.bytes:
      head.topicId = reader.text();
      return;
    case 11 * 8 + WireType.varint:
      head.producerEpoch = checkedNumber('producer_epoch', reader.varint(), MAX_INT32);
      return;
    case 12 * 8 + WireType.varint:
      head.delayLevel = checkedNumber('delay_level', reader.varint(), MAX_INT32);
      return;
    default:
      skipUnknown(reader, tag);
  }
}

/** Newer fields are stepped over; one of ours with the wrong wire type is not. */
function skipUnknown(reader: WireReader, tag: number): void {
  if (tag < 8 || tag > 0xffff_ffff) throw malformed('field number 0');
  if (tag >> 3 <= LAST_FIELD) throw malformed(`field ${tag >> 3} has the wrong type`);
  reader.skip(tag & 7);
}

/** Topic and queue of a request that was refused, as far as they can be read. */
export function peekQueue(request: Uint8Array): { topic: string; queue: number } {
  const reader = new WireReader(request);
  const peeked = { topic: '', queue: -1 };
  try {
    while (reader.position < reader.end) {
      const tag = reader.varint();
      if (tag === 1 * 8 + WireType.bytes) peeked.topic = reader.text();
      else if (tag === 2 * 8 + WireType.varint) peeked.queue = reader.varint();
      else reader.skip(tag & 7);
    }
  } catch {
    // Malformed from here on; what came before may have named the queue.
  }
  return peeked;
}

export class StreamFrameHead {
  requestId = 0;
  resume = false;
  request: Uint8Array = NO_BYTES;
}

/** ProduceStreamRequest: the embedded ProduceRequest stays a slice. */
export function readStreamFrame(frame: Uint8Array): StreamFrameHead {
  const reader = new WireReader(frame);
  const head = new StreamFrameHead();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + WireType.varint) {
      head.requestId = checkedNumber('request_id', reader.varint());
    } else if (tag === 2 * 8 + WireType.varint) head.resume = reader.varint() !== 0;
    else if (tag === 3 * 8 + WireType.bytes) head.request = merged(head.request, reader.slice());
    else if (tag < 32) throw malformed(`field ${tag >> 3} has the wrong type`);
    else reader.skip(tag & 7);
  }
  return head;
}

/** An embedded message sent in pieces is their concatenation (legal, and unheard of). */
function merged(first: Uint8Array, second: Uint8Array): Uint8Array {
  return first.length === 0 ? second : Buffer.concat([first, second]);
}

export class FetchHead {
  topic = '';
  queue = 0;
  offset = 0;
  maxBytes = 0;
  maxWaitMs = 0;
  topicId = '';
  linearizable = false;
  maxMessages = 0;
  filter: FilterText | undefined = undefined;
  /** A fetch names none: as TopicRequest wants it. */
  readonly queueEpoch = -1;
}

export function readFetchHead(request: Uint8Array): FetchHead {
  const reader = new WireReader(request);
  const head = new FetchHead();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + WireType.bytes) head.topic = reader.text();
    else if (tag === 6 * 8 + WireType.bytes) head.topicId = reader.text();
    else if (tag === 9 * 8 + WireType.bytes) head.filter = readFilter(reader.slice(), head.filter);
    else if ((tag & 7) === WireType.varint && tag >> 3 <= 8 && tag >= 8) {
      readFetchNumber(tag >> 3, reader.varint(), head);
    } else if (tag < 10 * 8) throw malformed(`field ${tag >> 3} has the wrong type`);
    else reader.skip(tag & 7);
  }
  return head;
}

/** What comes in pieces is one. */
function readFilter(bytes: Uint8Array, before: FilterText | undefined): FilterText {
  const reader = new WireReader(bytes);
  let { expression, type } = before ?? { expression: '', type: 0 };
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + WireType.varint) type = reader.varint();
    else if (tag === 2 * 8 + WireType.bytes) expression = reader.text();
    else if (tag < 3 * 8) throw malformed(`field ${tag >> 3} of a filter has the wrong type`);
    else reader.skip(tag & 7);
  }
  return { type, expression };
}

function readFetchNumber(field: number, value: number, head: FetchHead): void {
  switch (field) {
    case 2:
      head.queue = checkedNumber('queue', value, MAX_INT32);
      return;
    case 3:
      head.offset = checkedNumber('offset', value);
      return;
    case 4:
      head.maxBytes = checkedNumber('max_bytes', value, MAX_INT32);
      return;
    case 5:
      head.maxWaitMs = checkedNumber('max_wait_ms', value, MAX_INT32);
      return;
    case 7:
      head.linearizable = value !== 0;
      return;
    case 8:
      head.maxMessages = checkedNumber('max_messages', value, MAX_INT32);
      return;
    default:
      throw malformed(`field ${field} has the wrong type`);
  }
}

export class PrepareHead {
  producerGroup = '';
  transactionId = '';
  parts: Uint8Array[] = [];
  offsets: Uint8Array[] = [];
}

export function readPrepareHead(request: Uint8Array): PrepareHead {
  const reader = new WireReader(request);
  const head = new PrepareHead();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + WireType.bytes) head.producerGroup = reader.text();
    else if (tag === 2 * 8 + WireType.bytes) head.transactionId = reader.text();
    else if (tag === 3 * 8 + WireType.bytes) head.parts.push(reader.slice());
    else if (tag === 4 * 8 + WireType.bytes) head.offsets.push(reader.slice());
    else if (tag < 40) throw malformed(`field ${tag >> 3} has the wrong type`);
    else reader.skip(tag & 7);
  }
  return head;
}

export class EndHead {
  producerGroup = '';
  transactionId = '';
  decision = 0;
  topic = '';
  /** -1 = not given. */
  queue = -1;
  operator = false;
}

export function readEndHead(request: Uint8Array): EndHead {
  const reader = new WireReader(request);
  const head = new EndHead();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + WireType.bytes) head.producerGroup = reader.text();
    else if (tag === 2 * 8 + WireType.bytes) head.transactionId = reader.text();
    else if (tag === 3 * 8 + WireType.varint) {
      head.decision = checkedNumber('decision', reader.varint(), MAX_INT32);
    } else if (tag === 4 * 8 + WireType.bytes) head.topic = reader.text();
    else if (tag === 5 * 8 + WireType.varint) {
      head.queue = checkedNumber('queue', reader.varint(), MAX_INT32);
    } else if (tag === 6 * 8 + WireType.varint) head.operator = reader.varint() !== 0;
    else if (tag < 7 * 8) throw malformed(`field ${tag >> 3} has the wrong type`);
    else reader.skip(tag & 7);
  }
  return head;
}

const malformed = (what: string): CallError =>
  new CallError('MALFORMED_REQUEST', `malformed request: ${what}`);

/**
 * ProduceStreamRequest and ProduceStreamResponse, by hand: the messages of a batch are encoded
 * once, as they are sent, and never touched again; a request is a head put in front of them.
 */
import { type HoldfastError, readStreamError } from './errors.ts';
import { writeTextField } from './message-codec.ts';
import type { BatchAck, Durability } from './types.ts';
import { Reader, varintSize, writeVarint } from './wire.ts';

/** In the order of their numbers in types.proto. */
const DURABILITIES = ['MAJORITY_FSYNC', 'MAJORITY', 'LEADER', 'NONE'] as const;

export function durabilityNumber(level: Durability | undefined): number {
  return level === undefined ? 0 : DURABILITIES.indexOf(level) + 1;
}

export function durabilityName(number: number): Durability {
  return DURABILITIES[number - 1] ?? 'NONE';
}

/** What is the same for all requests of a producer. */
export interface RequestConstants {
  readonly topic: string;
  readonly topicId: string;
  readonly producerId: string;
  /** 0 = the topic's own. */
  readonly durability: number;
}

export interface RequestHead {
  readonly requestId: number;
  readonly resume: boolean;
  readonly queue: number;
  readonly sequence: number;
  readonly producerEpoch: number;
  /** undefined: the server takes the request whatever the topic's queue count is now. */
  readonly queueEpoch: number | undefined;
  /** 0 = at once. */
  readonly deliverAtMs: number;
  /** '' = none. At most 64 bytes. */
  readonly dedupKey: string;
}

export const DEDUP_KEY_BYTES_MAX = 64;

/** All tags, lengths and numbers of a head at their longest, and a dedup key. */
const HEAD_NUMBERS_MAX = 112 + 2 + DEDUP_KEY_BYTES_MAX;

/** Room to leave in front of a batch's messages so that the head fits without moving them. */
export function headRoom(constants: RequestConstants): number {
  const { topic, topicId, producerId } = constants;
  return HEAD_NUMBERS_MAX + topic.length + topicId.length + producerId.length;
}

/** Puts heads in front of messages. One per producer; it keeps a scratch buffer. */
export class HeadWriter {
  readonly #constants: RequestConstants;
  readonly #inner: Buffer;

  constructor(constants: RequestConstants) {
    this.#constants = constants;
    this.#inner = Buffer.allocUnsafe(headRoom(constants));
  }

  /** The request in one buffer: written into the room in front of `start`. */
  inPlace(buffer: Buffer, start: number, end: number, head: RequestHead): Buffer {
    const innerBytes = this.#writeInner(head);
    const outerBytes = outerSize(head, innerBytes + end - start);
    const begin = start - innerBytes - outerBytes;
    writeOuter(buffer, begin, head, innerBytes + end - start);
    this.#inner.copy(buffer, start - innerBytes, 0, innerBytes);
    return buffer.subarray(begin, end);
  }

  /** The request as a copy: a stream that failed may still hold the bytes of the first attempt. */
  copied(buffer: Buffer, start: number, end: number, head: RequestHead): Buffer {
    const room = headRoom(this.#constants);
    const copy = Buffer.allocUnsafe(room + end - start);
    buffer.copy(copy, room, start, end);
    return this.inPlace(copy, room, copy.length, head);
  }

  #writeInner(head: RequestHead): number {
    const { topic, topicId, producerId, durability } = this.#constants;
    const into = this.#inner;
    let at = writeTextField(into, 0, 0x0a, topic, topic.length);
    at = writeNumber(into, at, 0x10, head.queue);
    const { dedupKey } = head;
    if (dedupKey !== '') at = writeTextField(into, at, 0x22, dedupKey, Buffer.byteLength(dedupKey));
    if (head.deliverAtMs > 0) at = writeNumber(into, at, 0x28, head.deliverAtMs);
    if (durability > 0) at = writeNumber(into, at, 0x30, durability);
    at = writeTextField(into, at, 0x3a, producerId, producerId.length);
    if (head.sequence > 0) at = writeNumber(into, at, 0x40, head.sequence);
    if (head.queueEpoch !== undefined) at = writeNumber(into, at, 0x48, head.queueEpoch);
    at = writeTextField(into, at, 0x52, topicId, topicId.length);
    if (head.producerEpoch > 0) at = writeNumber(into, at, 0x58, head.producerEpoch);
    return at;
  }
}

function outerSize(head: RequestHead, requestBytes: number): number {
  return 2 + varintSize(head.requestId) + (head.resume ? 2 : 0) + varintSize(requestBytes);
}

function writeOuter(into: Buffer, begin: number, head: RequestHead, requestBytes: number): void {
  let at = writeNumber(into, begin, 0x08, head.requestId);
  if (head.resume) at = writeNumber(into, at, 0x10, 1);
  writeNumber(into, at, 0x1a, requestBytes);
}

function writeNumber(into: Buffer, position: number, tag: number, value: number): number {
  into[position] = tag;
  return writeVarint(into, position + 1, value);
}

export type StreamAnswer =
  | { readonly requestId: number; readonly ack: BatchAck }
  | { readonly requestId: number; readonly error: HoldfastError };

export function readStreamAnswer(bytes: Buffer): StreamAnswer {
  const reader = new Reader(bytes);
  let requestId = 0;
  let ack: BatchAck | undefined;
  let error: HoldfastError | undefined;
  while (!reader.done()) {
    const tag = reader.varint();
    if (tag === 0x08) requestId = reader.varint();
    else if (tag === 0x12) ack = readAck(reader.nested());
    else if (tag === 0x1a) error = readStreamError(reader.nested());
    else reader.skip(tag & 7);
  }
  if (error !== undefined) return { requestId, error };
  if (ack === undefined) throw new Error('malformed message: answer without a result');
  return { requestId, ack };
}

function readAck(reader: Reader): BatchAck {
  let firstMessageId = '';
  let baseOffset: number | undefined;
  let deliverAtMs: number | undefined;
  let [count, queue, term, logIndex, durability, replicas, duplicate] = [0, 0, 0, 0, 0, 0, 0];
  while (!reader.done()) {
    const tag = reader.varint();
    if (tag === 0x0a) firstMessageId = reader.text();
    else if (tag === 0x10) baseOffset = reader.varint();
    else if (tag === 0x18) count = reader.varint();
    else if (tag === 0x20) queue = reader.varint();
    else if (tag === 0x28) term = reader.varint();
    else if (tag === 0x30) logIndex = reader.varint();
    else if (tag === 0x38) durability = reader.varint();
    else if (tag === 0x40) replicas = reader.varint();
    else if (tag === 0x48) duplicate = reader.varint();
    else if (tag === 0x50) deliverAtMs = reader.varint();
    else reader.skip(tag & 7);
  }
  return {
    queue,
    baseOffset,
    count,
    firstMessageId,
    term,
    logIndex,
    durability: durabilityName(durability),
    replicas,
    duplicate: duplicate !== 0,
    deliverAtMs,
  };
}

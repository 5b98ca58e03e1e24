/**
 * Answers of the hot calls, encoded by hand around untouched slices: one gather copy into the
 * response buffer, which is the least that grpc-js allows.
 */
import { messageIdText } from '../convert.ts';
import type { FilterText } from '../filter/filter.ts';
import type { FetchedBatch } from '../shards/api.ts';
import { asBuffer, bytesFieldSize, fieldSize, varintSize, WireReader, WireWriter } from './wire.ts';

/** Upper bound of a ProduceResponse and a HalfBatchAck: nine numbers and an id. */
const SMALL_ACK_BYTES = 128;

export interface ProduceAck {
  readonly shard: number;
  /** Where the messages stand; index 0 = not known (level NONE). */
  readonly term: number;
  readonly index: number;
  /** Of the first message in the request that stands there; absent = 0. */
  readonly position?: number;
  /** undefined = weaker than MAJORITY_FSYNC. */
  readonly baseOffset: number | undefined;
  readonly count: number;
  readonly queue: number;
  readonly durability: number;
  readonly replicas: number;
  readonly duplicate: boolean;
  /** Absent: not delayed. */
  readonly deliverAtMs?: number | undefined;
}

export function encodeProduceAck(ack: ProduceAck): Buffer {
  const writer = new WireWriter(SMALL_ACK_BYTES);
  if (ack.index > 0) writer.ascii(1, messageIdText(ack.shard, ack.index, ack.position ?? 0));
  if (ack.baseOffset !== undefined) writer.optionalNumber(2, ack.baseOffset);
  writer.number(3, ack.count);
  writer.number(4, ack.queue);
  writer.number(5, ack.term);
  writer.number(6, ack.index);
  writer.number(7, ack.durability);
  writer.number(8, ack.replicas);
  writer.number(9, ack.duplicate ? 1 : 0);
  if (ack.deliverAtMs !== undefined) writer.optionalNumber(10, ack.deliverAtMs);
  return writer.done();
}

/** ProduceStreamResponse around an encoded ProduceResponse (field 2) or Error (field 3). */
export function encodeStreamAnswer(requestId: number, field: 2 | 3, result: Uint8Array): Buffer {
  const writer = new WireWriter(fieldSize(1, requestId) + bytesFieldSize(1, result.length));
  writer.number(1, requestId);
  writer.message(field, result.length);
  writer.raw(result);
  return writer.done();
}

export interface PrepareAck {
  readonly transactionId: string;
  readonly parts: readonly ProduceAck[];
  readonly firstCheckAtMs: number;
  readonly duplicate: boolean;
}

export function encodePrepareAck(ack: PrepareAck): Buffer {
  const parts = ack.parts.map(encodeHalfBatchAck);
  const bytes = parts.reduce((sum, part) => sum + bytesFieldSize(1, part.length), 0);
  const writer = new WireWriter(SMALL_ACK_BYTES + bytes);
  writer.ascii(1, ack.transactionId);
  for (const part of parts) {
    writer.message(2, part.length);
    writer.raw(part);
  }
  writer.number(3, ack.firstCheckAtMs);
  writer.number(4, ack.duplicate ? 1 : 0);
  return writer.done();
}

function encodeHalfBatchAck(ack: ProduceAck): Buffer {
  const writer = new WireWriter(SMALL_ACK_BYTES);
  writer.ascii(1, messageIdText(ack.shard, ack.index, 0));
  writer.number(2, ack.count);
  writer.number(3, ack.queue);
  writer.number(4, ack.term);
  writer.number(5, ack.index);
  writer.number(6, ack.durability);
  writer.number(7, ack.replicas);
  return writer.done();
}

export interface EndAnswer {
  readonly state: number;
  readonly parts: readonly ShownPart[];
}

/** What became visible of one queue. */
export interface ShownPart {
  readonly topic: string;
  readonly queue: number;
  readonly baseOffset: number;
  readonly count: number;
}

export function encodeEndAnswer({ state, parts }: EndAnswer): Buffer {
  const sizes = parts.map(shownPartSize);
  const bytes = sizes.reduce((sum, size) => sum + bytesFieldSize(1, size), 0);
  const writer = new WireWriter(fieldSize(1, state) + bytes);
  writer.number(1, state);
  parts.forEach((part, at) => {
    writer.message(2, sizes[at]!);
    writer.number(1, part.queue);
    writer.number(2, part.baseOffset);
    writer.number(3, part.count);
    writer.text(4, part.topic, Buffer.byteLength(part.topic));
  });
  return writer.done();
}

function shownPartSize(part: ShownPart): number {
  return (
    fieldSize(1, part.queue) +
    fieldSize(1, part.baseOffset) +
    fieldSize(1, part.count) +
    textSize(Buffer.byteLength(part.topic))
  );
}

export interface FetchAnswer {
  readonly batches: readonly FetchedBatch[];
  readonly nextOffset: number;
  readonly startOffset: number;
  readonly endOffset: number;
}

/** Most bytes that a batch adds around its messages (tags, lengths, numbers, id). */
export const BATCH_OVERHEAD_BYTES = 96;

/** FetchResponse, or with `queue` the SubscribeResponse that carries the same. */
export function encodeFetchAnswer(answer: FetchAnswer, shard: number, queue?: number): Buffer {
  const forStream = queue !== undefined;
  const ids = answer.batches.map((batch) =>
    messageIdText(shard, batch.firstIndex, batch.firstPosition),
  );
  const sizes = answer.batches.map((batch, at) => batchSize(batch, ids[at]!));
  let total =
    fieldSize(1, answer.nextOffset) +
    fieldSize(1, answer.startOffset) +
    fieldSize(1, answer.endOffset) +
    (forStream ? fieldSize(1, queue) : 0);
  for (const size of sizes) total += bytesFieldSize(1, size);

  const writer = new WireWriter(total);
  const shift = forStream ? 1 : 0;
  if (forStream) writer.number(1, queue);
  writer.number(1 + shift, answer.nextOffset);
  writer.number(2 + shift, answer.startOffset);
  writer.number(3 + shift, answer.endOffset);
  answer.batches.forEach((batch, at) => {
    writer.message(4 + shift, sizes[at]!);
    writeBatch(writer, batch, ids[at]!);
  });
  return writer.done();
}

function batchSize(batch: FetchedBatch, id: string): number {
  return (
    fieldSize(1, batch.baseOffset) +
    fieldSize(1, batch.count) +
    fieldSize(1, batch.row.storedAtMs) +
    bytesFieldSize(1, id.length) +
    batch.messages.length
  );
}

function writeBatch(writer: WireWriter, batch: FetchedBatch, id: string): void {
  writer.number(1, batch.baseOffset);
  writer.number(2, batch.count);
  writer.number(3, batch.row.storedAtMs);
  writer.ascii(4, id);
  writer.raw(batch.messages);
}

export interface SubscribeFrame {
  readonly nextOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** What the entry node needs of a SubscribeResponse: tags and lengths only. */
export function readSubscribeFrame(frame: Uint8Array): SubscribeFrame {
  const reader = new WireReader(frame);
  let nextOffset = 0;
  let endOffset = 0;
  let count = 0;
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 2 * 8) nextOffset = reader.varint();
    else if (tag === 4 * 8) endOffset = reader.varint();
    else if (tag === 5 * 8 + 2) count += readBatchCount(reader);
    else reader.skip(tag & 7);
  }
  return { nextOffset, endOffset, count };
}

function readBatchCount(reader: WireReader): number {
  const end = reader.length() + reader.position;
  let count = 0;
  while (reader.position < end) {
    const tag = reader.varint();
    if (tag === 2 * 8) {
      count = reader.varint();
      break;
    }
    reader.skip(tag & 7);
  }
  reader.position = end;
  return count;
}

export interface FetchCall {
  readonly offset: number;
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  readonly maxMessages: number;
  readonly filter: FilterText | undefined;
}

/** FetchRequest as this node sends it on its own account (the target names the queue). */
export function encodeFetchCall(call: FetchCall): Buffer {
  const expression = call.filter?.expression ?? '';
  const bytes = Buffer.byteLength(expression);
  const writer = new WireWriter(64 + bytes);
  writer.number(3, call.offset);
  writer.number(4, call.maxBytes);
  writer.number(5, call.maxWaitMs);
  writer.number(8, call.maxMessages);
  if (call.filter !== undefined) {
    writer.message(9, fieldSize(1, call.filter.type) + textSize(bytes));
    writer.number(1, call.filter.type);
    writer.text(2, expression, bytes);
  }
  return writer.done();
}

export interface CheckAnswer {
  readonly transactionId: string;
  readonly callerId: string;
  readonly checkCount: number;
  readonly preparedAtMs: number;
  readonly parts: readonly CheckPartAnswer[];
}

export interface CheckPartAnswer {
  readonly topic: string;
  readonly queue: number;
  readonly firstMessageId: string;
  readonly count: number;
  readonly messages: Uint8Array;
}

/** Check; PollChecksResponse is any number of them as field 1. */
export function encodeCheck(check: CheckAnswer): Buffer {
  const callerBytes = Buffer.byteLength(check.callerId);
  const sizes = check.parts.map(checkPartSize);
  const bytes = sizes.reduce((sum, size) => sum + bytesFieldSize(1, size), 0);
  const writer = new WireWriter(
    textSize(check.transactionId.length) +
      textSize(callerBytes) +
      fieldSize(1, check.checkCount) +
      fieldSize(1, check.preparedAtMs) +
      bytes,
  );
  writer.ascii(1, check.transactionId);
  writer.text(2, check.callerId, callerBytes);
  writer.number(3, check.checkCount);
  writer.number(4, check.preparedAtMs);
  check.parts.forEach((part, at) => {
    writer.message(5, sizes[at]!);
    writer.text(1, part.topic, Buffer.byteLength(part.topic));
    writer.number(2, part.queue);
    writer.ascii(3, part.firstMessageId);
    writer.number(4, part.count);
    writer.raw(part.messages);
  });
  return writer.done();
}

function checkPartSize(part: CheckPartAnswer): number {
  return (
    textSize(Buffer.byteLength(part.topic)) +
    fieldSize(1, part.queue) +
    textSize(part.firstMessageId.length) +
    fieldSize(1, part.count) +
    part.messages.length
  );
}

function textSize(length: number): number {
  return length === 0 ? 0 : bytesFieldSize(1, length);
}

/** PollChecksResponse of encoded checks. Two of them end to end are one (protobuf's merge rule). */
export function encodeChecks(checks: readonly Uint8Array[]): Buffer {
  let total = 0;
  for (const check of checks) total += 1 + varintSize(check.length) + check.length;
  const writer = new WireWriter(total);
  for (const check of checks) {
    writer.message(1, check.length);
    writer.raw(check);
  }
  return writer.done();
}

/** The encoded checks of a PollChecksResponse. */
export function splitChecks(answer: Uint8Array): Buffer[] {
  const reader = new WireReader(asBuffer(answer));
  const checks: Buffer[] = [];
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + 2) checks.push(reader.slice());
    else reader.skip(tag & 7);
  }
  return checks;
}

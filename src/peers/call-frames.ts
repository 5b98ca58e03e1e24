/**
 * Forwarded calls as frames. The head holds the fields (varints), the bulk is the body:
 *
 *   call:   id | timeoutMs | length method | length lane (| length principal (| length trace))
 *   answer: id | u8 status
 *   cancel: id
 */
import { ByteReader } from './byte-reader.ts';
import type { Frame } from './frame.ts';
import { FRAME_HEADER_BYTES, FrameType } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { COPY_BELOW_BYTES, MAX_VARINT_BYTES } from './frame-writer.ts';
import { MalformedFrameError } from './malformed.ts';

export const MAX_METHOD_BYTES = 256;
export const MAX_LANE_BYTES = 1_024;
export const MAX_PRINCIPAL_BYTES = 256;
export const MAX_TRACEPARENT_BYTES = 64;
/** Who asks, and what it is part of: builds that know only earlier versions do not read it. */
export const ORIGIN_PROTOCOL = 5;
/** Whatever a call allows itself, it does not hold its place for longer. */
export const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/** On the wire: never renumber. */
export const AnswerStatus = {
  ok: 0,
  error: 1,
  /** No answer will come: the call was cancelled, or its answer did not fit. */
  none: 2,
} as const;
export type AnswerStatus = (typeof AnswerStatus)[keyof typeof AnswerStatus];

export interface CallFrame {
  readonly id: number;
  readonly timeoutMs: number;
  readonly method: string;
  readonly lane: string;
  readonly principal: string;
  readonly traceparent: string;
  readonly body: Uint8Array;
}

export interface AnswerFrame {
  readonly id: number;
  readonly status: AnswerStatus;
  readonly body: Uint8Array;
}

/** A call's fields with the lengths that the writer and the queue's bound need. */
export interface OutgoingCallFields {
  readonly id: number;
  readonly method: string;
  readonly methodBytes: number;
  readonly lane: string;
  readonly laneBytes: number;
  /** '' is left out: a cluster that asks nobody sends the frames of builds that could not ask. */
  readonly principal: string;
  readonly principalBytes: number;
  /** '' is left out. ASCII. */
  readonly traceparent: string;
  readonly body: Uint8Array;
}

export function callHeadBytesMax(
  methodBytes: number,
  laneBytes: number,
  originBytes: number,
): number {
  return 6 * MAX_VARINT_BYTES + methodBytes + laneBytes + originBytes;
}

/** Room for a small body is asked for with the head: then one CRC covers both in one go. */
function copied(body: Uint8Array): number {
  return body.length < COPY_BELOW_BYTES ? body.length : 0;
}

export function writeCall(writer: FrameWriter, call: OutgoingCallFields, timeoutMs: number): void {
  const { laneBytes, methodBytes, principalBytes, traceparent } = call;
  const originBytes = principalBytes + traceparent.length;
  writer.begin(callHeadBytesMax(methodBytes, laneBytes, originBytes) + copied(call.body));
  writer.varint(call.id);
  writer.varint(timeoutMs);
  writer.text(call.method, call.methodBytes);
  writer.text(call.lane, call.laneBytes);
  if (originBytes > 0) writer.text(call.principal, principalBytes);
  if (traceparent !== '') writer.text(traceparent, traceparent.length);
  writer.endWithBody(FrameType.call, call.body);
}

export const ANSWER_HEAD_BYTES_MAX = MAX_VARINT_BYTES + 1;

export function writeAnswer(
  writer: FrameWriter,
  id: number,
  status: AnswerStatus,
  body: Uint8Array,
): void {
  writer.begin(ANSWER_HEAD_BYTES_MAX + copied(body));
  writer.varint(id);
  writer.u8(status);
  writer.endWithBody(FrameType.answer, body);
}

export function writeCancel(writer: FrameWriter, id: number): void {
  writer.begin(MAX_VARINT_BYTES);
  writer.varint(id);
  writer.endHead();
  writer.end(FrameType.cancel);
}

function headOf(frame: Frame): ByteReader {
  return new ByteReader(frame.bytes, FRAME_HEADER_BYTES, frame.headEnd);
}

export function readCall(frame: Frame): CallFrame {
  const head = headOf(frame);
  const id = head.varint();
  const timeoutMs = head.varint();
  if (timeoutMs > MAX_TIMEOUT_MS) throw new MalformedFrameError('call without an end');
  const method = head.text(MAX_METHOD_BYTES);
  const lane = head.text(MAX_LANE_BYTES);
  const principal = head.atEnd() ? '' : head.text(MAX_PRINCIPAL_BYTES);
  const traceparent = head.atEnd() ? '' : head.text(MAX_TRACEPARENT_BYTES);
  head.expectEnd();
  const body = frame.bytes.subarray(frame.headEnd);
  return { id, timeoutMs, method, lane, principal, traceparent, body };
}

export function readAnswer(frame: Frame): AnswerFrame {
  const head = headOf(frame);
  const id = head.varint();
  const status = head.u8();
  head.expectEnd();
  if (status !== AnswerStatus.ok && status !== AnswerStatus.error && status !== AnswerStatus.none) {
    throw new MalformedFrameError(`unknown answer status ${status}`);
  }
  return { id, status, body: frame.bytes.subarray(frame.headEnd) };
}

export function readCancel(frame: Frame): number {
  const head = headOf(frame);
  const id = head.varint();
  head.expectEnd();
  if (frame.headEnd !== frame.bytes.length) throw new MalformedFrameError('cancel with a body');
  return id;
}

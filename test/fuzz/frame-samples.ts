/** Sound frames of every type that one node may send to another: what is mutated. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { AnswerStatus, writeAnswer, writeCall, writeCancel } from '../../src/peers/call-frames.ts';
import { FRAME_HEADER_BYTES, FrameType } from '../../src/peers/frame.ts';
import { greetingOf, writeGreeting, writeRefusal } from '../../src/peers/handshake.ts';
import { writeMessages } from '../../src/peers/message-writer.ts';
import { anyMessage } from '../src/peers/any-message.ts';
import { encoded, identityOf } from '../src/peers/support.ts';

export const MAX_FRAME_BYTES = 64 * 1024;
const SAMPLED_MESSAGES = 4_000;
const FRAME_TYPE_OFFSET = 8;

export interface FrameSamples {
  /** A type of Raft message, or of frame. */
  readonly type: string;
  readonly frames: readonly Buffer[];
}

const helloOf = (kind: 'bulk' | 'control') =>
  encoded((writer) => writeGreeting(writer, FrameType.hello, greetingOf(identityOf(2), 1, kind)));

/** As node 2 says who it is to node 1, on a connection of either kind. */
export const HELLO = { bulk: helloOf('bulk'), control: helloOf('control') };

const welcome = greetingOf(identityOf(2), 1, 'bulk');
const call = { id: 7, method: '/t/Call', methodBytes: 7, lane: 'lane', laneBytes: 4 };
const body = Buffer.from('a body of some bytes');

function callOf(principal: string, traceparent = ''): Buffer {
  const fields = { ...call, principal, traceparent, principalBytes: principal.length, body };
  return encoded((writer) => writeCall(writer, fields, 300));
}

export function frameSamples(seed: number): readonly FrameSamples[] {
  const messages = new Map<string, Buffer[]>();
  for (const message of fc.sample(anyMessage, { seed, numRuns: SAMPLED_MESSAGES })) {
    const frame = encoded((writer) => writeMessages(writer, [message], MAX_FRAME_BYTES));
    const frames = messages.get(message.type);
    if (frames === undefined) messages.set(message.type, [frame]);
    else frames.push(frame);
  }
  return [...messages]
    .map(([type, frames]): FrameSamples => ({ type, frames }))
    .concat([
      { type: 'call', frames: [callOf(''), callOf('app'), callOf('app', '00-12-34-01')] },
      { type: 'cancel', frames: [encoded((writer) => writeCancel(writer, 300))] },
      { type: 'hello', frames: Object.values(HELLO) },
      {
        type: 'welcome',
        frames: [encoded((writer) => writeGreeting(writer, FrameType.welcome, welcome))],
      },
      { type: 'refusal', frames: [encoded(refusal)] },
      { type: 'answer', frames: [encoded((w) => writeAnswer(w, 7, AnswerStatus.error, body))] },
    ]);
}

const refusal = (writer: Parameters<typeof writeRefusal>[0]) =>
  writeRefusal(writer, { reason: 'staleBoot', detail: 'older than 3' });

/** The frame with another content, and header and checksum that fit it. */
export function resealed(frame: Buffer, head: Buffer, bulk: Buffer): Buffer {
  const type = frame.readUInt8(FRAME_TYPE_OFFSET);
  const bytes = Buffer.concat([frame.subarray(0, FRAME_HEADER_BYTES), head, bulk]);
  bytes.writeUInt32LE(head.length + bulk.length, 4);
  bytes.writeUInt32LE(head.length * 256 + type, FRAME_TYPE_OFFSET);
  const checked = type === FrameType.messages ? FRAME_HEADER_BYTES + head.length : bytes.length;
  bytes.writeUInt32LE(crc32(bytes.subarray(4, checked)), 0);
  return bytes;
}

export function headEndOf(frame: Buffer): number {
  return FRAME_HEADER_BYTES + (frame.readUInt32LE(FRAME_TYPE_OFFSET) >>> 8);
}

/** How long the frame is that begins with these bytes. */
export function wholeBytes(frame: Buffer): number {
  return FRAME_HEADER_BYTES + frame.readUInt32LE(4);
}

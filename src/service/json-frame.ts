/**
 * What nodes send each other where short facts go with bytes that stay as they are:
 *
 *   frame = length:u32 json bytes
 */
import { decodeJson, encodeJson } from './internal-methods.ts';
import { asBuffer } from './wire.ts';

const LENGTH_BYTES = 4;

export function encodeFrame(head: unknown, bytes: Uint8Array): Buffer {
  const json = encodeJson(head);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, bytes]);
}

export function decodeFrame<Head>(frame: Uint8Array): { head: Head; bytes: Buffer } {
  const buffer = asBuffer(frame);
  const end = LENGTH_BYTES + buffer.readUInt32BE(0);
  const head = decodeJson<Head>(buffer.subarray(LENGTH_BYTES, end));
  return { head, bytes: buffer.subarray(end) };
}

import { StreamDecoder } from '@grpc/grpc-js/build/src/stream-decoder.js';
import { describe, expect, test } from 'vitest';
import { letGoOfReadMessages } from '../../../src/service/decoder-memory.ts';

/** A message as gRPC frames it: flag, length, bytes. */
function framed(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** Bytes that the decoder's own fields keep alive, its two fixed ones of 1 and 4 bytes apart. */
function held(decoder: StreamDecoder): number {
  const buffers = Object.values(decoder).flat().filter(Buffer.isBuffer) as Buffer[];
  return buffers.filter(({ length }) => length !== 4).reduce((sum, one) => sum + one.length, 0);
}

describe('the decoder of a stream', () => {
  test('keeps nothing of a message that it handed over, and loses nothing of the next', () => {
    letGoOfReadMessages();
    letGoOfReadMessages();
    const decoder = new StreamDecoder(-1);
    const first = framed('a'.repeat(1000));
    expect(decoder.write(first.subarray(0, 600))).toEqual([]);
    expect(held(decoder)).toBeGreaterThan(500);
    expect(decoder.write(first.subarray(600))).toEqual([first]);
    expect(held(decoder)).toBe(0);
    const next = framed('bcd');
    expect(decoder.write(next.subarray(0, 3))).toEqual([]);
    const more = Buffer.concat([next.subarray(3), framed(''), framed('e').subarray(0, 5)]);
    expect(decoder.write(more)).toEqual([next, framed('')]);
    expect(decoder.write(Buffer.from('e'))).toEqual([framed('e')]);
    expect(held(decoder)).toBe(0);
  });
});

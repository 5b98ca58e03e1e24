import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAnswer, readCall, readCancel } from '../../../src/peers/call-frames.ts';
import type { Frame } from '../../../src/peers/frame.ts';
import { FRAME_HEADER_BYTES, FrameReader, FrameType } from '../../../src/peers/frame.ts';
import { FrameWriter } from '../../../src/peers/frame-writer.ts';
import { readGreeting, readRefusal } from '../../../src/peers/handshake.ts';
import { MalformedFrameError } from '../../../src/peers/malformed.ts';
import { readMessages } from '../../../src/peers/message-reader.ts';
import { encoded } from './support.ts';

const MAX_FRAME = 64 * 1024;

function frameOf(type: FrameType, head: Uint8Array, body: Uint8Array): Buffer {
  return encoded((writer) => {
    writer.begin(head.length);
    writer.scratch.set(head, writer.reserve(head.length));
    if (type !== FrameType.messages) return writer.endWithBody(type, body);
    writer.endHead();
    writer.bulk(body);
    writer.end(type);
  });
}

function textOf(sent: { type: FrameType; head: Uint8Array; body: Uint8Array }): string {
  const hex = [sent.head, sent.body].map((bytes) => Buffer.from(bytes).toString('hex'));
  return [sent.type, ...hex].join(' ');
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

/** Every decoder there is, on a frame whose CRC is right but whose content is anyone's guess. */
function decodeAsAnything(frame: Frame): void {
  const decoders = [readMessages, readCall, readAnswer, readCancel, readGreeting, readRefusal];
  for (const decode of decoders) {
    try {
      decode(frame);
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
    }
  }
}

const type = fc.constantFrom(...Object.values(FrameType));
const content = fc.record({
  type,
  head: fc.uint8Array({ maxLength: 60 }),
  body: fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constant(new Uint8Array(9_000).fill(3))),
});

describe('FrameReader', () => {
  it('finds the same frames however the stream is cut', () => {
    const contents = fc.array(content, { maxLength: 6 });
    fc.assert(
      fc.property(contents, fc.array(fc.nat(), { maxLength: 20 }), (sent, cuts) => {
        const wire = Buffer.concat(sent.map((each) => frameOf(each.type, each.head, each.body)));
        const got: string[] = [];
        const reader = new FrameReader(MAX_FRAME, (frame) => {
          const head = frame.bytes.toString('hex', FRAME_HEADER_BYTES, frame.headEnd);
          got.push(`${frame.type} ${head} ${frame.bytes.toString('hex', frame.headEnd)}`);
        });
        for (const chunk of split(wire, cuts)) reader.push(chunk);
        expect(got).toEqual(sent.map(textOf));
      }),
      { numRuns: 1_000 },
    );
  });

  it('hands out a frame inside one chunk as a view of it', () => {
    const wire = Buffer.concat([
      frameOf(FrameType.call, Buffer.from('a'), Buffer.from('b')),
      frameOf(FrameType.call, Buffer.from('c'), Buffer.from('d')),
    ]);
    const buffers = new Set<ArrayBufferLike>();
    new FrameReader(MAX_FRAME, (frame) => buffers.add(frame.bytes.buffer)).push(wire);
    expect([...buffers]).toEqual([wire.buffer]);
  });

  it('refuses a frame over the limit before it takes memory for it', () => {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32LE(MAX_FRAME - FRAME_HEADER_BYTES + 1, 4);
    const reader = new FrameReader(MAX_FRAME, () => undefined);
    expect(() => reader.push(header)).toThrow(/frame of 65537 bytes/);
    const exact = frameOf(FrameType.ping, Buffer.alloc(0), Buffer.alloc(MAX_FRAME - 12));
    let frames = 0;
    new FrameReader(MAX_FRAME, () => (frames += 1)).push(exact);
    expect(frames).toBe(1);
  });

  it('hands out nothing after stop, also within a chunk', () => {
    const wire = frameOf(FrameType.ping, Buffer.alloc(0), Buffer.alloc(0));
    let frames = 0;
    const reader = new FrameReader(MAX_FRAME, () => {
      frames += 1;
      reader.stop();
    });
    reader.push(Buffer.concat([wire, wire]));
    reader.push(wire);
    expect(frames).toBe(1);
  });

  it('meets random bytes with a MalformedFrameError or with silence', () => {
    let refused = 0;
    const run = (chunk: Uint8Array): void => {
      const reader = new FrameReader(MAX_FRAME, decodeAsAnything);
      try {
        reader.push(Buffer.from(chunk));
      } catch (error) {
        if (!(error instanceof MalformedFrameError)) throw error;
        refused += 1;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), run), {
      numRuns: 10_000,
    });
    expect(refused).toBeGreaterThan(5_000);
  });

  it('meets random heads under a right CRC with a MalformedFrameError or a value', () => {
    const heads = fc.oneof(
      fc.uint8Array({ maxLength: 120, size: 'max' }),
      fc.json().map((text) => new Uint8Array(Buffer.from(text))),
      // Looks like a message up to its fields.
      fc
        .uint8Array({ maxLength: 60 })
        .map((rest) => Uint8Array.of(5, 1, 1, 1, 2, 0, 0, 0, ...rest)),
    );
    fc.assert(
      fc.property(type, heads, fc.uint8Array({ maxLength: 20 }), (frameType, head, body) => {
        new FrameReader(MAX_FRAME, decodeAsAnything).push(frameOf(frameType, head, body));
      }),
      { numRuns: 5_000 },
    );
  });

  it('refuses a wrong type and a head that ends behind the frame, under a right CRC', () => {
    for (const word of [0, 10, 255, FrameType.ping + 256]) {
      const wire = Buffer.alloc(FRAME_HEADER_BYTES);
      wire.writeUInt32LE(word, 8);
      wire.writeUInt32LE(crc32(wire.subarray(4)), 0);
      const reader = new FrameReader(MAX_FRAME, () => undefined);
      expect(() => reader.push(wire)).toThrow(MalformedFrameError);
    }
  });
});

describe('FrameWriter', () => {
  it('never touches again what it has handed out', () => {
    const writer = new FrameWriter();
    const taken: { piece: Uint8Array; copy: Buffer }[] = [];
    for (let i = 0; i < 3_000; i += 1) {
      writer.begin(10);
      writer.varint(i);
      writer.endWithBody(FrameType.call, Buffer.alloc(i % 100, i));
      for (const piece of writer.take()) taken.push({ piece, copy: Buffer.from(piece) });
    }
    for (const { piece, copy } of taken) expect(copy.equals(piece)).toBe(true);
  });

  it('writes numbers that a reader finds again', () => {
    const edges = [0, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 53 - 1];
    const number = fc.oneof(fc.constantFrom(...edges), fc.maxSafeNat());
    fc.assert(
      fc.property(number, (value) => {
        const wire = encoded((writer) => {
          writer.begin(8);
          writer.varint(value);
          writer.endHead();
          writer.end(FrameType.cancel);
        });
        let got = -1;
        new FrameReader(MAX_FRAME, (frame) => {
          got = readCancel(frame);
        }).push(wire);
        expect(got).toBe(value);
      }),
    );
  });

  it('refuses numbers over 2^53 and numbers not in their shortest form', () => {
    const bad = [
      [0x80, 0x00],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
      Array.from({ length: 12 }, () => 0x80),
    ];
    for (const head of bad) {
      const wire = frameOf(FrameType.cancel, Uint8Array.from(head), Buffer.alloc(0));
      const reader = new FrameReader(MAX_FRAME, (frame) => void readCancel(frame));
      expect(() => reader.push(wire)).toThrow(MalformedFrameError);
    }
  });
});

import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Append, PeerMessage } from '../../../raft/messages.ts';
import type { Entry } from '../../../raft/types.ts';
import { EMPTY_BYTES, EntryType } from '../../../raft/types.ts';
import type { Frame } from '../../../src/peers/frame.ts';
import { FRAME_HEADER_BYTES, FrameReader } from '../../../src/peers/frame.ts';
import { FrameWriter } from '../../../src/peers/frame-writer.ts';
import { MalformedFrameError } from '../../../src/peers/malformed.ts';
import { readMessages } from '../../../src/peers/message-reader.ts';
import { messageBytesMax, writeMessages } from '../../../src/peers/message-writer.ts';
import { anyMessage, plain } from './any-message.ts';
import { encoded } from './support.ts';

const MAX_FRAME = 20 * 1024 * 1024;
const MAX_TERM = 2 ** 48 - 1;

function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  new FrameReader(MAX_FRAME, (frame) => frames.push(frame)).push(bytes);
  return frames;
}

function decodeAll(bytes: Buffer): PeerMessage[] {
  return framesOf(bytes).flatMap(readMessages);
}

describe('messages', () => {
  it('come back as they were, also when cut into several frames', () => {
    const limits = fc.constantFrom(MAX_FRAME, 60_000);
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 12 }), limits, (messages, maxFrame) => {
        const wire = encoded((writer) => {
          expect(writeMessages(writer, messages, maxFrame)).toBe(0);
        });
        for (const frame of framesOf(wire))
          expect(frame.bytes.length).toBeLessThanOrEqual(maxFrame);
        expect(decodeAll(wire).map(plain)).toEqual(messages.map(plain));
        let bound = 0;
        for (const each of messages) bound += messageBytesMax(each) + FRAME_HEADER_BYTES;
        expect(wire.length).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 500 },
    );
  });

  it('with any bit flipped are refused, each prefix waits for the rest', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        (messages, at) => {
          const wire = encoded((writer) => writeMessages(writer, messages, MAX_FRAME));
          expect(framesOf(wire.subarray(0, at % wire.length))).toEqual([]);
          const bit = at % (wire.length * 8);
          wire[bit >> 3] = (wire[bit >> 3] as number) ^ (1 << (bit & 7));
          let decoded: PeerMessage[] = [];
          try {
            decoded = decodeAll(wire);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedFrameError);
          }
          expect(decoded).toEqual([]);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('that are a heartbeat take at most 40 bytes each', () => {
    const heartbeat: PeerMessage = {
      type: 'heartbeat',
      shard: 2 ** 32 - 1,
      from: 2 ** 32,
      to: 2 ** 32,
      term: MAX_TERM,
      commit: 2 ** 53 - 1,
      round: 2 ** 53 - 1,
      rank: 4,
      quiet: false,
    };
    const wire = encoded((writer) => writeMessages(writer, [heartbeat, heartbeat], MAX_FRAME));
    expect(wire.length - FRAME_HEADER_BYTES).toBeLessThanOrEqual(2 * 40);
  });

  it('over the frame limit are left out, the others go', () => {
    const payload = new Uint8Array(5_000);
    const bodyCrc = crc32(payload);
    const { noop } = EntryType;
    const entry = { index: 1, term: 1, type: noop, timeMs: 1, head: EMPTY_BYTES, payload, bodyCrc };
    const to = { shard: 1, from: 1, to: 2, term: 1 };
    const big: Append = {
      type: 'append',
      ...to,
      prevIndex: 0,
      prevTerm: 0,
      commit: 0,
      wantsWritten: false,
      entries: [entry],
    };
    const small: PeerMessage = { type: 'timeoutNow', ...to };
    const wire = encoded((writer) => {
      expect(writeMessages(writer, [small, big, small], 4_000)).toBe(1);
    });
    expect(decodeAll(wire)).toEqual([small, small]);
  });

  it('carry big payloads without copying them', () => {
    const payload = new Uint8Array(100_000);
    const bodyCrc = crc32(payload);
    const { command } = EntryType;
    const head = new Uint8Array(0);
    const entry = { index: 1, term: 1, type: command, timeMs: 1, head, payload, bodyCrc };
    const writer = new FrameWriter();
    const fields = { shard: 1, from: 1, to: 2, term: 1, prevIndex: 0, prevTerm: 0, commit: 0 };
    const sent: Append = { type: 'append', ...fields, wantsWritten: false, entries: [entry] };
    writeMessages(writer, [sent], MAX_FRAME);
    const pieces = writer.take();
    expect(pieces).toHaveLength(2);
    expect(pieces[1]).toBe(payload);
    const wire = Buffer.concat(pieces);
    const [received] = decodeAll(wire) as [Append];
    expect(received.entries[0]?.payload.buffer).toBe(wire.buffer);
  });

  it('that no replica can mean are refused although their CRC is right', () => {
    const entry: Entry = {
      index: 1,
      term: 9,
      type: EntryType.command,
      timeMs: 1,
      head: EMPTY_BYTES,
      payload: EMPTY_BYTES,
      bodyCrc: 0,
    };
    const fields = { type: 'append', shard: 1, from: 1, to: 2, commit: 0 } as const;
    const base: Append = {
      ...fields,
      term: 9,
      prevIndex: 0,
      prevTerm: 0,
      wantsWritten: false,
      entries: [entry],
    };
    const to = { shard: 1, from: 1, to: 2, term: 9 };
    const chunk: PeerMessage = {
      type: 'snapshotChunk',
      ...to,
      id: { index: 4, term: 9 },
      totalBytes: 10,
      offset: 0,
      data: EMPTY_BYTES,
    };
    const wrong: PeerMessage[] = [
      { ...base, term: 8 },
      { ...base, prevTerm: 3 },
      { ...base, prevIndex: 4, prevTerm: 0, entries: [] },
      { ...base, prevIndex: 4, prevTerm: 10, entries: [] },
      { ...base, from: 0 },
      { ...base, entries: [{ ...entry, bodyCrc: 1 }] },
      { ...base, entries: [entry, { ...entry, index: 2, term: 8 }] },
      { ...chunk, offset: 6, data: new Uint8Array(6) },
      { ...chunk, id: { index: 0, term: 0 } },
      { ...chunk, id: { index: 4, term: 10 } },
      { type: 'repairReply', ...to, id: { index: 2, term: 9 }, entry, trimmed: false },
      { type: 'repairReply', ...to, id: { index: 1, term: 8 }, entry, trimmed: false },
      { type: 'repairReply', ...to, id: { index: 1, term: 9 }, entry, trimmed: true },
      { type: 'heartbeat', ...to, commit: 0, round: 1, rank: 0, quiet: true },
      {
        type: 'heartbeat',
        shard: 1,
        from: 1,
        to: 2,
        term: 0,
        commit: 0,
        round: 1,
        rank: 0,
        quiet: false,
      },
    ];
    expect(decodeAll(encoded((writer) => writeMessages(writer, [base], MAX_FRAME)))).toHaveLength(
      1,
    );
    for (const each of wrong) {
      const wire = encoded((writer) => writeMessages(writer, [each], MAX_FRAME));
      expect(() => decodeAll(wire), JSON.stringify(each)).toThrow(MalformedFrameError);
    }
  });
});

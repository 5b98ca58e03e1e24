import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../raft/types.ts';
import { EntryType } from '../../raft/types.ts';
import { FlushBuffer } from '../../storage/flush-buffer.ts';
import {
  bodyCrcOf,
  entryFrom,
  PORTABLE_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  readPortableHeader,
  readRecordHeader,
  verifyBody,
  verifyRecordHeader,
  writePortableHeader,
} from '../../storage/record.ts';
import { entry, plain } from '../harness/log-builders.ts';

const segment = { epoch: 3, sequence: 7 };

const entries = fc
  .record({
    index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    term: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    type: fc.constantFrom(EntryType.noop, EntryType.command, EntryType.config),
    timeMs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    head: fc.uint8Array({ maxLength: 40 }),
    payload: fc.uint8Array({ maxLength: 60 }),
  })
  .map((parts): Entry => ({ ...parts, bodyCrc: bodyCrcOf(parts.head, parts.payload) }));

function encode(shard: number, each: Entry, position: number, synced = 0): Buffer {
  const buffer = new FlushBuffer(1 << 20);
  buffer.begin(segment, position, synced);
  buffer.add({ kind: 'entry', shard, entry: each });
  return Buffer.concat(buffer.parts());
}

/** The entry, if every check passes. */
function decode(bytes: Buffer, position: number): Entry | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  if (!verifyRecordHeader(bytes, 0, segment, position)) return undefined;
  const header = readRecordHeader(bytes, 0);
  if (bytes.length < RECORD_HEADER_BYTES + header.bodyLength) return undefined;
  if (!verifyBody(bytes, RECORD_HEADER_BYTES, header)) return undefined;
  return entryFrom(bytes, RECORD_HEADER_BYTES, header);
}

describe('record', () => {
  it('gives back any entry', () => {
    fc.assert(
      fc.property(entries, fc.nat(2 ** 32 - 1), fc.nat(2 ** 31), (each, shard, position) => {
        const bytes = encode(shard, each, position);
        expect(plain(decode(bytes, position)!)).toEqual(plain(each));
        expect(readRecordHeader(bytes, 0).shard).toBe(shard);
      }),
    );
  });

  it('rejects every prefix', () => {
    fc.assert(
      fc.property(entries, (each) => {
        const bytes = encode(1, each, 4096);
        for (let length = 0; length < bytes.length; length++) {
          expect(decode(bytes.subarray(0, length), 4096)).toBeUndefined();
        }
      }),
      { numRuns: 30 },
    );
  });

  it('rejects every change of one bit', () => {
    fc.assert(
      fc.property(entries, (each) => {
        const bytes = encode(1, each, 4096);
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          bytes[bit >> 3]! ^= 1 << (bit & 7);
          expect(decode(bytes, 4096)).toBeUndefined();
          bytes[bit >> 3]! ^= 1 << (bit & 7);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('rejects a record of another place, segment or epoch', () => {
    const bytes = encode(1, entry(5, 2), 4096);
    expect(verifyRecordHeader(bytes, 0, segment, 4096)).toBe(true);
    expect(verifyRecordHeader(bytes, 0, segment, 4160)).toBe(false);
    expect(verifyRecordHeader(bytes, 0, { ...segment, sequence: 8 }, 4096)).toBe(false);
    expect(verifyRecordHeader(bytes, 0, { ...segment, epoch: 2 }, 4096)).toBe(false);
  });
});

describe('portable header', () => {
  it('has the layout that peers and disks share', () => {
    const target = Buffer.alloc(PORTABLE_HEADER_BYTES);
    writePortableHeader(target, 0, 0x01020304, {
      ...entry(0x11, 0x22, { head: 'abc', payload: 'de' }),
      timeMs: 0x33,
      bodyCrc: 0xaabbccdd,
    });
    expect(target.toString('hex')).toBe(
      '01002200000000000403020' + '1ddccbbaa0300000005000000' + '11000000000000003300000000000000',
    );
  });

  it.each([
    ['an unknown type', 0, 99],
    ['unknown flags', 1, 1],
    ['a head longer than the body', 16, 255],
    ['a body over the limit', 23, 255],
    ['an index over 2^53', 31, 255],
    ['a time over 2^53', 39, 255],
  ])('refuses %s', (_what, at, value) => {
    const target = Buffer.alloc(PORTABLE_HEADER_BYTES);
    writePortableHeader(target, 0, 1, entry(1, 1));
    target[at] = value;
    expect(() => readPortableHeader(target, 0)).toThrow(RangeError);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { varintSize, WireReader, WireWriter } from '../../../src/service/wire.ts';

function written(value: number): Buffer {
  const writer = new WireWriter(10);
  writer.varint(value);
  return writer.done();
}

/** The slow twin: two's complement in BigInt. */
function encoded(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

describe('varints', () => {
  test('every safe integer round-trips in the size that was computed', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = written(value);
        expect(bytes.length).toBe(varintSize(value));
        expect(bytes.equals(encoded(BigInt(value)))).toBe(true);
        expect(new WireReader(bytes).varint()).toBe(value);
      }),
    );
  });

  test('int64 of any size and sign is read as the nearest number', () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (value) => {
        expect(new WireReader(encoded(value)).varint()).toBe(Number(value));
      }),
    );
    for (const value of [-1n, -13570558454397794n]) {
      expect(new WireReader(encoded(value)).varint()).toBe(Number(value));
    }
  });

  test('cut off or too long: malformed', () => {
    for (const bytes of [[], [0x80], Array(11).fill(0x80)]) {
      expect(() => new WireReader(Buffer.from(bytes)).varint()).toThrow('malformed');
    }
  });
});

describe('skipping', () => {
  test('random bytes either parse or are refused; nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const reader = new WireReader(bytes);
        try {
          while (reader.position < reader.end) reader.skip(reader.varint() & 7);
          expect(reader.position).toBe(bytes.length);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'MALFORMED_REQUEST' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

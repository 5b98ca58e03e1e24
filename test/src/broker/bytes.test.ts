import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../../../src/broker/bytes.ts';

const wellFormedText = fc.string({ unit: 'grapheme', maxLength: 200 });

describe('bytes', () => {
  it('gives back every unsigned integer', () => {
    const values = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1];
    const out = new ByteWriter(1);
    for (const value of values) out.uint(value);
    const from = new ByteReader(out.finish());
    for (const value of values) expect(from.uint()).toBe(value);
    expect(() => from.expectEnd()).not.toThrow();
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(new ByteReader(new ByteWriter().uint(value).finish()).uint()).toBe(value);
      }),
    );
  });

  it('gives back texts and fixed integers, and grows as needed', () => {
    fc.assert(
      fc.property(wellFormedText, fc.maxSafeNat(), fc.nat(), wellFormedText, (a, u64, u32, b) => {
        const out = new ByteWriter(1).text(a).u64be(u64).u32be(u32).textToEnd(b).finishCopy();
        const from = new ByteReader(out);
        expect([from.text(), from.u64be(), from.u32be(), from.textToEnd()]).toEqual([
          a,
          u64,
          u32,
          b,
        ]);
        from.expectEnd();
      }),
    );
  });

  it('sorts big-endian integers as numbers', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
        const order = Buffer.compare(
          new ByteWriter().u64be(a).finish(),
          new ByteWriter().u64be(b).finish(),
        );
        expect(order).toBe(Math.sign(a - b));
      }),
    );
  });

  it('refuses what it would not write', () => {
    for (const value of [-1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => new ByteWriter().uint(value)).toThrow();
    }
    const padded = Uint8Array.of(0x81, 0x00);
    const tooLarge = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f);
    const tooLong = new Uint8Array(9).fill(0x80);
    for (const bytes of [padded, tooLarge, tooLong, Uint8Array.of(0x80)]) {
      expect(() => new ByteReader(bytes).uint()).toThrow(FormatError);
    }
    expect(() => new ByteReader(Uint8Array.of(2, 65)).text()).toThrow(FormatError);
    expect(() => new ByteReader(Uint8Array.of(5, 1)).listLength()).toThrow(FormatError);
    expect(() => new ByteReader(new Uint8Array(8).fill(255)).u64be()).toThrow(FormatError);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sliceMessages } from '../../../src/shards/message-slice.ts';

/** Field 1000, wire type 2: the tag is 8002. */
function field(body: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = body.length;
  while (rest >= 128) {
    length.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  length.push(rest);
  return Buffer.concat([Buffer.from([0xc2, 0x3e, ...length]), body]);
}

const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });

describe('sliceMessages', () => {
  test('gives exactly the fields of the messages asked for, as a view', () => {
    fc.assert(
      fc.property(bodies, fc.nat(19), fc.nat(20), fc.nat(3000), (all, skip, most, maxBytes) => {
        fc.pre(skip < all.length);
        const fields = all.map(field);
        const batch = Buffer.concat(fields);
        const slice = sliceMessages(batch, skip, maxBytes, most, false);
        const wanted: Buffer[] = [];
        let bytes = 0;
        for (const one of fields.slice(skip, skip + most)) {
          if (bytes + one.length > maxBytes) break;
          bytes += one.length;
          wanted.push(one);
        }
        expect(slice.count).toBe(wanted.length);
        expect(Buffer.from(slice.bytes)).toEqual(Buffer.concat(wanted));
        expect(slice.bytes.buffer).toBe(batch.buffer);
      }),
    );
  });

  test('one message always fits when it must', () => {
    const batch = Buffer.concat([field(Buffer.alloc(500)), field(Buffer.alloc(5))]);
    expect(sliceMessages(batch, 0, 10, 10, true)).toMatchObject({ count: 1 });
    expect(sliceMessages(batch, 0, 10, 10, false)).toMatchObject({ count: 0 });
  });

  test('refuses bytes that are no batch, wherever they are cut or changed', () => {
    const batch = Buffer.concat([field(Buffer.alloc(200)), field(Buffer.from('abc'))]);
    const all = (bytes: Uint8Array) => sliceMessages(bytes, 0, 1e9, 1e9, true);
    expect(() => all(batch.subarray(0, batch.length - 1))).toThrow(/cut short/);
    expect(() => all(batch.subarray(0, 3))).toThrow(/cut short/);
    expect(() => all(Buffer.from([0x0a, 0x00]))).toThrow(/no message field at byte 0/);
  });
});

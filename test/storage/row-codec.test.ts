import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { indexKey } from '../../storage/keys.ts';
import * as rows from '../../storage/row-codec.ts';

const number = fc.nat({ max: Number.MAX_SAFE_INTEGER });

describe('row codec', () => {
  it('notices every flipped bit of key and value', () => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(bytes, bytes, fc.nat(), fc.nat(7), (key, body, place, bit) => {
        const sealed = rows.seal(key, body);
        expect(Buffer.from(rows.unseal(key, sealed))).toEqual(Buffer.from(body));
        const all = Buffer.concat([key, sealed]);
        const at = place % all.length;
        all[at] = (all[at] as number) ^ (1 << bit);
        const unseal = (): unknown =>
          rows.unseal(all.subarray(0, key.length), all.subarray(key.length));
        expect(unseal).toThrow(expect.objectContaining({ code: 'DATA_LOSS' }));
      }),
    );
    expect(() => rows.unseal(Buffer.alloc(3), Buffer.alloc(4))).toThrow('4 bytes');
  });

  it('reads index rows back', () => {
    const base = fc.nat({ max: 2 ** 52 });
    const count = fc.integer({ min: 1, max: 2 ** 31 });
    fc.assert(
      fc.property(base, count, number, number, number, (baseOffset, count, index, term, size) => {
        const place = { queueId: 7, baseOffset, count, index, term };
        const row = { ...place, storedAtMs: index, cumulativeBytes: size };
        const body = rows.encodeIndexBody(row);
        expect(rows.decodeIndexBody(7, rows.lastOffsetOf(row), body)).toEqual(row);
      }),
    );
  });

  it('refuses an index row that would begin before the queue', () => {
    const row = { queueId: 7, baseOffset: 0, count: 5, index: 1, term: 1 };
    const body = rows.encodeIndexBody({ ...row, storedAtMs: 0, cumulativeBytes: 0 });
    expect(() => rows.decodeIndexBody(7, 3, body)).toThrow('index row of queue 7 at 3');
    expect(indexKey(1, 7, 4)).toHaveLength(17);
  });

  it('reads applied, format and integers back', () => {
    const mark = { shard: 2, index: 2 ** 40, term: 9, timeMs: 1_700_000_000_000 };
    expect(rows.decodeAppliedBody(2, rows.encodeAppliedBody(mark))).toEqual(mark);
    const format = { version: 3, identity: 'node 1 ü' };
    expect(rows.decodeFormatBody(rows.encodeFormatBody(format))).toEqual(format);
    expect(rows.decodeIntegerBody(rows.encodeIntegerBody(2 ** 53 - 1))).toBe(2 ** 53 - 1);
    const batch = { number: 9, bytes: 2 ** 53 - 1, first: 7 };
    expect(rows.decodeBatchBody(9, rows.encodeBatchBody(batch))).toEqual(batch);
    expect(() => rows.decodeAppliedBody(2, Buffer.alloc(5))).toThrow('5 bytes');
  });
});

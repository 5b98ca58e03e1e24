import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as keys from '../../storage/keys.ts';

const shardId = fc.integer({ min: 0, max: 0xffff_ffff });
const offset = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const compare = (a: Uint8Array, b: Uint8Array): number => Math.sign(Buffer.compare(a, b));

describe('keys', () => {
  it('gives every kind its own byte, name and size', () => {
    const kinds = Object.values(keys.KeyKind);
    expect(new Set(kinds).size).toBe(kinds.length);
    const specs = kinds.map((kind) => keys.KEY_SPECS[kind]);
    expect(new Set(specs.map(({ name }) => name)).size).toBe(kinds.length);
    for (const spec of specs) expect(spec.minBytes).toBeLessThanOrEqual(spec.maxBytes);
  });

  it('keeps what is on disk where it is', () => {
    expect(keys.formatKey().toString('hex')).toBe('01');
    expect(keys.batchKey(258).toString('hex')).toBe('020000000000000102');
    expect(keys.appliedKey(3).toString('hex')).toBe('0300000003');
    expect(keys.indexDropKey(3, 9).toString('hex')).toBe('040000000300000009');
    expect(keys.indexKey(3, 9, 2 ** 32).toString('hex')).toBe('1000000003000000090000000100000000');
    const group = keys.tableKey(keys.KeyKind.group, 1, Buffer.from('ab'));
    expect(group.toString('hex')).toBe('25000000016162');
  });

  it('orders index rows by shard, queue, offset', () => {
    const place = fc.tuple(shardId, shardId, offset);
    fc.assert(
      fc.property(place, place, (a, b) => {
        const numbers = a.map((value, at) => value - (b[at] as number));
        const expected = Math.sign(numbers.find((difference) => difference !== 0) ?? 0);
        expect(compare(keys.indexKey(...a), keys.indexKey(...b))).toBe(expected);
      }),
    );
  });

  it('holds exactly the keys of one shard in its range', () => {
    const anyKey = fc.uint8Array({ maxLength: 12 });
    fc.assert(
      fc.property(shardId, shardId, anyKey, (shard, other, rest) => {
        const range = keys.kindRange(keys.KeyKind.producer, shard);
        const key = keys.tableKey(keys.KeyKind.producer, other, rest);
        const inside = compare(range.from, key) <= 0 && compare(key, range.before) < 0;
        expect(inside).toBe(shard === other);
      }),
    );
  });

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(shardId, shardId, offset, (shard, queueId, number) => {
        const decoded = keys.decodeKey(keys.indexKey(shard, queueId, number));
        expect(decoded).toMatchObject({ kind: keys.KeyKind.queueIndex, shard, queueId, number });
        expect(keys.decodeKey(keys.batchKey(number)).number).toBe(number);
      }),
    );
    const table = keys.decodeKey(keys.tableKey(keys.KeyKind.meta, 0, Buffer.from('x')));
    expect(Buffer.from(table.rest).toString()).toBe('x');
  });

  it('refuses keys that nobody here writes', () => {
    for (const hex of ['', '00', 'ff00', '0200', '10000000030000000900000001000000', '2500']) {
      expect(() => keys.decodeKey(Buffer.from(hex, 'hex'))).toThrow(
        expect.objectContaining({ code: 'DATA_LOSS' }),
      );
    }
    const tooLarge = keys.indexKey(1, 1, 0).fill(0xff, 9);
    expect(() => keys.decodeKey(tooLarge)).toThrow('exceeds 2^53');
    expect(() => keys.indexKey(1, 1, -1)).toThrow('not an unsigned safe integer');
    expect(() => keys.indexKey(1, 1, 2 ** 53)).toThrow('not an unsigned safe integer');
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyHash, queueOfKey } from '../../../src/client/hash.ts';
import { protoDirectory } from '../../../src/package-root.ts';

describe('keyHash', () => {
  it('gives the published test vectors', () => {
    const readme = readFileSync(join(protoDirectory(), 'README.md'), 'utf8');
    const rows = [...readme.matchAll(/^\| (\(empty\)|`[^`]+`) \| (\d+) \| (\d+) \| (\d+) \|/gm)];
    expect(rows.length).toBeGreaterThan(5);
    for (const [, cell = '', hash, ofThree, ofSix] of rows) {
      const text = cell === '(empty)' ? '' : cell.slice(1, -1);
      expect([keyHash(text), queueOfKey(text, 3), queueOfKey(text, 6)]).toEqual(
        [hash, ofThree, ofSix].map(Number),
      );
    }
  });

  it('spreads sequential keys evenly', () => {
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 7000; i++) counts[queueOfKey(`order-${i}`, 7)]! += 1;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

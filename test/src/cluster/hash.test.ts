import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { keyHash } from '../../../src/cluster/hash.ts';

/** [text, hash, queue of 3, queue of 6, shard of 12], as published. */
function publishedVectors(): [string, number, number, number, number][] {
  const page = readFileSync(new URL('../../../proto/README.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^\| (.+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$/gm);
  return Array.from(rows, ([, label, ...numbers]) => {
    const [hash, of3, of6, shard] = numbers.map(Number);
    return [textOf(label!), hash!, of3!, of6!, shard!];
  });
}

function textOf(label: string): string {
  if (label === '(empty)') return '';
  const repeated = /^`(.)`, ([\d,]+) times$/.exec(label);
  if (repeated !== null) return repeated[1]!.repeat(Number(repeated[2]!.replace(',', '')));
  return label.slice(1, -1);
}

describe('keyHash', () => {
  it('gives the published values', () => {
    const vectors = publishedVectors();
    expect(vectors.length).toBe(9);
    for (const [text, hash, of3, of6, shard] of vectors) {
      const found = keyHash(text);
      expect([text, found, found % 3, found % 6, 1 + (found % 12)]).toEqual([
        text,
        hash,
        of3,
        of6,
        shard,
      ]);
    }
  });

  it('spreads keys that differ in their last digit evenly', () => {
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i += 1) counts[keyHash(`order-${i}`) % 6]! += 1;
    for (const count of counts) expect(count).toBeGreaterThan(850);
  });
});

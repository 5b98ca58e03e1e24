import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/nearest.ts';

describe('nearest', () => {
  it.each([
    ['electionTimeout', 'electionTimeoutMs'],
    ['lsiten', 'listen'],
    ['DATA', 'data'],
    ['paters', 'peers'],
    ['completelyElse', undefined],
    ['', undefined],
  ])('%s → %s', (word, expected) => {
    expect(nearest(word, ['electionTimeoutMs', 'listen', 'data', 'peers'])).toBe(expected);
  });

  it('knows nothing of nothing', () => {
    expect(nearest('a', [])).toBeUndefined();
  });
});

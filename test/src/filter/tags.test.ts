import { describe, expect, test } from 'vitest';
import { tagsOf } from '../../../src/filter/tags.ts';

describe('tags', () => {
  test.each([
    ['paid', ['paid']],
    ['paid || sent||  back ', ['paid', 'sent', 'back']],
    ['two words || Zürich', ['two words', 'Zürich']],
    ['*', ['*']],
    [' * ', ['*']],
  ])('%j', (text, tags) => {
    expect([...tagsOf(text)]).toEqual(tags);
  });

  test.each([
    ['', 1, 'a tag is missing'],
    ['  ', 1, 'a tag is missing'],
    ['a ||', 5, 'a tag is missing'],
    ['|| a', 1, 'a tag is missing'],
    ['a || || b', 5, 'a tag is missing'],
    ['a | b', 3, 'separated by `||`'],
    ['a ||| b', 5, 'separated by `||`'],
    ['a || *', 6, 'stands alone'],
    ['😀 | b', 3, 'separated by `||`'],
  ])('%j is refused', (text, position, what) => {
    expect(() => tagsOf(text)).toThrow(
      expect.objectContaining({
        reason: 'INVALID_FILTER',
        message: expect.stringContaining(what),
        metadata: { position: String(position) },
      }),
    );
  });
});

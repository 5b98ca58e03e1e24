import { describe, expect, test } from 'vitest';
import {
  checkedId,
  checkedNumber,
  int64,
  isName,
  parseTransactionId,
  transactionIdText,
} from '../../src/convert.ts';

const refused = (reason: string) => expect.objectContaining({ reason });

describe('numbers', () => {
  test('int64 from text: exact to 2^53 - 1, refused beyond and below 0', () => {
    expect(int64('offset', '9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
    expect(int64('offset', '0')).toBe(0);
    expect(int64('offset', undefined)).toBe(0);
    for (const text of ['9007199254740992', '-1', '9223372036854775807', '-9223372036854775808']) {
      expect(() => int64('offset', text)).toThrow(refused('NUMBER_OUT_OF_RANGE'));
    }
    expect(() => int64('offset', '1e3')).toThrow(refused('MALFORMED_REQUEST'));
    expect(() => int64('offset', true)).toThrow(refused('MALFORMED_REQUEST'));
  });

  test('the text of the error has the field and the value', () => {
    expect(() => checkedNumber('queue', -3)).toThrow('queue is -3');
    expect(() => checkedNumber('queue', 8, 7)).toThrow('between 0 and 7');
    expect(() => int64('at_ms', '9007199254740993')).toThrow('9007199254740993');
  });
});

describe('names', () => {
  test.each(['a', 'A.b_c-9', 'x'.repeat(127), '...'])('%s is one', (name) => {
    expect(isName(name)).toBe(true);
  });
  test.each(['', '.', '..', 'a/b', 'ü', 'a b', 'a\n', 'x'.repeat(128), '../etc'])(
    '%j is none',
    (name) => {
      expect(isName(name)).toBe(false);
    },
  );

  test('ids are bounded in bytes, not characters', () => {
    expect(checkedId('producer_id', 'x'.repeat(64))).toHaveLength(64);
    expect(() => checkedId('producer_id', 'ü'.repeat(33))).toThrow('66 bytes');
  });
});

describe('transaction ids', () => {
  test('round trip; anything else is a caller’s own', () => {
    const name = { shard: 3, term: 12, index: 456 };
    expect(parseTransactionId(transactionIdText(name))).toEqual(name);
    for (const text of ['hf.1.2', 'hf.1.2.3.4', 'hf.a.2.3', 'order-17', 'HF.1.2.3']) {
      expect(parseTransactionId(text)).toBeUndefined();
    }
  });
});

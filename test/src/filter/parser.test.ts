import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FILTER_LIMITS } from '../../../src/filter/limits.ts';
import { parseFilter } from '../../../src/filter/parser.ts';
import { CallError } from '../../../src/status.ts';

function refusalOf(text: string): CallError {
  try {
    parseFilter(text);
  } catch (error) {
    if (error instanceof CallError) return error;
    throw error;
  }
  throw new Error(`not refused: ${text}`);
}

const { maxFilterConditions, maxFilterDepth } = FILTER_LIMITS;

describe('a filter that is none is refused with its place', () => {
  test.each([
    ['', 1, 'a property, text, a number, NOT or "(" expected, it ends'],
    ['   ', 4, 'it ends'],
    ['a >', 4, 'it ends'],
    ['a > b >', 7, 'AND, OR or the end expected, found ">"'],
    ['a b', 3, 'AND, OR or the end expected, found "b"'],
    ['(a = 1', 7, ') expected, it ends'],
    ['a = 1)', 6, 'found ")"'],
    ["a > 'x'", 5, 'only numbers have an order'],
    ['TRUE < a', 1, 'only numbers have an order'],
    ["'x' = 'x'", 1, 'two constants'],
    ['1 = 1', 1, 'two constants'],
    ["'x'", 4, 'a comparison expected, it ends'],
    ['7 AND a', 3, 'a comparison expected, found "AND"'],
    ['a = NULL', 5, 'found "NULL"'],
    ['a IS 1', 6, 'NULL expected, found "1"'],
    ['5 IS NULL', 1, 'a property expected'],
    ['a IN ()', 7, 'text in single quotes expected, found ")"'],
    ['a IN (1)', 7, 'text in single quotes expected, found "1"'],
    ["a IN ('x' 'y')", 11, '"," or ")" expected'],
    ["'x' IN ('x')", 1, 'a property expected'],
    ['a BETWEEN 5 AND 4', 11, 'the lower number first'],
    ["a BETWEEN 'x' AND 'y'", 11, 'only numbers have an order'],
    ['a BETWEEN 1', 12, 'AND expected, it ends'],
    ['5 BETWEEN 1 AND 9', 1, 'a property expected'],
    ['a NOT', 6, 'BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH expected'],
    ['a NOT b', 7, 'BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH expected'],
    ["a LIKE 'x%'", 3, 'found "LIKE"'],
    ['a CONTAINS b', 12, 'text in single quotes expected'],
    ['a = "x"', 5, 'text stands in single quotes'],
    ['a != 1', 3, 'write `<>`'],
    ["a = 'x", 5, 'no closing quote'],
    ["a = 'x''", 5, 'no closing quote'],
    ['a = 12abc', 7, 'a number ends with a letter'],
    ['a = -b', 6, 'a number expected, found "b"'],
    ['a = 1 # b', 7, '"#" has no meaning'],
    ["name = '😀' § 1", 12, '"§" has no meaning'],
  ])('%s', (text, position, what) => {
    const error = refusalOf(text);
    expect(error.reason).toBe('INVALID_FILTER');
    expect(error.message).toContain(`at character ${position}:`);
    expect(error.message).toContain(what);
    expect(error.metadata).toEqual({ position: String(position) });
  });

  test('too deep, by parentheses or NOT', () => {
    for (const [open, close] of [
      ['(', ')'],
      ['NOT ', ''],
    ] as const) {
      const nested = (depth: number) => `${open.repeat(depth)}a${close.repeat(depth)}`;
      expect(() => parseFilter(nested(maxFilterDepth))).not.toThrow();
      const position = open.length * maxFilterDepth + 1;
      const { message } = refusalOf(nested(maxFilterDepth + 1));
      expect(message).toContain(`character ${position}: more than ${maxFilterDepth}`);
    }
    // Beside one another, not within.
    expect(() => parseFilter(`${'(a) AND '.repeat(maxFilterConditions - 1)}(a)`)).not.toThrow();
  });

  test('too many conditions', () => {
    const chain = (count: number) => Array(count).fill('a').join(' OR ');
    expect(() => parseFilter(chain(maxFilterConditions))).not.toThrow();
    expect(refusalOf(chain(maxFilterConditions + 1)).message).toContain('maxFilterConditions');
  });
});

test('what it is made of', () => {
  expect(parseFilter("a=1 or TAGS in ('x','it''s') and not b between -2 and .5e1")).toEqual({
    names: ['a', 'TAGS', 'b'],
    expression: {
      type: 'or',
      of: [
        { type: 'equal', left: field(0), right: number(1) },
        {
          type: 'and',
          of: [
            { type: 'in', field: 1, texts: ['x', "it's"] },
            {
              type: 'not',
              of: {
                type: 'and',
                of: [
                  { type: 'order', order: '>=', left: field(2), right: number(-2) },
                  { type: 'order', order: '<=', left: field(2), right: number(5) },
                ],
              },
            },
          ],
        },
      ],
    },
  });
});

const field = (at: number) => expect.objectContaining({ type: 'field', field: at });
const number = (value: number) => expect.objectContaining({ type: 'number', value });

const WORDS = [
  ...["'", "'x'", '(', ')', ',', '=', '<>', '<', '>=', '-', '1', '2.5', 'a', 'TAGS', ' '],
  ...['AND', 'OR', 'NOT', 'IN', 'IS', 'NULL', 'BETWEEN', 'TRUE', 'CONTAINS', '😀', '\0', '"'],
];

test('noise is parsed or refused with a place within it', () => {
  const noise = fc.array(fc.constantFrom(...WORDS), { maxLength: 40 }).map((all) => all.join(' '));
  fc.assert(
    fc.property(fc.oneof(noise, fc.string({ unit: 'binary', maxLength: 80 })), (text) => {
      try {
        parseFilter(text);
      } catch (error) {
        expect(error).toBeInstanceOf(CallError);
        const position = Number((error as CallError).metadata.position);
        expect(position).toBeGreaterThanOrEqual(1);
        expect(position).toBeLessThanOrEqual([...text].length + 1);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['quotes', "'"],
  ['pairs of quotes', "''"],
  ['digits', '1'],
  ['exponents', '1e'],
  ['parentheses', '('],
  ['NOTs', 'NOT '],
  ['spaces', ' '],
  ['words', 'a OR '],
])('4,096 bytes of %s take no time', (_, piece) => {
  const text = piece.repeat(4096 / piece.length);
  const begun = performance.now();
  for (let i = 0; i < 20; i += 1) expect(() => parseFilter(text)).toThrow(CallError);
  expect(performance.now() - begun).toBeLessThan(2000);
});

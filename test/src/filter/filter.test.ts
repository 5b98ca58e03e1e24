import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CompiledFilters, compileFilter } from '../../../src/filter/filter.ts';
import { FILTER_LIMITS } from '../../../src/filter/limits.ts';
import { encoded, type Fields } from './encoded.ts';

const [TAG, SQL] = [1, 2];

function matches(type: number, expression: string, message: Fields): boolean {
  const bytes = encoded(message);
  const filter = compileFilter({ type, expression });
  return filter === undefined || filter.matches(bytes, 0, bytes.length);
}

const sql = (expression: string, properties: Record<string, string>, tag = '') =>
  matches(SQL, expression, { properties, tag });

describe('by tag', () => {
  test.each([
    ['a || b', 'a', true],
    ['a || b', 'b', true],
    ['a || b', 'ab', false],
    ['a || b', 'A', false],
    ['a', '', false],
    ['*', '', true],
    ['*', 'a', true],
  ])('%s: %j is %s', (expression, tag, expected) => {
    expect(matches(TAG, expression, { tag, properties: { a: 'a' } })).toBe(expected);
  });

  test('`*` needs no filter at all', () => {
    expect(compileFilter({ type: TAG, expression: '*' })).toBeUndefined();
    expect(compileFilter(undefined)).toBeUndefined();
  });
});

describe('by SQL', () => {
  test.each([
    ['a > 5', { a: '6' }, true],
    ['a > 5', { a: '5' }, false],
    ['a >= 5.0', { a: '5' }, true],
    ['a < 10', { a: '9' }, true],
    ['5 < a', { a: '6' }, true],
    ['a < b', { a: '9', b: '10' }, true],
    ['a = 1', { a: '1.0' }, true],
    ['a = 1e2', { a: '100' }, true],
    ['a = -1', { a: '-1' }, true],
    ["a = '1'", { a: '1.0' }, false],
    ["a = 'it''s'", { a: "it's" }, true],
    ["a <> 'x'", { a: 'y' }, true],
    ["a <> 'x'", { a: 'x' }, false],
    ['a = b', { a: 'x', b: 'x' }, true],
    ['a BETWEEN 1 AND 3', { a: '3' }, true],
    ['a BETWEEN 1 AND 3', { a: '3.01' }, false],
    ['a NOT BETWEEN 1 AND 3', { a: '4' }, true],
    ['a BETWEEN b AND 3', { a: '2', b: '2' }, true],
    ["a IN ('x', 'y')", { a: 'y' }, true],
    ["a NOT IN ('x', 'y')", { a: 'z' }, true],
    ["a NOT IN ('x', 'y')", { a: 'x' }, false],
    ['a IS NULL', {}, true],
    ['a IS NULL', { a: '' }, false],
    ['a IS NOT NULL', { a: '' }, true],
    ["a CONTAINS 'b'", { a: 'abc' }, true],
    ["a NOT CONTAINS 'b'", { a: 'abc' }, false],
    ["a STARTSWITH 'ab'", { a: 'abc' }, true],
    ["a ENDSWITH 'ab'", { a: 'abc' }, false],
    ['a', { a: 'True' }, true],
    ['NOT a', { a: 'false' }, true],
    ['a = FALSE', { a: 'false' }, true],
    ['a <> TRUE', { a: 'false' }, true],
    ['TRUE', {}, true],
    ['FALSE', {}, false],
    ['not false', {}, true],
    ['NOT a = 1', { a: '2' }, true],
    ["a = 1 OR b = 'x' AND c = 1", { a: '1', b: 'y', c: '2' }, true],
    ["(a = 1 OR b = 'x') AND c = 1", { a: '1', b: 'y', c: '2' }, false],
  ])('%s of %j is %s', (expression, properties, expected) => {
    expect(sql(expression, properties as Record<string, string>)).toBe(expected);
  });

  test('TAGS is the tag', () => {
    expect(sql("TAGS = 'paid'", {}, 'paid')).toBe(true);
    expect(sql("TAGS = 'paid'", { TAGS: 'paid' }, 'sent')).toBe(false);
    expect(sql('TAGS IS NULL', {})).toBe(true);
    expect(sql("tags = 'paid'", {}, 'paid')).toBe(false);
  });

  test.each([
    ['a > 5', {}],
    ['a > 5', { a: 'abc' }],
    ['a = 0', { a: '' }],
    ['a = 16', { a: '0x10' }],
    ['a = 5', { a: ' 5' }],
    ["a = 'x'", {}],
    ["a IN ('x')", {}],
    ["a CONTAINS 'x'", {}],
    ['a = b', { a: 'x' }],
    ['a = TRUE', { a: 'yes' }],
    ['a BETWEEN 1 AND 2', { a: 'x' }],
  ])('unknown, and so is NOT of it: %s of %j', (expression, properties) => {
    const has = properties as Record<string, string>;
    expect(sql(expression, has)).toBe(false);
    expect(sql(`NOT (${expression})`, has)).toBe(false);
    // What is known decides where it can.
    expect(sql(`TRUE OR (${expression})`, has)).toBe(true);
    expect(sql(`(${expression}) OR TRUE`, has)).toBe(true);
    expect(sql(`NOT (FALSE AND (${expression}))`, has)).toBe(true);
    expect(sql(`TRUE AND (${expression})`, has)).toBe(false);
    expect(sql(`NOT (FALSE OR (${expression}))`, has)).toBe(false);
  });
});

/** As a person would work it out, from a tree of their own. */
type Tree =
  | { readonly sql: string; readonly of: (message: Fields) => boolean | null }
  | { readonly not: Tree }
  | { readonly all: readonly Tree[] }
  | { readonly any: readonly Tree[] };

function textOf(tree: Tree): string {
  if ('sql' in tree) return tree.sql;
  if ('not' in tree) return `NOT (${textOf(tree.not)})`;
  const parts = 'all' in tree ? tree.all : tree.any;
  return `(${parts.map(textOf).join('all' in tree ? ' AND ' : ' OR ')})`;
}

function truthOf(tree: Tree, message: Fields): boolean | null {
  if ('sql' in tree) return tree.of(message);
  if ('not' in tree) {
    const value = truthOf(tree.not, message);
    return value === null ? null : !value;
  }
  const values = ('all' in tree ? tree.all : tree.any).map((one) => truthOf(one, message));
  const decisive = 'any' in tree;
  if (values.includes(decisive)) return decisive;
  return values.includes(null) ? null : !decisive;
}

const NAMES = ['a', 'b', 'TAGS', '$long_Name9'];
const VALUES = ['', '0', '1', '2', '-1.5', 'x', 'xy', "it's", 'true', 'FALSE', 'Zürich', '1e1'];
const valueIn = ({ properties = {}, tag = '' }: Fields, name: string): string | undefined =>
  name === 'TAGS' ? tag || undefined : properties[name];
const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
const numeric = (text: string | undefined) => (text && text.trim() !== '' ? Number(text) : NaN);

const leaf = fc
  .tuple(
    fc.constantFrom(...NAMES),
    fc.constantFrom(...VALUES),
    fc.nat(6),
    fc.integer({ min: -2, max: 11 }),
  )
  .map(([name, value, kind, number]): Tree => {
    const when = (test: (text: string) => boolean | null) => (message: Fields) => {
      const text = valueIn(message, name);
      return text === undefined ? null : test(text);
    };
    const counted = (test: (found: number) => boolean) =>
      when((text) => (Number.isNaN(numeric(text)) ? null : test(numeric(text))));
    const kinds: readonly Tree[] = [
      { sql: `${name} = ${quoted(value)}`, of: when((text) => text === value) },
      { sql: `${name} <> ${number}`, of: counted((found) => found !== number) },
      { sql: `${number} <= ${name}`, of: counted((found) => found >= number) },
      { sql: `${name} IS NULL`, of: (message) => valueIn(message, name) === undefined },
      { sql: `${name} IN (${quoted(value)}, 'x')`, of: when((t) => t === value || t === 'x') },
      { sql: `${name} NOT CONTAINS ${quoted(value)}`, of: when((text) => !text.includes(value)) },
      {
        sql: `${name} BETWEEN 0 AND ${Math.abs(number)}`,
        of: counted((found) => found >= 0 && found <= Math.abs(number)),
      },
    ];
    return kinds[kind]!;
  });

const { tree } = fc.letrec<{ tree: Tree }>((tie) => {
  const some = fc.array(tie('tree'), { minLength: 1, maxLength: 3 });
  return {
    tree: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      leaf,
      tie('tree').map((not) => ({ not })),
      some.map((all) => ({ all })),
      some.map((any) => ({ any })),
    ),
  };
});

const anyMessage: fc.Arbitrary<Fields> = fc.record({
  key: fc.constantFrom('', 'k'),
  tag: fc.constantFrom('', ...VALUES),
  properties: fc.dictionary(fc.constantFrom(...NAMES, 'other'), fc.constantFrom(...VALUES)),
  body: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
});

test('any expression keeps what a person would keep', () => {
  fc.assert(
    fc.property(tree, fc.array(anyMessage, { minLength: 1, maxLength: 4 }), (one, messages) => {
      const expression = textOf(one);
      const kept = messages.map((message) => matches(SQL, expression, message));
      expect(kept).toEqual(messages.map((message) => truthOf(one, message) === true));
    }),
    { numRuns: 1500 },
  );
});

describe('what is refused, and kept', () => {
  test('a type that is none, and a text that is too long', () => {
    for (const type of [0, 3, -1]) {
      const refused = () => compileFilter({ type, expression: 'a' });
      expect(refused).toThrow(expect.objectContaining({ reason: 'INVALID_FILTER' }));
    }
    const { maxFilterBytes } = FILTER_LIMITS;
    const fits = 'ü'.repeat(maxFilterBytes / 2);
    expect(compileFilter({ type: TAG, expression: fits })).toBeDefined();
    const refused = () => compileFilter({ type: TAG, expression: `${fits}x` });
    expect(refused).toThrow(/has 4097 bytes.*maxFilterBytes/);
  });

  test('compiled once, and not for ever', () => {
    const filters = new CompiledFilters();
    const first = filters.get({ type: SQL, expression: 'a' });
    expect(filters.get({ type: SQL, expression: 'a' })).toBe(first);
    expect(filters.get({ type: TAG, expression: 'a' })).not.toBe(first);
    for (let i = 0; i < 300; i += 1) filters.get({ type: TAG, expression: `t${i}` });
    expect(filters.get({ type: SQL, expression: 'a' })).not.toBe(first);
  });
});

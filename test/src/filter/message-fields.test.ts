import { describe, expect, test } from 'vitest';
import { MessageFields } from '../../../src/filter/message-fields.ts';
import { encoded, type Fields } from './encoded.ts';

/** A length-delimited field of a message. */
function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
}

function message(...fields: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(fields);
  return Buffer.concat([Buffer.from([0xc2, 0x3e, bytes.length]), bytes]);
}

function textsOf(bytes: Buffer, ...names: readonly string[]): (string | null)[] {
  const fields = new MessageFields(names);
  fields.read(bytes, 0, bytes.length);
  return names.map((_, at) => fields.text(at));
}

describe('fields of a message', () => {
  test('tag and properties by name, and nothing that it does not have', () => {
    const one: Fields = {
      ...{ key: 'k', tag: 'paid', body: Buffer.from('paid') },
      properties: { colour: 'röt', empty: '', TAGS: 'not the tag' },
    };
    const names = ['colour', 'TAGS', 'empty', 'body', 'key', 'color'];
    expect(textsOf(encoded(one), ...names)).toEqual(['röt', 'paid', '', null, null, null]);
    expect(textsOf(encoded({ body: Buffer.from('x') }), 'TAGS', 'a')).toEqual([null, null]);
  });

  test('nothing is left of the message before', () => {
    const fields = new MessageFields(['TAGS', 'a']);
    const first = encoded({ tag: 't', properties: { a: '1' } });
    fields.read(first, 0, first.length);
    const second = encoded({ body: Buffer.from('x') });
    fields.read(second, 0, second.length);
    expect([fields.text(0), fields.text(1), fields.has(0)]).toEqual([null, null, false]);
  });

  test('one of several in a batch', () => {
    const parts = [encoded({ tag: 'a' }), encoded({ tag: 'b' }), encoded({ tag: 'c' })] as const;
    const fields = new MessageFields(['TAGS']);
    const start = parts[0].length;
    fields.read(Buffer.concat(parts), start, start + parts[1].length);
    expect(fields.text(0)).toBe('b');
  });

  test('odd encodings mean what they mean to every decoder', () => {
    const entry = (...parts: readonly Buffer[]) => field(3, Buffer.concat(parts));
    const [a, one, two] = [field(1, 'a'), field(2, '1'), field(2, '2')];
    // The last one counts.
    expect(textsOf(message(entry(a, one), entry(a, two)), 'a')).toEqual(['2']);
    expect(textsOf(message(field(2, 'x'), field(2, 'y')), 'TAGS')).toEqual(['y']);
    expect(textsOf(message(field(2, 'x'), field(2, '')), 'TAGS')).toEqual([null]);
    // Value before key, no value, a key twice, fields of the future.
    expect(textsOf(message(entry(one, a)), 'a')).toEqual(['1']);
    expect(textsOf(message(entry(a)), 'a')).toEqual(['']);
    expect(textsOf(message(entry(field(1, 'b'), one, a)), 'a', 'b')).toEqual(['1', null]);
    const future = [field(9, 'a'), Buffer.from([0x50, 7]), Buffer.from([0x5d, 1, 2, 3, 4])];
    expect(textsOf(message(...future, entry(field(7, 'a'), a, two)), 'a')).toEqual(['2']);
  });
});

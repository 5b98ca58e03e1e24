import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter, LineTooLong } from '../../../src/cli/lines.ts';

function split(chunks: readonly Buffer[], max = 1000): string[] {
  const splitter = new LineSplitter(max);
  const lines = chunks.flatMap((chunk) => [...splitter.push(chunk)]);
  const rest = splitter.end();
  return [...lines, ...(rest === undefined ? [] : [rest])].map((line) => line.toString('latin1'));
}

describe('LineSplitter', () => {
  it('gives the same lines however the bytes are cut', () => {
    const texts = fc.array(fc.constantFrom('\n', '\r', 'a', 'bc', '\0'), { maxLength: 40 });
    fc.assert(
      fc.property(texts, fc.array(fc.nat(40), { maxLength: 5 }), (parts, cuts) => {
        const whole = Buffer.from(parts.join(''), 'latin1');
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const chunks = at.slice(1).map((end, i) => whole.subarray(at[i], end));
        const expected = whole.toString('latin1').split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(split(chunks)).toEqual(expected);
      }),
    );
  });

  it('refuses a line over the limit, by its number, before it is complete', () => {
    expect(split([Buffer.from('aaa\nbbb')], 3)).toEqual(['aaa', 'bbb']);
    const overrun = () => split([Buffer.from('aaa\nbb'), Buffer.from('bb')], 3);
    expect(overrun).toThrow(LineTooLong);
    expect(overrun).toThrow('line 2');
    expect(() => split([Buffer.from('aaaa\n')], 3)).toThrow('line 1');
  });
});

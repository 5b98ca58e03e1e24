import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Proto } from '../../../src/service/proto.ts';
import { encodeEndAnswer } from '../../../src/service/responses.ts';

const END = new Proto().method('/holdfast.v1.Transactions/End');

test('the generated decoder reads the answer to End as it was meant', () => {
  const part = fc.record({
    topic: fc.string({ unit: 'grapheme', maxLength: 12 }),
    queue: fc.nat(1000),
    baseOffset: fc.maxSafeNat(),
    count: fc.nat(100_000),
  });
  const answer = fc.record({ state: fc.nat(5), parts: fc.array(part, { maxLength: 3 }) });
  fc.assert(
    fc.property(answer, ({ state, parts }) => {
      const told = parts.map(({ baseOffset, ...others }) => {
        return { ...others, base_offset: String(baseOffset) };
      });
      const bytes = encodeEndAnswer({ state, parts });
      expect(END.responseDeserialize(bytes)).toEqual({ state, parts: told });
    }),
  );
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/sim/random.ts';
import { Wire } from '../../../src/sim/wire.ts';
import { anyMessage, plain } from '../peers/any-message.ts';

const anyMessages = fc.array(anyMessage, { minLength: 1, maxLength: 4 });

describe('messages as bytes', () => {
  it('are what was written, wherever the bytes are cut, each time anew', () => {
    fc.assert(
      fc.property(fc.nat(), anyMessages, (seed, messages) => {
        const wire = new Wire(new Random(seed));
        const bytes = wire.write(messages);
        const first = wire.read(bytes);
        const second = wire.read(bytes);
        expect(first.isBroken).toBe(false);
        expect(first.messages.map(plain)).toEqual(messages.map(plain));
        expect(second.messages.map(plain)).toEqual(messages.map(plain));
        expect(first.messages[0]).not.toBe(second.messages[0]);
      }),
    );
  });

  it('end the connection when a bit turned over', () => {
    fc.assert(
      fc.property(fc.nat(), anyMessages, (seed, messages) => {
        const wire = new Wire(new Random(seed));
        const bytes = wire.write(messages);
        const garbled = wire.garble(bytes);
        expect(garbled.equals(bytes)).toBe(false);
        expect(wire.read(garbled)).toEqual({ messages: [], isBroken: true });
      }),
    );
  });

  it('are not read to their end when the end is missing', () => {
    const wire = new Wire(new Random(1));
    const bytes = wire.write([{ type: 'alive', wallMs: 7 }]);
    expect(wire.read(bytes.subarray(0, bytes.length - 1)).isBroken).toBe(true);
  });
});

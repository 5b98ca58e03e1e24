import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeShardState, encodeShardState } from '../../storage/state-codec.ts';
import { shardState } from '../harness/log-builders.ts';

const id = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const ids = fc.array(id, { maxLength: 8 });
const optional = { requiredKeys: [] as [] };
const marks = fc.record({ suspect: fc.constant<true>(true) }, optional);
const modes = fc.record({ autoLeave: fc.constant<true>(true) }, optional);
const states = fc.record({
  hardState: fc.record({ term: id, vote: id, commit: id }, { noNullPrototype: true }),
  replica: id,
  logStart: fc.record({ index: id, term: id }, { noNullPrototype: true }),
  membership: fc.record({
    config: fc.record({ voters: ids, votersOutgoing: ids, learners: ids, learnersNext: ids }),
    replicas: fc.array(
      fc.record({ replica: id, node: id, incarnation: fc.string({ maxLength: 60 }) }),
      { maxLength: 8 },
    ),
  }),
});

describe('shard state codec', () => {
  it('gives back any state', () => {
    fc.assert(
      fc.property(states, marks, modes, (plain, mark, mode) => {
        const config = { ...plain.membership.config, ...mode };
        const state = { ...plain, membership: { ...plain.membership, config }, ...mark };
        const back = decodeShardState(encodeShardState(state));
        expect(JSON.stringify(back)).toBe(JSON.stringify(state));
      }),
    );
  });

  it('refuses every prefix and trailing bytes', () => {
    const bytes = encodeShardState(shardState({ term: 4, vote: 2, commit: 9 }));
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeShardState(bytes.subarray(0, length))).toThrow();
    }
    expect(() => decodeShardState(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(RangeError);
  });

  it('refuses another version', () => {
    const bytes = encodeShardState(shardState());
    bytes[0] = 9;
    expect(() => decodeShardState(bytes)).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_FORMAT' }),
    );
  });
});

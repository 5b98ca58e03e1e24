import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMembership, encodeMembership } from '../../raft/membership-codec.ts';
import type { Membership } from '../../raft/types.ts';
import { oneBitChangesOf, prefixesOf, readOrRefuse } from '../harness/damage.ts';
import { membershipOf } from '../harness/raft-cluster.ts';

const id = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 2 ** 53 - 1 }));
const ids = fc.uniqueArray(id, { maxLength: 5 });
const memberships: fc.Arbitrary<Membership> = fc.record({
  config: fc.record(
    {
      voters: ids,
      votersOutgoing: ids,
      learners: ids,
      learnersNext: ids,
      autoLeave: fc.constant(true as const),
    },
    { requiredKeys: ['voters', 'votersOutgoing', 'learners', 'learnersNext'] },
  ),
  replicas: fc.array(
    fc.record({
      replica: id,
      node: id,
      incarnation: fc.string({ unit: 'grapheme', maxLength: 8 }),
    }),
    { maxLength: 3 },
  ),
});

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
/** Nobody catches it: an entry whose CRC is right but that reads as nonsense stops the replica. */
const isRefusal = (error: unknown) => error instanceof Error;
const read = (bytes: Uint8Array) => readOrRefuse(decodeMembership, bytes, isRefusal);

describe('the body of a configuration entry (the CRC over it is the entry header’s)', () => {
  test('gives back what was encoded', () => {
    fc.assert(
      fc.property(memberships, (membership) => {
        expect(decodeMembership(encodeMembership(membership))).toEqual(membership);
      }),
    );
  });

  test('every prefix is refused', () => {
    fc.assert(
      fc.property(memberships, (membership) => {
        const prefixes = prefixesOf(encodeMembership(membership));
        expect(prefixes.map(read).filter((value) => value !== undefined)).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  test('every one-bit change is refused, or is another membership in every field', () => {
    fc.assert(
      fc.property(memberships, (membership) => {
        // As texts, and looked at together: thousands of expectations would take long.
        const mixed: string[] = [];
        for (const changed of oneBitChangesOf(encodeMembership(membership))) {
          const value = read(changed);
          if (value === undefined) continue;
          const text = JSON.stringify(value);
          if (JSON.stringify(decodeMembership(encodeMembership(value))) !== text) mixed.push(text);
        }
        expect(mixed).toEqual([]);
      }),
      { numRuns: 3 },
    );
  });

  const good = membershipOf([1, 2, 3]);
  test.each([
    ['nothing', null],
    ['a record without a configuration', { replicas: [] }],
    ['no voters', { ...good, config: { ...good.config, voters: undefined } }],
    ['voters that are texts', { ...good, config: { ...good.config, voters: ['1'] } }],
    ['voter 0', { ...good, config: { ...good.config, voters: [0] } }],
    ['half a learner', { ...good, config: { ...good.config, learners: [1.5] } }],
    ['a joint half left out', { ...good, config: { voters: [1], learners: [], learnersNext: [] } }],
    ['autoLeave that is no flag', { ...good, config: { ...good.config, autoLeave: 1 } }],
    ['no replicas', { config: good.config }],
    ['a replica without a node', { ...good, replicas: [{ replica: 1, incarnation: 'a' }] }],
    ['a replica without an incarnation', { ...good, replicas: [{ replica: 1, node: 1 }] }],
  ])('refuses %s', (_, value) => {
    expect(() => decodeMembership(encode(value))).toThrow();
  });
});

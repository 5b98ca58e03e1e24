import { expect, test } from 'vitest';
import { decodeMembership, encodeMembership } from '../../raft/membership-codec.ts';
import { membershipOf } from '../harness/raft-cluster.ts';

test('gives back what was encoded', () => {
  const membership = membershipOf([1, 2, 3]);
  expect(decodeMembership(encodeMembership(membership))).toEqual(membership);
});

test('refuses bytes that are no membership', () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  expect(() => decodeMembership(encode('{}'))).toThrow(/voters/);
  expect(() => decodeMembership(encode('{"config":{"voters":[]}}'))).toThrow(/replicas/);
  expect(() => decodeMembership(encode('{'))).toThrow();
});

/**
 * The body of a configuration entry: JSON, because it is rare, small and must stay readable for
 * `inspect`. Storage keeps its own format for the shard's facts.
 */
import { strict as assert } from 'node:assert';
import type { Membership } from './types.ts';

export function encodeMembership(membership: Membership): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(membership));
}

export function decodeMembership(head: Uint8Array): Membership {
  const membership = JSON.parse(new TextDecoder().decode(head)) as Membership;
  assert(Array.isArray(membership.config?.voters), 'a configuration entry names its voters');
  assert(Array.isArray(membership.replicas), 'a configuration entry names its replicas');
  return membership;
}

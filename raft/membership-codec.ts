/**
 * The body of a configuration entry: JSON, because it is rare, small and must stay readable for
 * `inspect`. Storage keeps its own format for the shard's facts. The entry's CRC covers it; what
 * is decoded is still checked field by field, for a wrong configuration would count wrong votes.
 */
import { strict as assert } from 'node:assert';
import type { Configuration, Membership, ReplicaAddress, ReplicaId } from './types.ts';

type Fields = Readonly<Record<string, unknown>>;

export function encodeMembership(membership: Membership): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(membership));
}

/** Throws on bytes that `encodeMembership` would not have written. */
export function decodeMembership(head: Uint8Array): Membership {
  const fields = record(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(head)));
  const { replicas } = fields;
  const config = configuration(record(fields.config));
  assert(Array.isArray(replicas), 'a configuration entry names its replicas');
  return { config, replicas: replicas.map(address) };
}

function configuration(fields: Fields): Configuration {
  const { autoLeave } = fields;
  assert(autoLeave === undefined || autoLeave === true, 'autoLeave is true or absent');
  const config = {
    voters: ids(fields, 'voters'),
    votersOutgoing: ids(fields, 'votersOutgoing'),
    learners: ids(fields, 'learners'),
    learnersNext: ids(fields, 'learnersNext'),
  };
  return autoLeave ? { ...config, autoLeave } : config;
}

function address(value: unknown): ReplicaAddress {
  const { replica, node, incarnation } = record(value);
  assert(isId(replica) && isId(node), 'a replica and its node have ids');
  assert(typeof incarnation === 'string', 'a replica names the incarnation of its directory');
  return { replica, node, incarnation };
}

function ids(fields: Fields, name: string): ReplicaId[] {
  const list = fields[name];
  assert(Array.isArray(list) && list.every(isId), `a configuration entry names its ${name}`);
  return list;
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function record(value: unknown): Fields {
  assert(typeof value === 'object' && value !== null, 'a configuration entry is a record');
  return value as Fields;
}

/**
 * Metadata commands and rows as JSON behind a version byte: they are rare, and readable in an
 * inspection. What is decoded is checked field by field, for it is replayed for ever.
 */
import type { Durability, QueueCompaction } from '../broker/commands.ts';
import { type AccessRule, orderedVerbs, RESOURCE_KINDS } from './access-api.ts';
import { DISK_LEVELS, type DiskLevel, type MetaCommand, type TopicConfig } from './api.ts';
import { QUOTA_NAMES, type Quota } from './quota-api.ts';

const VERSION = 1;

/** Bytes that are not what this version writes. */
export class MetaFormatError extends Error {
  override readonly name = 'MetaFormatError';
}

export function encodeMetaCommand(command: MetaCommand): Uint8Array {
  return encodeVersionedJson(command);
}

export function decodeMetaCommand(head: Uint8Array): MetaCommand {
  const fields = decodeVersionedJson(head);
  switch (fields.type) {
    case 'createTopic':
      return {
        type: 'createTopic',
        name: text(fields, 'name'),
        queueCount: count(fields, 'queueCount'),
        config: decodeConfig(record(fields, 'config')),
        ...ownerOf(fields),
      };
    case 'updateTopic':
      return decodeUpdateTopic(fields);
    case 'deleteTopic':
      return { type: 'deleteTopic', name: text(fields, 'name'), topicId: text(fields, 'topicId') };
    case 'topicOpened': {
      const topicId = text(fields, 'topicId');
      return { type: 'topicOpened', topicId, queueCount: count(fields, 'queueCount') };
    }
    case 'topicFenced': {
      const topicId = text(fields, 'topicId');
      return { type: 'topicFenced', topicId, minQueueEpoch: count(fields, 'minQueueEpoch') };
    }
    case 'topicClosed':
      return { type: 'topicClosed', topicId: text(fields, 'topicId') };
    case 'registerNode':
    case 'addMember':
      return {
        type: fields.type,
        node: count(fields, 'node'),
        incarnation: text(fields, 'incarnation'),
        grpcAddress: text(fields, 'grpcAddress'),
        peerAddress: text(fields, 'peerAddress'),
      };
    case 'reportDisk':
      return {
        type: 'reportDisk',
        node: count(fields, 'node'),
        incarnation: text(fields, 'incarnation'),
        level: diskLevel(fields.level),
      };
    case 'removeMember':
      return { type: 'removeMember', node: count(fields, 'node') };
    case 'rebalance':
      return { type: 'rebalance' };
    case 'setLeader':
      return { type: 'setLeader', shard: uint(fields, 'shard'), node: count(fields, 'node') };
    case 'replaceReplica': {
      const shard = uint(fields, 'shard');
      return { type: 'replaceReplica', shard, replica: count(fields, 'replica') };
    }
    case 'confirmVersion': {
      const shard = uint(fields, 'shard');
      return { type: 'confirmVersion', shard, version: uint(fields, 'version') };
    }
    case 'placed':
      return { type: 'placed', shard: uint(fields, 'shard'), version: uint(fields, 'version') };
    case 'raiseLevel':
      return { type: 'raiseLevel', level: count(fields, 'level') };
    case 'trim':
      return { type: 'trim', logTrim: uint(fields, 'logTrim') };
    default:
      return decodeAccessCommand(fields);
  }
}

function decodeAccessCommand(fields: JsonRecord): MetaCommand {
  switch (fields.type) {
    case 'grantAccess':
    case 'revokeAccess':
      return { type: fields.type, rule: decodeAccessRule(record(fields, 'rule')) };
    case 'revokePrincipal': {
      const principal = text(fields, 'principal');
      return { type: 'revokePrincipal', principal, issuedUntilMs: uint(fields, 'issuedUntilMs') };
    }
    case 'revokeToken':
      return { type: 'revokeToken', tokenId: text(fields, 'tokenId') };
    case 'setQuota':
      return { type: 'setQuota', quota: decodeQuota(record(fields, 'quota')) };
    case 'removeQuota':
      return { type: 'removeQuota', principal: text(fields, 'principal') };
    default:
      throw new MetaFormatError(`metadata command ${String(fields.type)} is not known here`);
  }
}

function decodeUpdateTopic(fields: JsonRecord): MetaCommand {
  return {
    type: 'updateTopic',
    name: text(fields, 'name'),
    topicId: text(fields, 'topicId'),
    queueCount: fields.queueCount === undefined ? undefined : count(fields, 'queueCount'),
    config: decodePartialConfig(record(fields, 'config')),
    ...(fields.drainedAtEpoch === undefined
      ? {}
      : { drainedAtEpoch: uint(fields, 'drainedAtEpoch') }),
  };
}

export type JsonRecord = Readonly<Record<string, unknown>>;

export function encodeVersionedJson(value: object): Uint8Array {
  const json = Buffer.from(JSON.stringify(value), 'utf8');
  const bytes = new Uint8Array(1 + json.length);
  bytes[0] = VERSION;
  bytes.set(json, 1);
  return bytes;
}

export function decodeVersionedJson(bytes: Uint8Array): JsonRecord {
  if (bytes[0] !== VERSION) throw new MetaFormatError(`version ${bytes[0]} is not known here`);
  const json = Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1);
  return asRecord(parse(json.toString('utf8')));
}

export function decodeConfig(fields: JsonRecord): TopicConfig {
  return {
    retentionMs: uint(fields, 'retentionMs'),
    retentionBytes: uint(fields, 'retentionBytes'),
    durability: durability(fields),
    ...laterConfig(fields),
    ...(fields.compaction === undefined ? {} : { compaction: compactionOf(fields) }),
  };
}

function compactionOf(fields: JsonRecord): QueueCompaction {
  const given = record(fields, 'compaction');
  return { minLagMs: uint(given, 'minLagMs'), tombstoneMs: uint(given, 'tombstoneMs') };
}

/** What earlier builds did not write: absent means the default. */
function laterConfig(fields: JsonRecord): Partial<TopicConfig> {
  const { diskPolicy, order, writes } = fields;
  if (order !== undefined && order !== 'normal' && order !== 'strict') {
    throw new MetaFormatError('order is not known here');
  }
  if (writes !== undefined && writes !== 'accepted' && writes !== 'refused') {
    throw new MetaFormatError('writes is not known here');
  }
  if (diskPolicy !== undefined && diskPolicy !== 'data' && diskPolicy !== 'availability') {
    throw new MetaFormatError('diskPolicy is not known here');
  }
  return {
    ...(fields.dedupWindowMs === undefined ? {} : { dedupWindowMs: uint(fields, 'dedupWindowMs') }),
    ...(order === undefined ? {} : { order }),
    ...(writes === undefined ? {} : { writes }),
    ...(diskPolicy === undefined ? {} : { diskPolicy }),
  };
}

export function decodeAccessRule(fields: JsonRecord): AccessRule {
  const kind = RESOURCE_KINDS.find((known) => known === fields.kind);
  const { isPrefix, verbs } = fields;
  if (kind === undefined || typeof isPrefix !== 'boolean' || !Array.isArray(verbs)) {
    throw new MetaFormatError('not an access rule');
  }
  const known = orderedVerbs(verbs);
  if (known.length < verbs.length) throw new MetaFormatError('a verb is not known here');
  const principal = text(fields, 'principal');
  return { principal, kind, name: text(fields, 'name'), isPrefix, verbs: known };
}

export function decodeQuota(fields: JsonRecord): Quota {
  const given = record(fields, 'limits');
  const names = QUOTA_NAMES.filter((name) => given[name] !== undefined);
  if (names.length < Object.keys(given).length) throw new MetaFormatError('not a quota');
  const limits = Object.fromEntries(names.map((name) => [name, uint(given, name)]));
  return { principal: text(fields, 'principal'), limits };
}

/** Of a topic that counts against a quota. */
export function ownerOf(fields: JsonRecord): { readonly owner?: string } {
  return fields.owner === undefined ? {} : { owner: text(fields, 'owner') };
}

export function diskLevel(value: unknown): DiskLevel {
  const level = DISK_LEVELS.find((known) => known === value);
  if (level === undefined) throw new MetaFormatError('the level of a disk is not known here');
  return level;
}

export function text(fields: JsonRecord, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new MetaFormatError(`${name} is not a text`);
  return value;
}

export function uint(fields: JsonRecord, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new MetaFormatError(`${name} is not an unsigned integer`);
  }
  return value;
}

/** A topic without queues would never become active; ids of nodes and replicas count from 1. */
export function count(fields: JsonRecord, name: string): number {
  const value = uint(fields, name);
  if (value === 0) throw new MetaFormatError(`${name} is zero`);
  return value;
}

export function record(fields: JsonRecord, name: string): JsonRecord {
  return asRecord(fields[name]);
}

export function asRecord(value: unknown): JsonRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MetaFormatError('not a record');
  }
  return value as JsonRecord;
}

function decodePartialConfig(fields: JsonRecord): Partial<TopicConfig> {
  return {
    ...(fields.retentionMs === undefined ? {} : { retentionMs: uint(fields, 'retentionMs') }),
    ...(fields.retentionBytes === undefined
      ? {}
      : { retentionBytes: uint(fields, 'retentionBytes') }),
    ...(fields.durability === undefined ? {} : { durability: durability(fields) }),
    ...laterConfig(fields),
  };
}

function durability(fields: JsonRecord): Durability {
  const level = uint(fields, 'durability');
  if (level !== 1 && level !== 2 && level !== 3 && level !== 4) {
    throw new MetaFormatError(`durability ${level} is not known here`);
  }
  return level;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new MetaFormatError('not JSON', { cause });
  }
}

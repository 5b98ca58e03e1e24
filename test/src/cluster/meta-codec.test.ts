import { describe, expect, it } from 'vitest';
import type { MetaCommand } from '../../../src/cluster/api.ts';
import {
  decodeMetaCommand,
  encodeMetaCommand,
  encodeVersionedJson,
  MetaFormatError,
} from '../../../src/cluster/meta-codec.ts';
import { oneBitChangesOf, readOrRefuse } from '../../harness/damage.ts';

const config = { retentionMs: 1000, retentionBytes: 0, durability: 1 } as const;
const addressed = {
  node: 2,
  incarnation: 'ab12',
  grpcAddress: '127.0.0.1:7402',
  peerAddress: '127.0.0.1:7502',
};

const everyOrder = { principal: 'app', kind: 'topic', name: 'orders', isPrefix: true } as const;

const commands: MetaCommand[] = [
  { type: 'createTopic', name: 'orders', queueCount: 3, config },
  {
    type: 'createTopic',
    name: 'latest',
    queueCount: 1,
    config: { ...config, compaction: { minLagMs: 0, tombstoneMs: 9 } },
  },
  { type: 'createTopic', name: 'owned', queueCount: 1, config, owner: 'app' },
  { type: 'updateTopic', name: 'orders', topicId: '', queueCount: undefined, config: {} },
  {
    type: 'updateTopic',
    name: 'orders',
    topicId: '7',
    queueCount: 5,
    config: { retentionMs: 0, retentionBytes: 9, durability: 4, diskPolicy: 'availability' },
  },
  { type: 'deleteTopic', name: 'orders', topicId: '7' },
  { type: 'topicOpened', topicId: '7', queueCount: 3 },
  { type: 'topicClosed', topicId: '7' },
  { type: 'trim', logTrim: 12 },
  { type: 'registerNode', ...addressed },
  { type: 'reportDisk', node: 2, incarnation: 'ab12', level: 'critical' },
  { type: 'addMember', ...addressed },
  { type: 'removeMember', node: 2 },
  { type: 'rebalance' },
  { type: 'setLeader', shard: 0, node: 2 },
  { type: 'replaceReplica', shard: 3, replica: 4 },
  { type: 'confirmVersion', shard: 0, version: 0 },
  { type: 'placed', shard: 0, version: 0 },
  { type: 'raiseLevel', level: 2 },
  { type: 'grantAccess', rule: { ...everyOrder, verbs: ['produce', 'fetch'] } },
  { type: 'revokeAccess', rule: { ...everyOrder, kind: 'cluster', verbs: ['admin'] } },
  { type: 'revokePrincipal', principal: 'app', issuedUntilMs: 1_700_000_000_000 },
  { type: 'revokeToken', tokenId: 't-1' },
  { type: 'setQuota', quota: { principal: '*', limits: { topics: 0, requestsPerSecond: 9 } } },
  { type: 'removeQuota', principal: 'app' },
];

describe('metadata commands', () => {
  it.each(commands)('come back as they went: $type', (command) => {
    expect(decodeMetaCommand(encodeMetaCommand(command))).toEqual(command);
  });

  it('are refused when cut short anywhere', () => {
    for (const command of commands) {
      const bytes = encodeMetaCommand(command);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(() => decodeMetaCommand(bytes.subarray(0, length))).toThrow(MetaFormatError);
      }
    }
  });

  // No checksum of its own: the entry's header has one over it.
  it('with any bit turned are refused, or are another command that stays itself', () => {
    const isRefusal = (error: unknown) => error instanceof MetaFormatError;
    for (const command of commands) {
      for (const bytes of oneBitChangesOf(encodeMetaCommand(command))) {
        const read = readOrRefuse(decodeMetaCommand, bytes, isRefusal);
        if (read === undefined) continue;
        expect(decodeMetaCommand(encodeMetaCommand(read))).toEqual(read);
      }
    }
  });

  it.each([
    { type: 'somethingElse' },
    { type: 'topicClosed' },
    { type: 'registerNode', ...addressed, node: -1 },
    { type: 'registerNode', ...addressed, node: 1.5 },
    { type: 'addMember', ...addressed, incarnation: 7 },
    { type: 'removeMember', node: 0 },
    { type: 'replaceReplica', shard: 1, replica: 0 },
    { type: 'createTopic', name: 'a', queueCount: 0, config },
    { type: 'createTopic', name: 'a', queueCount: 1, config: { ...config, durability: 5 } },
    { type: 'createTopic', name: 'a', queueCount: 1, config: { ...config, compaction: {} } },
    { type: 'createTopic', name: 'a', queueCount: 1, config: { ...config, compaction: null } },
    [],
  ])('are refused when a field is wrong: %j', (fields) => {
    expect(() => decodeMetaCommand(encodeVersionedJson(fields))).toThrow(MetaFormatError);
  });

  it('are refused in another version', () => {
    const bytes = encodeMetaCommand(commands[0]!);
    bytes[0] = 2;
    expect(() => decodeMetaCommand(bytes)).toThrow('version 2');
  });
});

import { describe, expect, it } from 'vitest';
import type { MetaCommand } from '../../../src/cluster/api.ts';
import {
  decodeMetaCommand,
  encodeMetaCommand,
  encodeVersionedJson,
  MetaFormatError,
} from '../../../src/cluster/meta-codec.ts';

const config = { retentionMs: 1000, retentionBytes: 0, durability: 1 } as const;
const commands: MetaCommand[] = [
  { type: 'createTopic', name: 'orders', queueCount: 3, config },
  { type: 'updateTopic', name: 'orders', topicId: '', queueCount: undefined, config: {} },
  {
    type: 'updateTopic',
    name: 'orders',
    topicId: '7',
    queueCount: 5,
    config: { retentionMs: 0, retentionBytes: 9, durability: 4 },
  },
  { type: 'deleteTopic', name: 'orders', topicId: '7' },
  { type: 'topicOpened', topicId: '7', queueCount: 3 },
  { type: 'topicClosed', topicId: '7' },
  { type: 'trim', logTrim: 12 },
  { type: 'registerNode', node: 2, address: '127.0.0.1:7402' },
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

  it.each([
    { type: 'somethingElse' },
    { type: 'topicClosed' },
    { type: 'registerNode', node: -1, address: 'x' },
    { type: 'registerNode', node: 1.5, address: 'x' },
    { type: 'createTopic', name: 'a', queueCount: 0, config },
    { type: 'createTopic', name: 'a', queueCount: 1, config: { ...config, durability: 5 } },
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

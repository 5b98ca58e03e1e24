import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../src/broker/bytes.ts';
import { decodeCommand, encodeCommand } from '../../../src/broker/command-codec.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { anyCommand } from '../../harness/commands.ts';
import { oneBitChangesOf, prefixesOf } from '../../harness/damage.ts';

function isReadable(bytes: Uint8Array): boolean {
  try {
    decodeCommand(bytes);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return false;
  }
}

describe('command codec', () => {
  it('gives back every command', () => {
    fc.assert(
      fc.property(anyCommand, (command) => {
        expect(decodeCommand(encodeCommand(command))).toEqual(command);
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses every prefix and everything longer', () => {
    fc.assert(
      fc.property(anyCommand, fc.nat(255), (command, extra) => {
        const bytes = encodeCommand(command);
        const others = [...prefixesOf(bytes), Uint8Array.of(...bytes, extra)];
        expect(others.filter(isReadable)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  // No checksum of its own: the entry's header has one over it.
  it('reads every one-bit change as nothing, or as a command that stays itself', () => {
    fc.assert(
      fc.property(anyCommand, (command) => {
        for (const bytes of oneBitChangesOf(encodeCommand(command))) {
          if (!isReadable(bytes)) continue;
          const read = decodeCommand(bytes);
          expect(decodeCommand(encodeCommand(read))).toEqual(read);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('keeps the bytes that logs already hold', () => {
    const golden: [Command, string][] = [
      [
        {
          type: 'produce',
          queueId: 300,
          count: 2,
          durability: 1,
          producer: { producerId: 'p1', producerEpoch: 3, sequence: 128 },
        },
        '0101ac0202010102703103' + '8001',
      ],
      [{ type: 'openQueue', queueId: 1, topicId: '7', queue: 2 }, '020101013702'],
      [{ type: 'closeQueue', queueId: 1 }, '030101'],
      [
        {
          type: 'prepare',
          producerGroup: 'g',
          callerId: '',
          topic: 't',
          queueId: 1,
          count: 1,
          firstCheckAfterMs: 6000,
          checkIntervalMs: 30_000,
        },
        '0401016700017401' + '01f02eb0ea01',
      ],
      [
        {
          type: 'end',
          producerGroup: 'g',
          transaction: { by: 'id', id: { term: 1, index: 2 } },
          decision: 'unknown',
        },
        '0501016700010202',
      ],
      [
        {
          type: 'leaseChecks',
          producerGroup: 'g',
          transactions: [{ term: 1, index: 2 }],
          leaseMs: 5,
        },
        '060101670501' + '0102',
      ],
      [
        { type: 'commitOffsets', group: 'g', topicId: '7', offsets: [{ queue: 0, offset: 9 }] },
        '070101670137010009',
      ],
      [{ type: 'resetOffsets', group: 'g', topicId: '7', offsets: [] }, '08010167013700'],
      [{ type: 'forgetTopic', topicId: '7' }, '09010137'],
      [{ type: 'fenceQueue', queueId: 1, minQueueEpoch: 300 }, '330101ac02'],
      [
        { type: 'trim', queues: [{ queueId: 1, startOffset: 2, startIndex: 3 }], logTrim: 2 },
        '0a010201010203',
      ],
    ];
    for (const [command, hex] of golden) {
      expect(Buffer.from(encodeCommand(command)).toString('hex')).toBe(hex);
    }
  });

  it('refuses kinds and versions that it does not know', () => {
    expect(() => decodeCommand(Uint8Array.of(99, 1))).toThrow('kind 99');
    expect(() => decodeCommand(Uint8Array.of(0, 1))).toThrow('kind 0');
    expect(() => decodeCommand(Uint8Array.of(3, 2, 1))).toThrow('version 2');
    expect(() => decodeCommand(Uint8Array.of(1, 1, 1, 0, 1, 0))).toThrow('without messages');
    expect(() => decodeCommand(Uint8Array.of(1, 1, 1, 1, 5, 0))).toThrow('durability 5');
  });
});

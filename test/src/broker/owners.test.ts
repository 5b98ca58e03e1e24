/** Transactions and members belong to the principal that made them, also after a restart. */
import { describe, expect, it } from 'vitest';
import { decodeCommand, encodeCommand } from '../../../src/broker/command-codec.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

const HALF = {
  type: 'prepare',
  ...{ producerGroup: 'g', topic: 't', queueId: 1, count: 1 },
  ...{ firstCheckAfterMs: 100, checkIntervalMs: 100 },
} as const;
const PART = { shard: 1, topic: 't', queueId: 1, queue: 1, count: 1 };
const MANY = {
  type: 'begin',
  ...{ producerGroup: 'g', callerId: 'many', offsets: undefined },
  ...{ firstCheckAfterMs: 100, checkIntervalMs: 100, maxChecks: 15, parts: [PART] },
} as const;
const JOIN = {
  type: 'joinGroup',
  ...{ group: 'c', memberId: 'm', instanceId: '', clientName: '' },
  mode: 'cluster',
  ...{ sessionMs: 1000, isNamedHere: false },
  topics: [{ topicId: '7', name: 't', queueCount: 2 }],
} as const;
const of = (principal: string) => ({ principal });

function half(test: ShardFixture, callerId: string, principal?: string) {
  const result = test.apply({ ...HALF, callerId, ...(principal ? { principal } : {}) }, 10);
  if (result.type !== 'prepared') throw new Error(JSON.stringify(result));
  return result.id;
}

function shard(): ShardFixture {
  const test = new ShardFixture();
  test.open(1);
  return test;
}

function refusalOf(test: ShardFixture, command: Command): string | undefined {
  const result = test.apply(command);
  return result.type === 'refused' ? result.refusal.reason : undefined;
}

describe('a transaction', () => {
  it('is ended by nobody but who prepared it', () => {
    for (const reloads of [false, true]) {
      const made = shard();
      const id = half(made, '', 'app');
      const begun = made.apply({ ...MANY, ...of('app') });
      expect(begun.type).toBe('prepared');
      const test = reloads ? made.reloaded() : made;
      const end = {
        type: 'end',
        producerGroup: 'g',
        decision: 'commit',
        transaction: { by: 'id', id },
      } as const;
      expect(refusalOf(test, { ...end, ...of('other') })).toBe('TRANSACTION_FOREIGN');
      const many = { ...end, transaction: { by: 'caller', callerId: 'many' } } as const;
      expect(refusalOf(test, { ...many, decision: 'rollback', ...of('other') })).toBe(
        'TRANSACTION_FOREIGN',
      );
      expect(test.apply({ ...end, ...of('app') })).toMatchObject({ state: 'committed' });
      expect(refusalOf(test, { ...end, ...of('other') })).toBe('TRANSACTION_FOREIGN');
      const byOperator = { ...many, decision: 'rollback', by: 'operator', ...of('root') } as const;
      expect(test.apply(byOperator)).toMatchObject({ state: 'rolledBack' });
    }
  });

  it('is ended by anybody of its group where nobody was asked, then or now', () => {
    const test = shard();
    const old = half(test, '');
    const own = half(test, '', 'app');
    const end = { type: 'end', producerGroup: 'g', decision: 'commit' } as const;
    const ended = { state: 'committed' };
    const first = { ...end, transaction: { by: 'id', id: old }, ...of('app') } as const;
    expect(test.apply(first)).toMatchObject(ended);
    expect(test.apply({ ...end, transaction: { by: 'id', id: own } })).toMatchObject(ended);
  });

  it('keeps its name from others of the group', () => {
    const test = shard();
    half(test, 'mine', 'app');
    test.apply({ ...MANY, ...of('app') });
    expect(test.apply({ ...HALF, callerId: 'mine', ...of('app') }, 10)).toMatchObject({
      duplicate: true,
    });
    const foreign = { ...HALF, callerId: 'mine', ...of('other') };
    expect(refusalOf(test, foreign)).toBe('TRANSACTION_ID_REUSED');
    expect(refusalOf(test, { ...MANY, ...of('other') })).toBe('TRANSACTION_ID_REUSED');
    expect(test.apply({ ...MANY, ...of('app') })).toMatchObject({ duplicate: true });
  });

  it('is asked about to nobody else, and to a node for its webhooks', () => {
    const made = shard();
    const ids = [half(made, '', 'a'), half(made, '', 'b'), half(made, ''), half(made, '', 'a')];
    for (const { state } of [made, made.reloaded()]) {
      const due = (principal?: string, limit = 9) => state.dueChecks('g', 9999, limit, principal);
      expect(due('a')).toEqual([ids[0], ids[2], ids[3]]);
      expect(due('b')).toEqual([ids[1], ids[2]]);
      expect(due('c')).toEqual([ids[2]]);
      expect(due()).toEqual(ids);
      expect(due('a', 2)).toEqual([ids[0], ids[2]]);
      expect(state.nextCheckAtMs('g', 'c')).toBe(1100);
      expect(state.nextCheckAtMs('h', 'a')).toBeUndefined();
    }
    made.apply({ type: 'leaseChecks', producerGroup: 'g', transactions: [ids[2]!], leaseMs: 1 });
    made.timeMs = 1100;
    const lease = { type: 'leaseChecks', producerGroup: 'g', leaseMs: 500 } as const;
    made.apply({ ...lease, transactions: [ids[2]!] });
    expect(made.state.nextCheckAtMs('g', 'c')).toBe(1600);
    expect(made.state.nextCheckAtMs('g', 'a')).toBe(1100);
  });
});

describe('a member of a group', () => {
  it('is no one else’s to join as, or to commit as', () => {
    for (const reloads of [false, true]) {
      const made = shard();
      const { generation } = made.apply({ ...JOIN, ...of('app') }) as { generation: number };
      const test = reloads ? made.reloaded() : made;
      expect(refusalOf(test, { ...JOIN, ...of('other') })).toBe('MEMBER_FOREIGN');
      const commit = (principal: string) =>
        ({
          type: 'commitOffsets',
          ...{ group: 'c', topicId: '7' },
          offsets: [{ queue: 0, offset: 1 }],
          member: { memberId: 'm', generation, principal },
        }) as const;
      expect(refusalOf(test, commit('other'))).toBe('MEMBER_UNKNOWN');
      const moved = { queue: 0, from: undefined, offset: 1 };
      const prepare = {
        type: 'prepareOffsets',
        ...{ group: 'c', generation, memberId: 'm' },
        transaction: { shard: 2, term: 1, index: 9 },
        topics: [{ topicId: '7', offsets: [moved] }],
      } as const;
      expect(refusalOf(test, { ...prepare, ...of('other') })).toBe('MEMBER_UNKNOWN');
      expect(refusalOf(test, commit('app'))).toBeUndefined();
    }
  });
});

describe('commands with a principal', () => {
  const end = { type: 'end', producerGroup: 'g', decision: 'unknown' } as const;
  const byId = { transaction: { by: 'id', id: { term: 1, index: 2 } } } as const;
  const parts = [{ ...PART, queueEpoch: 4 }, PART];
  const commands: Command[] = [
    { ...HALF, callerId: '', maxChecks: 15, ...of('a') },
    { ...HALF, callerId: '', maxChecks: 3, queueEpoch: 4, ...of('a') },
    { ...MANY, ...of('a') },
    { ...MANY, parts, ...of('a') },
    { ...end, ...byId, ...of('a') },
    { ...end, ...byId, by: 'operator', ...of('a') },
    { ...JOIN, ...of('a') },
    {
      type: 'commitOffsets',
      ...{ group: 'c', topicId: '7', offsets: [] },
      member: { memberId: 'm', generation: 3, principal: 'a' },
    },
    {
      type: 'prepareOffsets',
      ...{ group: 'c', generation: 3, memberId: 'm', topics: [] },
      ...{ transaction: { shard: 2, term: 1, index: 9 }, principal: 'a' },
    },
  ];

  it.each(commands)('come back as they went: $type', (command) => {
    expect(decodeCommand(encodeCommand(command))).toEqual(command);
  });

  it('have a layout of their own: without one it is the layout of before', () => {
    for (const command of commands) {
      const { principal: _, ...rest } = command as { principal?: string };
      const plain = rest as Command;
      if (plain.type === 'commitOffsets') continue;
      expect(encodeCommand(plain)[1]).toBeLessThan(encodeCommand(command)[1]!);
      expect(decodeCommand(encodeCommand(plain))).toEqual(plain);
    }
  });
});

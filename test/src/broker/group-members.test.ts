import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../../src/broker/commands.ts';
import type { GroupMode } from '../../../src/broker/group-commands.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

interface JoinOptions {
  readonly queues?: number;
  readonly mode?: GroupMode;
  readonly topicIds?: readonly string[];
  readonly group?: string;
  readonly instanceId?: string;
  readonly isNamedHere?: boolean;
}

function join(test: ShardFixture, memberId: string, options: JoinOptions = {}): ApplyResult {
  const { queues = 4, mode = 'cluster', topicIds = ['7'], group = 'g' } = options;
  const { instanceId = '1', isNamedHere = false } = options;
  const topics = topicIds.map((topicId) => ({ topicId, name: `t${topicId}`, queueCount: queues }));
  const member = { memberId, instanceId, clientName: 'c', sessionMs: 10_000, mode, isNamedHere };
  return test.apply({ type: 'joinGroup', group, ...member, topics });
}

function leave(test: ShardFixture, ...names: string[]): ApplyResult {
  const joinedIn = (name: string) => test.state.membership('g')?.members.get(name)?.joinedIn ?? 0;
  const members = names.map((memberId) => ({ memberId, joinedIn: joinedIn(memberId) }));
  return test.apply({ type: 'leaveGroup', group: 'g', members, reason: 'left' });
}

function acknowledge(test: ShardFixture, memberId: string, generation?: number): ApplyResult {
  const known = generation ?? test.state.membership('g')!.generation;
  return test.apply({ type: 'acknowledgeGroup', group: 'g', memberId, generation: known });
}

function commit(
  test: ShardFixture,
  offsets: Record<number, number>,
  member?: { memberId: string; generation: number },
): ApplyResult {
  const list = Object.entries(offsets).map(([queue, offset]) => ({ queue: Number(queue), offset }));
  const command = { type: 'commitOffsets', group: 'g', topicId: '7', offsets: list } as const;
  return test.apply(member === undefined ? command : { ...command, member });
}

const generation = (test: ShardFixture) => test.state.membership('g')!.generation;
const owners = (test: ShardFixture, topicId = '7') =>
  test.state
    .membership('g')!
    .topics.get(topicId)!
    .queues.map(({ owner }) => owner);
const next = (test: ShardFixture, topicId = '7') =>
  test.state
    .membership('g')!
    .topics.get(topicId)!
    .queues.map((queue) => queue.next);

describe('a group', () => {
  it('begins with its first member, who has everything', () => {
    const test = new ShardFixture();
    expect(join(test, 'a')).toEqual({ type: 'joined', generation: 1 });
    for (const { state } of [test, test.reloaded()]) {
      const group = state.membership('g')!;
      expect(group.topics.get('7')!.queues.every(({ owner }) => owner === 'a')).toBe(true);
      expect(state.groupEpoch('g')).toBe(1);
      expect(state.groupNames('', 10)).toEqual(['g']);
      expect(state.counts()).toMatchObject({ groups: 1, groupMembers: 1, groupQueues: 4 });
    }
  });

  it('a repeated join changes nothing; another process behind the name, or topics, do', () => {
    const test = new ShardFixture();
    join(test, 'a');
    expect(join(test, 'a')).toEqual({ type: 'joined', generation: 1 });
    expect(join(test, 'a', { instanceId: '2' })).toEqual({ type: 'joined', generation: 3 });
    join(test, 'a', { instanceId: '2', topicIds: ['7', '8'] });
    for (const { state } of [test, test.reloaded()]) {
      expect([...state.membership('g')!.topics.keys()]).toEqual(['7', '8']);
      expect(state.membership('g')!.members.get('a')).toMatchObject({ joinedIn: 3 });
      expect(state.counts()).toMatchObject({ groupMembers: 1, groupQueues: 8 });
    }
  });

  it('keeps a topic that is not wanted any more until its reader has let go of it', () => {
    const test = new ShardFixture();
    join(test, 'a', { topicIds: ['7', '8'] });
    join(test, 'b', { topicIds: ['8'] });
    join(test, 'a', { topicIds: ['8'] });
    expect(owners(test)).toEqual(['a', 'a', 'a', 'a']);
    join(test, 'b', { topicIds: ['7', '8'] });
    expect(owners(test)).toEqual(['a', 'a', 'a', 'a']);
    acknowledge(test, 'a');
    expect(owners(test)).toEqual(['b', 'b', 'b', 'b']);
    join(test, 'b', { topicIds: ['8'] });
    acknowledge(test, 'b');
    for (const { state } of [test, test.reloaded()]) {
      expect([...state.membership('g')!.topics.keys()]).toEqual(['8']);
      expect(state.counts()).toMatchObject({ groupQueues: 4 });
    }
  });

  it('moves a queue only when its owner has acknowledged that', () => {
    const test = new ShardFixture();
    join(test, 'a');
    join(test, 'b');
    expect(owners(test)).toEqual(['a', 'a', 'a', 'a']);
    expect(next(test)).toEqual(['a', 'a', 'b', 'b']);
    // What it has read may still be committed, in the new generation.
    expect(commit(test, { 2: 5 }, { memberId: 'a', generation: 2 }).type).toBe('offsets');
    expect(acknowledge(test, 'a', 1)).toEqual({ type: 'joined', generation: 2 });
    expect(owners(test)[2]).toBe('a');
    // The hand-over is no new generation, so that nobody else's commits fail of it.
    expect(acknowledge(test, 'a', 2)).toEqual({ type: 'joined', generation: 2 });
    for (const twin of [test, test.reloaded()]) {
      expect(owners(twin)).toEqual(['a', 'a', 'b', 'b']);
      expect(twin.state.membership('g')).toMatchObject({ generation: 2, table: 5 });
    }
    expect(commit(test, { 2: 6 }, { memberId: 'a', generation: 2 })).toMatchObject({
      refusal: { reason: 'STALE_GENERATION', queue: 2, generation: 2 },
    });
    expect(commit(test, { 2: 6 }, { memberId: 'b', generation: 2 }).type).toBe('offsets');
  });

  it('an acknowledgement of an older generation, or of one to come, hands nothing over', () => {
    const test = new ShardFixture();
    join(test, 'a');
    join(test, 'b');
    acknowledge(test, 'a', 99);
    expect(owners(test)).toEqual(['a', 'a', 'a', 'a']);
    acknowledge(test, 'a', 2);
    join(test, 'c');
    // What was taken away later is not given up by somebody who knows generation 2.
    const before = owners(test);
    expect(next(test)).not.toEqual(before);
    acknowledge(test, 'a', 2);
    acknowledge(test, 'b', 2);
    expect(owners(test)).toEqual(before);
  });

  it('gives at once what somebody had who left, but not by a late word of a former life', () => {
    const test = new ShardFixture();
    join(test, 'a');
    join(test, 'b');
    join(test, 'a', { instanceId: '2' });
    const late = [{ memberId: 'a', joinedIn: 1 }];
    const gone = { type: 'leaveGroup', group: 'g', members: late, reason: 'silent' } as const;
    expect(test.apply(gone)).toEqual({ type: 'left', count: 0 });
    expect(owners(test)).toEqual(['a', 'a', 'a', 'a']);
    expect(leave(test, 'a', 'nobody')).toEqual({ type: 'left', count: 1 });
    for (const twin of [test, test.reloaded()]) expect(owners(twin)).toEqual(['b', 'b', 'b', 'b']);
    expect(leave(test, 'a')).toEqual({ type: 'left', count: 0 });
  });

  it('leaves with the owner what was on its way to somebody who left', () => {
    const test = new ShardFixture();
    join(test, 'a');
    join(test, 'b');
    leave(test, 'b');
    expect(owners(test)).toEqual(['a', 'a', 'a', 'a']);
    expect(next(test)).toEqual(['a', 'a', 'a', 'a']);
    const mine = { memberId: 'a', generation: generation(test) };
    expect(commit(test, { 0: 1, 3: 1 }, mine).type).toBe('offsets');
  });

  it('grows with its topics, and forgets those that are gone', () => {
    const test = new ShardFixture();
    join(test, 'a', { topicIds: ['7', '8'] });
    const grown = [
      { topicId: '7', queueCount: 6 },
      { topicId: '99', queueCount: 3 },
    ];
    test.apply({ type: 'changeGroup', group: 'g', topics: grown });
    expect(owners(test)).toHaveLength(6);
    expect(generation(test)).toBe(2);
    test.apply({ type: 'changeGroup', group: 'g', topics: grown });
    expect(generation(test)).toBe(2);
    test.apply({ type: 'forgetTopic', topicId: '7' });
    for (const { state } of [test, test.reloaded()]) {
      expect(state.membership('g')!.members.get('a')!.topicIds).toEqual(['8']);
      expect([...state.membership('g')!.topics.keys()]).toEqual(['8']);
      expect(state.membership('g')!.generation).toBe(4);
      expect(state.counts()).toMatchObject({ groupQueues: 4 });
    }
  });

  it('takes a stale, smaller queue count for what it is', () => {
    const test = new ShardFixture();
    join(test, 'a', { queues: 5 });
    join(test, 'b', { queues: 3 });
    expect(next(test)).toHaveLength(5);
  });

  it('is deleted when it is empty, and only then; no generation or epoch comes again', () => {
    const test = new ShardFixture();
    const drop = () => test.apply({ type: 'deleteGroup', group: 'g' });
    expect(drop()).toMatchObject({ refusal: { reason: 'GROUP_NOT_FOUND' } });
    join(test, 'a');
    const first = generation(test);
    commit(test, { 0: 3 }, { memberId: 'a', generation: first });
    expect(drop()).toMatchObject({ refusal: { reason: 'GROUP_HAS_MEMBERS', members: 1 } });
    leave(test, 'a');
    expect(test.state.groupOffsets('g', '7')).toHaveLength(1);
    expect(drop()).toEqual({ type: 'done' });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.state.groupEpoch('g')).toBeUndefined();
      expect(twin.state.membership('g')).toBeUndefined();
      expect(twin.state.counts()).toMatchObject({ groups: 0, groupOffsets: 0, groupQueues: 0 });
      join(twin, 'a');
      expect(generation(twin)).toBeGreaterThan(first);
      expect(twin.state.groupEpoch('g')).toBe(2);
    }
    const late = commit(test, { 0: 9 }, { memberId: 'a', generation: first });
    expect(late).toMatchObject({ refusal: { reason: 'STALE_GENERATION' } });
  });
});

describe('commits of a group with members', () => {
  it('without a generation are refused, and taken again when the last one left', () => {
    const test = new ShardFixture();
    expect(commit(test, { 0: 1 }).type).toBe('offsets');
    join(test, 'a');
    expect(commit(test, { 0: 2 })).toMatchObject({
      refusal: { reason: 'GROUP_HAS_MEMBERS', members: 1 },
    });
    leave(test, 'a');
    expect(commit(test, { 0: 2 }).type).toBe('offsets');
  });

  it('of an older generation, of no member, of a foreign queue or topic are refused', () => {
    const test = new ShardFixture();
    join(test, 'a');
    join(test, 'b', { topicIds: ['8'] });
    expect(commit(test, { 0: 1 }, { memberId: 'a', generation: 1 })).toMatchObject({
      refusal: { reason: 'STALE_GENERATION', generation: 2, given: 1 },
    });
    expect(commit(test, { 9: 1 }, { memberId: 'a', generation: 2 })).toMatchObject({
      refusal: { reason: 'STALE_GENERATION', queue: 9 },
    });
    expect(commit(test, { 0: 1 }, { memberId: 'b', generation: 2 })).toMatchObject({
      refusal: { reason: 'STALE_GENERATION', queue: 0 },
    });
    expect(commit(test, { 0: 1 }, { memberId: 'c', generation: 2 })).toMatchObject({
      refusal: { reason: 'MEMBER_UNKNOWN', memberId: 'c' },
    });
    expect(test.state.groupOffsets('g', '7')).toEqual([]);
  });

  it('after a reset wait until the member has seen it: no old position undoes the reset', () => {
    const test = new ShardFixture();
    join(test, 'a');
    commit(test, { 0: 5, 1: 5 }, { memberId: 'a', generation: 1 });
    const offsets = [{ queue: 0, offset: 2 }];
    test.apply({ type: 'resetOffsets', group: 'g', topicId: '7', offsets });
    expect(commit(test, { 0: 6 }, { memberId: 'a', generation: 1 }).type).toBe('refused');
    const mine = { memberId: 'a', generation: generation(test) };
    join(test, 'b', { topicIds: ['8'] });
    for (const twin of [test, test.reloaded()]) {
      const now = { ...mine, generation: generation(twin) };
      expect(commit(twin, { 0: 6 }, now)).toMatchObject({ refusal: { queue: 0 } });
      expect(commit(twin, { 1: 6 }, now).type).toBe('offsets');
      acknowledge(twin, 'a');
      expect(commit(twin, { 0: 3 }, now).type).toBe('offsets');
    }
  });
});

describe('broadcast', () => {
  it('gives every queue to everybody, each with offsets of its own', () => {
    const test = new ShardFixture();
    join(test, 'a', { mode: 'broadcast' });
    join(test, 'b', { mode: 'broadcast' });
    join(test, 'c', { mode: 'broadcast', isNamedHere: true });
    for (const [memberId, offset] of [
      ['a', 5],
      ['b', 3],
      ['c', 1],
    ] as const) {
      expect(commit(test, { 0: offset }, { memberId, generation: 3 }).type).toBe('offsets');
    }
    const offsets = [{ queue: 0, offset: 1 }];
    const reset = { type: 'resetOffsets', group: 'g', topicId: '7', offsets } as const;
    expect(test.apply(reset)).toMatchObject({ refusal: { reason: 'GROUP_HAS_MEMBERS' } });
    // A name of their own may come back; one of ours never does.
    leave(test, 'a', 'c');
    for (const { state } of [test, test.reloaded()]) {
      expect(state.groupOffsets('g@a', '7')).toEqual([{ queue: 0, offset: 5 }]);
      expect(state.groupOffsets('g@b', '7')).toEqual([{ queue: 0, offset: 3 }]);
      expect(state.groupOffsets('g@c', '7')).toEqual([]);
      expect(state.groupNames('', 9)).toEqual(['g']);
    }
    leave(test, 'b');
    test.apply(reset);
    expect(test.state.groupOffsets('g@b', '7')).toEqual(offsets);
    test.apply({ type: 'deleteGroup', group: 'g' });
    expect(test.state.counts()).toMatchObject({ groups: 0, groupOffsets: 0 });
  });

  it('and cluster do not mix; an empty group may change', () => {
    const test = new ShardFixture();
    join(test, 'a', { mode: 'broadcast' });
    expect(join(test, 'b')).toMatchObject({
      refusal: { reason: 'GROUP_MODE', mode: 'broadcast' },
    });
    leave(test, 'a');
    expect(join(test, 'b').type).toBe('joined');
    expect(owners(test)).toEqual(['b', 'b', 'b', 'b']);
  });
});

describe('any history of joins, leaves and acknowledgements', () => {
  const step = fc.record({ kind: fc.nat(5), member: fc.nat(4), known: fc.nat(3) });

  /** `held` = what members believe: the queues of the last generation that they were told. */
  it('never lets two members own a queue, and ends balanced', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const test = new ShardFixture();
        const held = new Map<string, Set<number>>();
        const learn = (memberId: string): void => {
          const mine = owners(test).flatMap((owner, queue) =>
            owner === memberId && next(test)[queue] === memberId ? [queue] : [],
          );
          held.set(memberId, new Set(mine));
        };
        let last = 0;
        for (const { kind, member, known } of steps) {
          const memberId = `m${member}`;
          if (kind < 2) {
            join(test, memberId, { queues: 5 + (kind === 0 ? known : 0) });
            if (!held.has(memberId)) held.set(memberId, new Set());
          } else if (!held.has(memberId)) continue;
          else if (kind === 2) {
            leave(test, memberId);
            held.delete(memberId);
          } else {
            // Told of a generation, it stops reading what it lost, and only then acknowledges.
            const told = Math.max(1, generation(test) - (kind === 3 ? 0 : known));
            if (told === generation(test)) learn(memberId);
            acknowledge(test, memberId, told);
            if (told === generation(test)) learn(memberId);
          }
          expect(generation(test)).toBeGreaterThanOrEqual(last);
          last = generation(test);
          const all = [...held.values()].flatMap((queues) => [...queues]);
          expect(new Set(all).size).toBe(all.length);
        }
        const members = [...held.keys()];
        if (members.length === 0) return;
        for (const memberId of members) acknowledge(test, memberId);
        expect(owners(test)).toEqual(next(test));
        const sizes = members.map((one) => owners(test).filter((owner) => owner === one).length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        // Whoever began with the rows, in whatever order, does the same from here on.
        const twin = test.reloaded();
        for (const one of [test, twin]) {
          leave(one, members[0]!);
          join(one, 'late', { queues: 9 });
        }
        expect(twin.state.membership('g')).toEqual(test.state.membership('g'));
      }),
    );
  });
});

import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../../src/broker/commands.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

type Offsets = Record<number, number>;

function run(
  test: ShardFixture,
  type: 'commitOffsets' | 'resetOffsets',
  offsets: Offsets,
  topicId = '7',
  group = 'g',
): ApplyResult {
  const list = Object.entries(offsets).map(([queue, offset]) => ({ queue: Number(queue), offset }));
  return test.apply({ type, group, topicId, offsets: list });
}

describe('committed offsets', () => {
  it('begin with the first commit', () => {
    const test = new ShardFixture();
    expect(test.state.groupEpoch('g')).toBeUndefined();
    expect(run(test, 'commitOffsets', { 1: 5, 0: 3 })).toEqual({ type: 'offsets', epoch: 1 });
    for (const { state } of [test, test.reloaded()]) {
      expect(state.groupEpoch('g')).toBe(1);
      expect(state.groupOffsets('g', '7')).toEqual([
        { queue: 0, offset: 3 },
        { queue: 1, offset: 5 },
      ]);
      expect(state.groupOffsets('g', '8')).toEqual([]);
      expect(state.groupOffsets('other', '7')).toEqual([]);
      expect(state.counts()).toMatchObject({ groups: 1, groupOffsets: 2 });
    }
  });

  it('never fall, and are committed all or none', () => {
    const test = new ShardFixture();
    run(test, 'commitOffsets', { 0: 3, 1: 5 });
    expect(run(test, 'commitOffsets', { 0: 9, 1: 4 })).toEqual({
      type: 'refused',
      refusal: { reason: 'OFFSET_FALLS', queue: 1, current: 5, given: 4 },
    });
    expect(test.state.groupOffsets('g', '7')[0]).toEqual({ queue: 0, offset: 3 });
    expect(run(test, 'commitOffsets', { 0: 3, 1: 6 })).toMatchObject({ type: 'offsets' });
    expect(test.state.groupOffsets('g', '7')[1]).toEqual({ queue: 1, offset: 6 });
    const twice = [
      { queue: 0, offset: 8 },
      { queue: 0, offset: 7 },
    ];
    test.apply({ type: 'commitOffsets', group: 'g', topicId: '7', offsets: twice });
    expect(test.state.groupOffsets('g', '7')[0]).toEqual({ queue: 0, offset: 8 });
  });

  it('go back only by a reset, which raises the epoch', () => {
    const test = new ShardFixture();
    expect(run(test, 'resetOffsets', { 0: 0 })).toEqual({
      type: 'refused',
      refusal: { reason: 'GROUP_NOT_FOUND', group: 'g' },
    });
    run(test, 'commitOffsets', { 0: 9 });
    expect(run(test, 'resetOffsets', { 0: 2, 3: 4 })).toEqual({ type: 'offsets', epoch: 2 });
    for (const { state } of [test, test.reloaded()]) {
      expect(state.groupEpoch('g')).toBe(2);
      expect(state.groupOffsets('g', '7')).toEqual([
        { queue: 0, offset: 2 },
        { queue: 3, offset: 4 },
      ]);
    }
    expect(run(test, 'commitOffsets', { 0: 3 })).toEqual({ type: 'offsets', epoch: 2 });
  });

  it('go with their topic, in every group', () => {
    const test = new ShardFixture();
    run(test, 'commitOffsets', { 0: 1, 1: 1 }, '7', 'g');
    run(test, 'commitOffsets', { 0: 1 }, '8', 'g');
    run(test, 'commitOffsets', { 0: 1 }, '7', 'h');
    test.apply({ type: 'forgetTopic', topicId: '7' });
    for (const { state } of [test, test.reloaded()]) {
      expect(state.groupOffsets('g', '7')).toEqual([]);
      expect(state.groupOffsets('h', '7')).toEqual([]);
      expect(state.groupOffsets('g', '8')).toEqual([{ queue: 0, offset: 1 }]);
      expect(state.counts()).toMatchObject({ groups: 2, groupOffsets: 1 });
    }
  });
});

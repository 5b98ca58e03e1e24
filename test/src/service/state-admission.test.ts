import { describe, expect, test } from 'vitest';
import type { DataShard } from '../../../src/broker/api.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import {
  refuseCommand,
  refuseKeys,
  refuseTransaction,
} from '../../../src/service/state-admission.ts';

function shard(counts: Partial<ReturnType<DataShard['counts']>>): DataShard {
  return {
    counts: () => ({ producers: 0, transactions: 0, groups: 0, groupOffsets: 0, ...counts }),
    groupEpoch: (group: string) => (group === 'old' ? 1 : undefined),
    groupOffsets: (group: string) => (group === 'old' ? [{ queue: 0, offset: 1 }] : []),
  } as unknown as DataShard;
}

const commit = (group: string, queue: number): Command => {
  return { type: 'commitOffsets', group, topicId: '1', offsets: [{ queue, offset: 5 }] };
};

describe('admission to the replicated state', () => {
  test('transactions up to the limit', () => {
    const { maxUndecidedTransactions: most } = DATA_SHARD_LIMITS;
    expect(refuseTransaction(shard({ transactions: most - 1 }))).toBeUndefined();
    const refused = refuseTransaction(shard({ transactions: most }));
    expect(refused).toMatchObject({ reason: 'SHARD_STATE_FULL' });
    expect(refused?.message).toContain('maxUndecidedTransactions');
  });

  test('new groups up to the limit; a known one may go on', () => {
    const full = shard({ groups: DATA_SHARD_LIMITS.maxGroups });
    expect(refuseCommand(full, commit('old', 0))).toBeUndefined();
    expect(refuseCommand(full, commit('new', 0))?.message).toContain('maxGroups');
  });

  test('new offsets up to the limit; a known one may move', () => {
    const full = shard({ groupOffsets: DATA_SHARD_LIMITS.maxGroupOffsets });
    expect(refuseCommand(full, commit('old', 0))).toBeUndefined();
    expect(refuseCommand(full, commit('old', 1))?.message).toContain('maxGroupOffsets');
  });

  test('new keys of compacted queues up to the limit; of known ones more may come', () => {
    const { maxCompactedKeys: most } = DATA_SHARD_LIMITS;
    const refused = (compactedKeys: number, keys: readonly string[], mayForget = false) => {
      const data = {
        counts: () => ({ compactedKeys }),
        compactedKeys: {
          latest: (_queueId: number, key: string) => (key === 'old' ? { offset: 0 } : undefined),
          mayForget: () => mayForget,
        },
      } as unknown as DataShard;
      const asked = keys.map((key) => ({ key, isTombstone: false }));
      return refuseKeys(data, 1, asked, 1000);
    };
    expect(refused(most - 2, ['a', 'b'])).toBeUndefined();
    expect(refused(most - 1, ['a', 'a', 'old'])).toBeUndefined();
    expect(refused(most - 1, ['a', 'b'])).toMatchObject({ reason: 'SHARD_STATE_FULL' });
    expect(refused(most, ['a'])?.message).toContain('maxCompactedKeys');
    expect(refused(most + 3, ['old'])).toBeUndefined();
    expect(refused(most, ['a'], true)).toBeUndefined();
  });

  test('other commands pass', () => {
    const full = shard({ groups: DATA_SHARD_LIMITS.maxGroups });
    expect(refuseCommand(full, { type: 'closeQueue', queueId: 3 })).toBeUndefined();
  });
});

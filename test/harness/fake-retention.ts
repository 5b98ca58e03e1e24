/** Retention over the rows of a FakeCluster: production's plan, and a log that tests set. */
import type { DataShard, QueueView } from '../../src/broker/api.ts';
import type { QueueIndexRow } from '../../src/broker/state-port.ts';
import type { HeldLog } from '../../src/shards/held-log.ts';
import { planQueue } from '../../src/shards/retention-plan.ts';
import type { RetentionPort } from '../../src/shards/retention-reports.ts';

interface Shards {
  readonly timeMs: number;
  readonly heldLogs: readonly HeldLog[];
  readonly onPlan: () => void;
  shard(id: number): { readonly data: DataShard; readonly rows: readonly QueueIndexRow[] };
}

export function fakeRetention(shards: Shards): RetentionPort {
  return {
    async nodeLog() {
      return { bytes: 1000, shards: shards.heldLogs };
    },
    async plan(shard, { config, disk, queueId }) {
      shards.onPlan();
      const { data, rows } = shards.shard(shard);
      const queue = data.queue(queueId);
      if (queue === undefined) return undefined;
      const own = rows.filter((row) => row.queueId === queueId);
      const first = (
        holds: (row: QueueIndexRow) => boolean,
        { startOffset, endOffset }: QueueView,
      ) => Math.max(startOffset, own.find(holds)?.baseOffset ?? endOffset);
      const source = {
        nowMs: shards.timeMs,
        mayGoEarly: disk === 'critical' || disk === 'full',
        topicConfig: () => config,
        compactedKeys: data.compactedKeys,
        rowAt: async (_: number, offset: number) =>
          own.find((row) => row.baseOffset + row.count > offset),
        offsetAtTime: async (view: QueueView, atMs: number) =>
          first((row) => row.storedAtMs >= atMs, view),
        offsetPastBytes: async (view: QueueView, bytes: number) =>
          first((row) => row.cumulativeBytes > bytes, view),
      };
      return planQueue(source, queue);
    },
  };
}

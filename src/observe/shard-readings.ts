/** Raft and the replicated state, by shard: bounded by `dataShards`. */
import type { StateCounts } from '../broker/api.ts';
import type { Figures, ShardFigures } from './figures.ts';
import type { Reading, Sample } from './readings.ts';

function perShard(
  name: string,
  help: string,
  type: Reading['type'],
  value: (shard: ShardFigures) => number,
): Reading {
  const read = ({ shards }: Figures): readonly Sample[] =>
    shards.map((one) => [value(one), { shard: one.shard }]);
  return { name: `holdfast_shard_${name}`, help, type, labels: ['shard'], read };
}

/** Only a leader knows how far the others are. */
function lags({ shards }: Figures): readonly Sample[] {
  return shards
    .filter(({ isLeader }) => isLeader)
    .flatMap(({ shard, commitIndex, replicas }) =>
      replicas.map(({ node, matchIndex }): Sample => {
        return [Math.max(0, commitIndex - matchIndex), { shard, node }];
      }),
    );
}

const RAFT: readonly Reading[] = [
  perShard('term', "The shard's term", 'gauge', ({ term }) => term),
  perShard('is_leader', '1: this node leads it', 'gauge', ({ isLeader }) => Number(isLeader)),
  perShard('has_leader', '1: this node knows who leads it', 'gauge', ({ leader }) =>
    Number(leader !== undefined),
  ),
  perShard('commit_index', 'Committed, as known here', 'gauge', (shard) => shard.commitIndex),
  perShard('applied_index', 'Applied here', 'gauge', ({ appliedIndex }) => appliedIndex),
  perShard('suspect', '1: the replica here lost records', 'gauge', (shard) =>
    Number(shard.suspect),
  ),
  perShard('leader_changes_total', 'New leaders seen here', 'counter', (shard) => {
    return shard.leadership.changes;
  }),
  perShard('elections_won_total', 'Times this node began to lead it', 'counter', (shard) => {
    return shard.leadership.won;
  }),
  {
    name: 'holdfast_replica_lag_entries',
    help: 'Committed entries that a replica has not got on its disk, by its leader',
    type: 'gauge',
    labels: ['shard', 'node'],
    read: lags,
  },
];

/** Each count is in one shard; over all nodes the sum is that of the cluster. */
const COUNTS = {
  transactions: ['transactions_open', 'Transactions without an outcome, or not yet done with'],
  parked: ['transactions_parked', 'Of those, how many wait for an operator'],
  parts: ['transaction_parts', 'Parts of transactions in queues'],
  heldOffsets: ['transaction_held_offsets', "Groups' offsets that transactions hold"],
  delayed: ['delayed_batches', 'Batches that wait for their time'],
  dedupKeys: ['dedup_keys', 'Business ids that are remembered'],
  compactedKeys: ['compacted_keys', 'Keys of compacted queues whose newest message is kept'],
  producers: ['idempotent_producers', 'Producers whose sequences are remembered'],
  subscriptions: ['subscriptions', 'Queues that groups take message by message'],
  pendingDeliveries: ['pending_deliveries', 'Messages leased, or waiting for another attempt'],
  deadLetters: ['dead_letters', 'Messages that their group could not digest'],
  groups: ['groups', 'Consumer groups with offsets'],
  groupOffsets: ['group_offsets', 'Their offsets'],
  offsetRecords: ['group_offset_records', 'Records of where groups stood before'],
  groupMembers: ['group_members', 'Members of consumer groups'],
  groupQueues: ['group_queues', 'Queues that members are to share'],
} as const satisfies Record<keyof StateCounts, readonly [string, string]>;

function countReading(count: keyof StateCounts): Reading {
  const [name, help] = COUNTS[count];
  const read = ({ shards }: Figures): number => {
    let sum = 0;
    for (const { counts, isLeader } of shards) if (isLeader) sum += counts?.[count] ?? 0;
    return sum;
  };
  return { name: `holdfast_${name}`, help: `${help}; of shards led here`, type: 'gauge', read };
}

export const SHARD_READINGS: readonly Reading[] = [
  ...RAFT,
  ...(Object.keys(COUNTS) as (keyof StateCounts)[]).map(countReading),
  {
    name: 'holdfast_topics',
    help: 'Topics of the cluster, as known here',
    type: 'gauge',
    read: ({ topics }) => topics,
  },
];

/**
 * Refuses what would grow a shard's replicated state beyond its bounds, before it is proposed.
 * Checked on the leader only: what is under way at that moment may go a little over.
 */
import type { DataShard } from '../broker/api.ts';
import type { Command, MessageKey, QueueId, QueueOffsetEntry } from '../broker/commands.ts';
import { DATA_SHARD_LIMITS } from '../broker/limits.ts';
import type { TopicOffsets } from '../broker/transaction-commands.ts';
import { CallError } from '../status.ts';
import type { Limit } from './limits.ts';
import { MAX_COMPACTED_KEY_BYTES, MAX_COMPACTED_MESSAGES } from './message-keys.ts';

type AdmissionLimit =
  | 'maxUndecidedTransactions'
  | 'maxCompactedKeys'
  | 'maxTransactionParts'
  | 'maxHeldOffsets'
  | 'maxGroups'
  | 'maxGroupOffsets'
  | 'maxGroupMembers'
  | 'maxGroupQueues'
  | 'maxSubscriptions'
  | 'maxPendingPerSubscription'
  | 'maxPendingDeliveries';

const WHAT: Readonly<Record<AdmissionLimit, string>> = {
  maxUndecidedTransactions: 'undecided transactions: end some first',
  maxCompactedKeys: 'keys of compacted queues: delete some, or take another topic',
  maxTransactionParts: 'parts of transactions: end some first',
  maxHeldOffsets: 'offsets for transactions: end some first',
  maxGroups: 'consumer groups',
  maxGroupOffsets: 'committed offsets',
  maxGroupMembers: 'members of groups',
  maxGroupQueues: 'queues that members of groups read',
  maxSubscriptions: 'subscriptions: delete some first',
  maxPendingPerSubscription: 'pending messages of the group in one queue: settle some first',
  maxPendingDeliveries: 'pending messages: let consumers settle some first',
};

function full(name: AdmissionLimit): CallError {
  const text = `the shard holds ${DATA_SHARD_LIMITS[name]} ${WHAT[name]} (${name})`;
  return new CallError('SHARD_STATE_FULL', text);
}

/** undefined = there is room for one more half message. */
export function refuseTransaction(data: DataShard): CallError | undefined {
  const { transactions } = data.counts();
  if (transactions < DATA_SHARD_LIMITS.maxUndecidedTransactions) return undefined;
  return full('maxUndecidedTransactions');
}

/** undefined = there is room for its keys, or they add none. */
export function refuseKeys(
  data: DataShard,
  queueId: QueueId,
  keys: readonly MessageKey[],
  nowMs: number,
): CallError | undefined {
  const { compactedKeys } = data.counts();
  if (compactedKeys + keys.length <= DATA_SHARD_LIMITS.maxCompactedKeys) return undefined;
  const added = new Set(keys.map(({ key }) => key).filter((key) => isNewKey(data, queueId, key)));
  const isOver = compactedKeys + added.size > DATA_SHARD_LIMITS.maxCompactedKeys;
  const isFull = isOver && added.size > 0 && !data.compactedKeys.mayForget(nowMs);
  return isFull ? full('maxCompactedKeys') : undefined;
}

function isNewKey(data: DataShard, queueId: QueueId, key: string): boolean {
  return data.compactedKeys.latest(queueId, key) === undefined;
}

/** undefined = there is room for one more part. */
export function refusePart(data: DataShard): CallError | undefined {
  const isFull = data.counts().parts >= DATA_SHARD_LIMITS.maxTransactionParts;
  return isFull ? full('maxTransactionParts') : undefined;
}

/** undefined = there is room for these offsets, now and when they are committed. */
export function refuseOffsetHold(
  data: DataShard,
  { group, topics }: { readonly group: string; readonly topics: readonly TopicOffsets[] },
): CallError | undefined {
  const held = topics.reduce((sum, { offsets }) => sum + offsets.length, 0);
  if (data.counts().heldOffsets + held > DATA_SHARD_LIMITS.maxHeldOffsets) {
    return full('maxHeldOffsets');
  }
  for (const { topicId, offsets } of topics) {
    const refused = refuseOffsets(data, group, topicId, offsets);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** undefined = there is room for one more. */
export function refuseSubscription(data: DataShard): CallError | undefined {
  const { subscriptions } = data.counts();
  return subscriptions < DATA_SHARD_LIMITS.maxSubscriptions ? undefined : full('maxSubscriptions');
}

/** Dead letters that are sent again are pending again. */
function refuseResend(
  data: DataShard,
  { group, offsets, queueId }: Extract<Command, { type: 'settleDead' }>,
): CallError | undefined {
  const { maxPendingDeliveries, maxPendingPerSubscription } = DATA_SHARD_LIMITS;
  const pending = data.deliveries.subscription(group, queueId)?.pending ?? 0;
  if (pending + offsets.length > maxPendingPerSubscription) {
    return full('maxPendingPerSubscription');
  }
  const isOver = data.counts().pendingDeliveries + offsets.length > maxPendingDeliveries;
  return isOver ? full('maxPendingDeliveries') : undefined;
}

/** Looks at commands that make groups, offsets or deliveries; lets all others pass. */
export function refuseCommand(data: DataShard, command: Command): CallError | undefined {
  if (command.type === 'joinGroup') return refuseMember(data, command);
  if (command.type === 'settleDead' && command.action === 'resend') {
    return refuseResend(data, command);
  }
  if (command.type === 'lease') {
    const isKnown = data.deliveries.subscription(command.group, command.queueId) !== undefined;
    return isKnown ? undefined : refuseSubscription(data);
  }
  if (command.type === 'forkGroup') return refuseFork(data, command);
  if (command.type !== 'commitOffsets' && command.type !== 'resetOffsets') return undefined;
  return refuseOffsets(data, command.group, command.topicId, command.offsets);
}

function refuseOffsets(
  data: DataShard,
  group: string,
  topicId: string,
  offsets: readonly QueueOffsetEntry[],
): CallError | undefined {
  const { groups, groupOffsets } = data.counts();
  const isNew = data.groupEpoch(group) === undefined;
  if (isNew && groups >= DATA_SHARD_LIMITS.maxGroups) return full('maxGroups');
  const known = new Set(data.groupOffsets(group, topicId).map(({ queue }) => queue));
  const added = offsets.filter(({ queue }) => !known.has(queue)).length;
  const isOver = added > 0 && groupOffsets + added > DATA_SHARD_LIMITS.maxGroupOffsets;
  return isOver ? full('maxGroupOffsets') : undefined;
}

function refuseFork(
  data: DataShard,
  { topics }: Extract<Command, { type: 'forkGroup' }>,
): CallError | undefined {
  const { groups, groupOffsets } = data.counts();
  if (groups >= DATA_SHARD_LIMITS.maxGroups) return full('maxGroups');
  const added = topics.reduce((sum, { offsets }) => sum + offsets.length, 0);
  const isOver = groupOffsets + added > DATA_SHARD_LIMITS.maxGroupOffsets;
  return isOver ? full('maxGroupOffsets') : undefined;
}

type Join = Extract<Command, { type: 'joinGroup' }>;

/** Who is a member may join again: that adds nothing but topics. */
function refuseMember(data: DataShard, { group, memberId, topics }: Join): CallError | undefined {
  const { groups, groupMembers, groupQueues } = data.counts();
  const known = data.membership(group);
  const isNew = data.groupEpoch(group) === undefined;
  if (isNew && groups >= DATA_SHARD_LIMITS.maxGroups) return full('maxGroups');
  const isMember = known?.members.has(memberId) === true;
  if (!isMember && groupMembers >= DATA_SHARD_LIMITS.maxGroupMembers) {
    return full('maxGroupMembers');
  }
  let added = 0;
  for (const { topicId, queueCount } of topics) {
    added += Math.max(0, queueCount - (known?.topics.get(topicId)?.queues.length ?? 0));
  }
  const isOver = added > 0 && groupQueues + added > DATA_SHARD_LIMITS.maxGroupQueues;
  return isOver ? full('maxGroupQueues') : undefined;
}

/** For DescribeLimits. */
export function stateLimits(): Limit[] {
  const limit = (name: AdmissionLimit, meaning: string): Limit => {
    return { name, value: DATA_SHARD_LIMITS[name], unit: 'items', meaning };
  };
  return [
    limit('maxUndecidedTransactions', 'undecided transactions in one shard'),
    {
      name: 'maxDedupKeys',
      value: DATA_SHARD_LIMITS.maxDedupKeys,
      unit: 'items',
      meaning: 'dedup keys that one shard remembers',
    },
    limit('maxCompactedKeys', 'keys of compacted queues in one shard'),
    {
      name: 'maxCompactedKeyBytes',
      value: MAX_COMPACTED_KEY_BYTES,
      unit: 'bytes',
      meaning: 'the key of one message for a compacted topic',
    },
    {
      name: 'maxCompactedMessages',
      value: MAX_COMPACTED_MESSAGES,
      unit: 'messages',
      meaning: 'one produce request for a compacted topic',
    },
    limit('maxTransactionParts', 'parts of transactions over several queues in one shard'),
    limit('maxHeldOffsets', 'offsets that transactions hold in one shard'),
    limit('maxGroups', 'consumer groups in one shard'),
    limit('maxGroupOffsets', 'committed offsets in one shard'),
    {
      name: 'maxOffsetRecords',
      value: DATA_SHARD_LIMITS.maxOffsetRecords,
      unit: 'items',
      meaning: 'records of where groups stood that one shard keeps: the oldest go',
    },
    limit('maxGroupMembers', 'members of consumer groups in one shard'),
    limit('maxGroupQueues', 'queues that the members of groups read, in one shard'),
    limit('maxSubscriptions', 'subscriptions (group and queue) in one shard'),
    limit('maxPendingPerSubscription', 'messages given to a group in one queue and undecided'),
    limit('maxPendingDeliveries', 'messages given to groups and undecided in one shard'),
  ];
}

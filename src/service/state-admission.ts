/**
 * Refuses what would grow a shard's replicated state beyond its bounds, before it is proposed.
 * Checked on the leader only: what is under way at that moment may go a little over.
 */
import type { DataShard } from '../broker/api.ts';
import { decodeCommand } from '../broker/command-codec.ts';
import { DATA_SHARD_LIMITS } from '../broker/limits.ts';
import { CallError } from '../status.ts';
import type { Limit } from './limits.ts';

type AdmissionLimit = 'maxUndecidedTransactions' | 'maxGroups' | 'maxGroupOffsets';

const WHAT: Readonly<Record<AdmissionLimit, string>> = {
  maxUndecidedTransactions: 'undecided transactions: end some first',
  maxGroups: 'consumer groups',
  maxGroupOffsets: 'committed offsets',
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

/** Looks at commands that make groups or offsets; lets all others pass. */
export function refuseCommand(data: DataShard, head: Uint8Array): CallError | undefined {
  const command = decodeCommand(head);
  if (command.type !== 'commitOffsets' && command.type !== 'resetOffsets') return undefined;
  const { groups, groupOffsets } = data.counts();
  const isNew = data.groupEpoch(command.group) === undefined;
  if (isNew && groups >= DATA_SHARD_LIMITS.maxGroups) return full('maxGroups');
  const known = new Set(
    data.groupOffsets(command.group, command.topicId).map(({ queue }) => queue),
  );
  const added = command.offsets.filter(({ queue }) => !known.has(queue)).length;
  const isOver = added > 0 && groupOffsets + added > DATA_SHARD_LIMITS.maxGroupOffsets;
  return isOver ? full('maxGroupOffsets') : undefined;
}

/** For DescribeLimits. */
export function stateLimits(): Limit[] {
  const limit = (name: AdmissionLimit, meaning: string): Limit => {
    return { name, value: DATA_SHARD_LIMITS[name], unit: 'items', meaning };
  };
  return [
    limit('maxUndecidedTransactions', 'undecided transactions in one shard'),
    limit('maxGroups', 'consumer groups in one shard'),
    limit('maxGroupOffsets', 'committed offsets in one shard'),
  ];
}

/** What Raft and the state machines refuse, as errors for callers. */
import type { ProposalOutcome, ReadOutcome } from '../../raft/driver.ts';
import type { ShardId } from '../../raft/types.ts';
import type { Refusal } from '../broker/commands.ts';
import type { MetaResult } from '../cluster/api.ts';
import { transactionIdText } from '../convert.ts';
import { notLeader } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import { NO_DELIVERIES, NO_HALF, topicCompacted } from './compaction.ts';
import { keyRequired } from './message-keys.ts';

type FailedProposal = Exclude<ProposalOutcome, { status: 'applied' | 'written' }>;

export function proposalError(outcome: FailedProposal, shard: ShardId): CallError {
  switch (outcome.status) {
    case 'notLeader':
      return notLeader(shard, outcome.leader);
    // Definite: another entry was applied in its place, so it may be routed again.
    case 'replaced':
      return notLeader(shard, undefined);
    case 'overloaded':
      return overloaded(shard);
    case 'unknown':
      return new CallError(
        'OUTCOME_UNKNOWN',
        `the leader of shard ${shard} stepped down before the entry was committed: it may still be`,
      );
  }
}

/** Reads are simply asked again, so a round that was cut short is no more than NOT_LEADER. */
export function readError(
  outcome: Exclude<ReadOutcome, { status: 'ok' }>,
  shard: ShardId,
): CallError {
  if (outcome.status === 'overloaded') return overloaded(shard);
  return notLeader(shard, outcome.status === 'notLeader' ? outcome.leader : undefined);
}

function overloaded(shard: ShardId): CallError {
  return new CallError(
    'SHARD_OVERLOADED',
    `the leader of shard ${shard} holds as much uncommitted data as it may: nothing was appended`,
    { retryAfterMs: 100 },
  );
}

/** undefined = there is room for new messages wherever the shard has replicas. */
export function refuseFullDisk(
  host: Pick<ShardHost, 'fullDisk'>,
  shard: ShardId,
): CallError | undefined {
  const node = host.fullDisk(shard);
  if (node === undefined) return undefined;
  const text =
    `the disk of node ${node}, which holds shard ${shard}, is full to its last mark ` +
    '(retention.diskFullPercent): nothing was stored. Writes go on by themselves when retention ' +
    'or you made room';
  return new CallError('DISK_FULL', text, { retryAfterMs: DISK_RETRY_AFTER_MS });
}

/** Disks are looked at once a second. */
const DISK_RETRY_AFTER_MS = 1000;

export function refusalError(refusal: Refusal): CallError {
  switch (refusal.reason) {
    case 'QUEUE_NOT_OPEN':
      return queueNotOpen();
    case 'QUEUE_FENCED':
      return writesRefused(refusal.minQueueEpoch);
    case 'KEY_REQUIRED':
      return keyRequired('a message has no key');
    case 'TOPIC_COMPACTED':
      return topicCompacted(`the queue is compacted: ${NO_HALF}, and ${NO_DELIVERIES}`);
    case 'SEQUENCE_GAP':
      return sequenceError(refusal, 'skips ahead: send what is missing first');
    case 'SEQUENCE_TOO_OLD':
      return sequenceError(refusal, 'is older than the answers that are kept');
    case 'SEQUENCE_MISMATCH':
      return sequenceError(refusal, 'was used before with another number of messages');
    case 'PRODUCER_FENCED':
      return new CallError(
        'PRODUCER_FENCED',
        `producer_epoch ${refusal.given} is stale: ${refusal.epoch} is at work`,
        { metadata: { 'producer-epoch': String(refusal.epoch) } },
      );
    case 'OFFSET_FALLS':
      return new CallError(
        'OFFSET_FALLS',
        `queue ${refusal.queue}: offset ${refusal.given} is below the committed ` +
          `${refusal.current}. Only ResetOffsets goes back`,
        { metadata: { queue: String(refusal.queue), 'current-offset': String(refusal.current) } },
      );
    case 'OFFSETS_PENDING':
      return offsetsPending(refusal);
    case 'OFFSET_MOVED':
      return offsetMoved(refusal);
    case 'GROUP_NOT_FOUND':
      return groupNotFound(refusal.group);
    case 'GROUP_EXISTS':
    case 'GROUP_MODE':
    case 'GROUP_HAS_MEMBERS':
    case 'MEMBER_UNKNOWN':
    case 'MEMBER_FOREIGN':
    case 'STALE_GENERATION':
      return groupError(refusal);
    case 'DEDUP_KEYS_MIXED':
      return keysMixed(refusal);
    case 'NOT_DELAYED':
      return notDelayed();
    case 'SUBSCRIPTION_NOT_FOUND':
      return subscriptionNotFound(refusal.group);
    case 'SUBSCRIPTION_FIFO':
      return subscriptionFifo(refusal.group, refusal.fifo);
    case 'SUBSCRIPTION_FILTER':
      return subscriptionFilter(refusal.group, refusal.filter);
    default:
      return transactionError(refusal);
  }
}

function keysMixed({ key, known }: Extract<Refusal, { reason: 'DEDUP_KEYS_MIXED' }>): CallError {
  const { baseOffset } = known;
  const where = baseOffset === undefined ? 'is delayed' : `stands at offset ${baseOffset}`;
  return new CallError(
    'DEDUP_KEYS_MIXED',
    `some messages were stored before and some not: ${JSON.stringify(key)} ${where}. Nothing ` +
      'was stored: send each message by itself',
    { metadata: baseOffset === undefined ? {} : { offset: String(baseOffset) } },
  );
}

export function subscriptionNotFound(group: string): CallError {
  return new CallError(
    'SUBSCRIPTION_NOT_FOUND',
    `group ${JSON.stringify(group)} never received from this topic: ` +
      'its first Receive subscribes it',
  );
}

export function subscriptionFifo(group: string, fifo: boolean): CallError {
  return new CallError(
    'SUBSCRIPTION_FIFO',
    `group ${JSON.stringify(group)} was subscribed with fifo = ${fifo}, and stays so: ` +
      'ask for the same, or use another group',
  );
}

export function subscriptionFilter(
  group: string,
  filter: { readonly expression: string } | undefined,
): CallError {
  const how = filter === undefined ? 'without a filter' : `with the filter ${filter.expression}`;
  return new CallError(
    'SUBSCRIPTION_FILTER',
    `group ${JSON.stringify(group)} was subscribed ${how}, and stays so: ` +
      'ask for the same, or use another group',
  );
}

export function notDelayed(): CallError {
  return new CallError(
    'NOT_DELAYED',
    'nothing to recall: the message was delivered, recalled before, or never delayed',
  );
}

export function queueNotOpen(): CallError {
  return new CallError(
    'QUEUE_NOT_OPEN',
    'the queue is just being opened or closed: nothing was stored, try again',
    { retryAfterMs: 50 },
  );
}

function writesRefused(minQueueEpoch: number): CallError {
  return new CallError(
    'WRITES_REFUSED',
    'the topic refuses writes (`holdfast topic update TOPIC --writes accepted` ends that), or ' +
      'the node that was asked has not heard yet that it accepts them again: nothing was stored',
    { retryAfterMs: 500, metadata: { 'queue-epoch': String(minQueueEpoch) } },
  );
}

export function groupNotFound(group: string): CallError {
  return new CallError(
    'GROUP_NOT_FOUND',
    `group ${JSON.stringify(group)} does not exist: the first Join or CommitOffset creates it`,
  );
}

type GroupRefusal = Extract<
  Refusal,
  {
    reason:
      | 'GROUP_EXISTS'
      | 'GROUP_MODE'
      | 'GROUP_HAS_MEMBERS'
      | 'MEMBER_UNKNOWN'
      | 'MEMBER_FOREIGN'
      | 'STALE_GENERATION';
  }
>;

function groupError(refusal: GroupRefusal): CallError {
  const group = JSON.stringify(refusal.group);
  switch (refusal.reason) {
    case 'GROUP_EXISTS':
      return new CallError('GROUP_EXISTS', `group ${group} exists: a fork makes a new one`);
    case 'GROUP_MODE': {
      const mode = refusal.mode.toUpperCase();
      const text = `group ${group} has members in mode ${mode}: join in it, or when they left`;
      return new CallError('GROUP_MODE', text, { metadata: { mode } });
    }
    case 'GROUP_HAS_MEMBERS':
      return new CallError(
        'GROUP_HAS_MEMBERS',
        `group ${group} has members (${refusal.members}): only they may commit, with member_id ` +
          'and generation, and only an empty group can be deleted',
        { metadata: { members: String(refusal.members) } },
      );
    case 'MEMBER_UNKNOWN':
      return memberUnknown(refusal.group, refusal.memberId);
    case 'MEMBER_FOREIGN':
      return new CallError(
        'MEMBER_FOREIGN',
        `another principal is member ${JSON.stringify(refusal.memberId)} of group ${group}: ` +
          'choose another member_id, or leave it out',
      );
    case 'STALE_GENERATION':
      return staleGeneration(refusal);
  }
}

export function memberUnknown(group: string, memberId: string): CallError {
  return new CallError(
    'MEMBER_UNKNOWN',
    `group ${JSON.stringify(group)} has no member ${JSON.stringify(memberId)}: it left, or was ` +
      'silent for longer than its session. Join again',
  );
}

function staleGeneration(
  refusal: Extract<GroupRefusal, { reason: 'STALE_GENERATION' }>,
): CallError {
  const { generation, given, queue } = refusal;
  const group = JSON.stringify(refusal.group);
  const member = JSON.stringify(refusal.memberId);
  const text =
    queue === undefined
      ? `generation ${given} of group ${group} is not the current one, which is ${generation}`
      : `in generation ${generation} of group ${group}, ${member} may not commit queue ${queue}: ` +
        'it is not its own, or its offset was just reset';
  return new CallError('STALE_GENERATION', `${text}. Heartbeat tells what the member has now`, {
    metadata: { generation: String(generation) },
  });
}

function sequenceError(refusal: Extract<Refusal, { expected: number }>, what: string): CallError {
  return new CallError(
    refusal.reason,
    `sequence ${refusal.given} ${what}; expected ${refusal.expected}`,
    { metadata: { 'expected-sequence': String(refusal.expected) } },
  );
}

type TransactionRefusal = Extract<Refusal, { reason: `TRANSACTION_${string}` }>;

function transactionError(refusal: TransactionRefusal): CallError {
  switch (refusal.reason) {
    case 'TRANSACTION_NOT_FOUND':
      return transactionNotFound();
    case 'TRANSACTION_FOREIGN':
      return new CallError(
        'TRANSACTION_FOREIGN',
        'the transaction belongs to another producer_group, or another principal prepared it: ' +
          'only who prepared it may end it',
      );
    case 'TRANSACTION_ENDED': {
      const state = refusal.state === 'committed' ? 'COMMITTED' : 'ROLLED_BACK';
      return new CallError('TRANSACTION_ENDED', `the transaction is ${state} for good`, {
        metadata: { 'transaction-state': state },
      });
    }
    case 'TRANSACTION_PREPARING':
      return new CallError(
        'TRANSACTION_PREPARING',
        'the parts of the transaction are not all stored yet: repeat its Prepare, or roll it back',
        { retryAfterMs: 100 },
      );
    case 'TRANSACTION_ID_REUSED':
      return new CallError(
        'TRANSACTION_ID_REUSED',
        'transaction_id was used for other messages in this producer_group: choose another',
      );
  }
}

function offsetsPending(refusal: Extract<Refusal, { reason: 'OFFSETS_PENDING' }>): CallError {
  const id = transactionIdText(refusal.transaction);
  return new CallError(
    'OFFSETS_PENDING',
    `queue ${refusal.queue}: transaction ${id} holds its offset until it is committed or rolled ` +
      `back. If its producer is gone: \`holdfast txn rollback ${id}\``,
    { retryAfterMs: 200, metadata: { queue: String(refusal.queue), 'transaction-id': id } },
  );
}

function offsetMoved(refusal: Extract<Refusal, { reason: 'OFFSET_MOVED' }>): CallError {
  const { queue, current, given } = refusal;
  const shown = (offset: number | undefined) => (offset === undefined ? 'none' : String(offset));
  return new CallError(
    'OFFSET_MOVED',
    `queue ${queue}: the committed offset is ${shown(current)}, not ${shown(given)} as \`from\` ` +
      'says: somebody else was there before. Read again from the committed offset',
    { metadata: { queue: String(queue), 'current-offset': shown(current) } },
  );
}

export function transactionNotFound(): CallError {
  return new CallError(
    'TRANSACTION_NOT_FOUND',
    'no such transaction: never prepared here, or ended so long ago that it is forgotten',
  );
}

type MetaRefusal = Extract<MetaResult, { type: 'refused' }>;

export function metaError(refusal: MetaRefusal, name: string): CallError {
  if (refusal.reason === 'TOPIC_NOT_FOUND') return topicNotFound(name);
  return new CallError(refusal.reason, refusal.detail);
}

export function topicNotFound(name: string): CallError {
  return new CallError(
    'TOPIC_NOT_FOUND',
    `topic ${JSON.stringify(name)} does not exist: ` +
      `create it with \`holdfast topic create ${name}\``,
  );
}

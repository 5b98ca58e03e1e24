/** What became of a message in the groups that receive one by one. */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import type { QueueId } from '../../broker/commands.ts';
import type { MessagePlace } from '../../broker/delivery-commands.ts';
import type { ShardHost } from '../../shards/api.ts';

const ALL = Number.MAX_SAFE_INTEGER;

export interface GroupDelivery {
  readonly group: string;
  /** Names of TraceEvent. */
  readonly what:
    | 'NOT_GIVEN_YET'
    | 'LEASED_UNTIL'
    | 'LEASE_ENDED'
    | 'NEXT_ATTEMPT_AT'
    | 'DEAD_LETTER'
    | 'DECIDED_BY_GROUP';
  /** 0 = not known. */
  readonly atMs: number;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** One per group that is subscribed to the queue. */
export function deliveriesOf(
  host: ShardHost,
  shard: ShardId,
  queueId: QueueId,
  offset: number,
): GroupDelivery[] {
  const { deliveries } = host.data(shard);
  const nowMs = host.shardTimeMs(shard);
  const found: GroupDelivery[] = [];
  for (const { cursor, group, queueId: subscribed } of deliveries.subscriptions()) {
    if (subscribed !== queueId) continue;
    const pending = deliveries.pendingAt(group, queueId, offset);
    const dead = deliveries.deadLetter(group, queueId, offset);
    if (pending !== undefined) {
      const { attempt, consumer, dueAtMs: atMs, isLeased, token } = pending;
      const facts = { attempt, consumer, fencing_token: token };
      if (attempt === 0) found.push({ group, what: 'NOT_GIVEN_YET', atMs: 0, facts: {} });
      else if (!isLeased) found.push({ group, what: 'NEXT_ATTEMPT_AT', atMs, facts });
      else found.push({ group, what: leaseState(atMs, nowMs), atMs, facts });
    } else if (dead !== undefined) {
      const { attempts, cause, consumer, diedAtMs: atMs } = dead;
      found.push({ group, what: 'DEAD_LETTER', atMs, facts: { attempts, cause, consumer } });
    } else {
      const what = offset >= cursor ? 'NOT_GIVEN_YET' : 'DECIDED_BY_GROUP';
      found.push({ group, what, atMs: 0, facts: {} });
    }
  }
  return found.sort((a, b) => (a.group < b.group ? -1 : 1));
}

function leaseState(endsAtMs: number, nowMs: number): 'LEASED_UNTIL' | 'LEASE_ENDED' {
  return endsAtMs > nowMs ? 'LEASED_UNTIL' : 'LEASE_ENDED';
}

export interface HeldPlace {
  readonly queueId: QueueId;
  readonly offset: number;
  /** When it came into its queue. */
  readonly atMs: number;
}

/** A message that some group has pending or dead keeps its place, also where its queue lost it. */
export function heldPlace(
  host: ShardHost,
  shard: ShardId,
  index: LogIndex,
  position: number,
): HeldPlace | undefined {
  const { deliveries } = host.data(shard);
  const isIt = (one: MessagePlace) => one.firstIndex === index && one.position === position;
  for (const { group, queueId } of deliveries.subscriptions()) {
    for (const one of deliveries.pending(group, queueId)) {
      if (isIt(one)) return { queueId, offset: one.offset, atMs: one.storedAtMs };
    }
    const dead = deliveries.deadLetters(group, queueId, 0, ALL).find(isIt);
    if (dead !== undefined) return { queueId, offset: dead.offset, atMs: dead.storedAtMs };
  }
  return undefined;
}

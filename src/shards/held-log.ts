/**
 * Why a node's log does not get shorter: who needs which part of it. Segments are shared and go
 * oldest first, so the shard that holds most, and in it the holder with the lowest index, are what
 * to look at.
 */
import type { LogIndex, NodeId, ShardId } from '../../raft/types.ts';
import type { DataShard, QueueView } from '../broker/api.ts';
import type { HeldBody, QueueId, StoredAt } from '../broker/commands.ts';
import type { LateBucket } from '../broker/late-references.ts';
import { firstPlain, lowestOf } from './queue-front.ts';
import { isGain, type StartSource } from './retention.ts';

export type HolderKind =
  /** Messages in a queue. */
  | 'MESSAGES'
  /** Messages in a queue that became visible late: their bytes lie before those of others. */
  | 'SHOWN_LATE'
  | 'HALF'
  | 'DELAYED'
  | 'LEASED'
  /** Waiting for their next attempt. */
  | 'RETRY'
  | 'DEAD_LETTER'
  /** Of a queue whose index is damaged: nothing of the shard goes. */
  | 'DAMAGE'
  | 'SLOW_REPLICA'
  /** A replica is being sent the snapshot that the log starts after. */
  | 'SNAPSHOT'
  /** Nothing needs it: it goes with one of the next trims. */
  | 'TRIM'
  /** Every replica agreed to let it go: it goes here once a checkpoint stands behind it. */
  | 'CHECKPOINT';

export interface LogHolder {
  readonly what: HolderKind;
  /** The first entry that is kept for it. */
  readonly index: LogIndex;
  readonly topicId?: string;
  readonly queue?: number;
  readonly node?: NodeId;
}

/** The log of one shard on this node. */
export interface HeldLog {
  readonly shard: ShardId;
  /** Log on the disk that cannot go before this shard's start moves on, whoever wrote it. */
  readonly bytes: number;
  /** Everything through here is gone; the agreed trim point; the end. */
  readonly startIndex: LogIndex;
  readonly trimIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** The lowest first. */
  readonly holders: readonly LogHolder[];
}

export interface HeldLogSource extends Omit<HeldLog, 'holders'> {
  /** undefined = the metadata shard, whose entries nothing needs once they are applied. */
  readonly data: DataShard | undefined;
  readonly applied: LogIndex;
  readonly isSendingSnapshot: boolean;
  /** Asked of the leader: the replica that is furthest behind; undefined = none, or not known. */
  readonly slowest: { readonly node: NodeId; readonly matched: LogIndex } | undefined;
  readonly rowAt: StartSource['rowAt'];
}

/** Those with the lowest indexes are the ones that matter. */
const HOLDERS_MAX = 8;
/** Bodies that are looked at. */
const BODIES_MAX = 256;

export async function heldLog(source: HeldLogSource): Promise<HeldLog> {
  const { bytes, lastIndex, shard, startIndex, trimIndex } = source;
  const needed = source.data === undefined ? [] : await neededBy(source.data, source);
  const holders = [...needed, ...slowReplica(source)].sort((a, b) => a.index - b.index);
  const lowest = holders[0]?.index ?? source.applied + 1;
  holders.unshift(...onItsWay(source, lowest));
  return {
    ...{ shard, bytes, startIndex, trimIndex, lastIndex },
    holders: holders.slice(0, HOLDERS_MAX),
  };
}

/** What nothing needs, below the first that something does. */
function onItsWay(source: HeldLogSource, lowest: LogIndex): LogHolder[] {
  const { isSendingSnapshot, startIndex, trimIndex } = source;
  const index = startIndex + 1;
  if (isSendingSnapshot) return [{ what: 'SNAPSHOT', index }];
  if (startIndex < trimIndex) return [{ what: 'CHECKPOINT', index }];
  // Less than is worth an entry, the trim's own for one, is kept for what comes after it.
  const next = nextToTrim(source);
  const isWorthIt = isGain(lowest - next, lowest > source.applied);
  return isWorthIt ? [{ what: 'TRIM', index: next }] : [];
}

/** The trim point is not known again after a restart before the next trim; the start is. */
function nextToTrim({ startIndex, trimIndex }: HeldLogSource): LogIndex {
  return Math.max(startIndex, trimIndex) + 1;
}

function slowReplica({ applied, slowest }: HeldLogSource): LogHolder[] {
  // What it gets within a moment holds nothing.
  if (slowest === undefined || !isGain(applied - slowest.matched, false)) return [];
  return [{ what: 'SLOW_REPLICA', index: slowest.matched + 1, node: slowest.node }];
}

async function neededBy(data: DataShard, source: HeldLogSource): Promise<LogHolder[]> {
  const found: LogHolder[] = [];
  for (const queue of data.queues()) found.push(...(await messagesOf(data, queue, source)));
  found.push(...outOfOrder(data));
  const bodies = data.heldBodies(Number.MAX_SAFE_INTEGER, BODIES_MAX);
  const deliveries = deliveriesAt(data, new Set(bodies.map(({ at }) => at.index)));
  const first = new Map<string, LogHolder>();
  for (const body of bodies) {
    const holder = holderOf(data, body, deliveries);
    const name = `${holder.what} ${holder.topicId} ${holder.queue}`;
    if (!first.has(name)) first.set(name, holder);
  }
  return [...found, ...first.values()];
}

/** What was shown late, and of each queue what was appended again. */
function outOfOrder(data: DataShard): LogHolder[] {
  const late: LateBucket[] = [];
  const counted = new Map<QueueId, LateBucket[]>();
  for (const bucket of data.lateBuckets()) {
    if (!bucket.isCounted) late.push(bucket);
    else counted.set(bucket.queueId, [...(counted.get(bucket.queueId) ?? []), bucket]);
  }
  const found: LogHolder[] = [];
  const shownLate = lowestOf(late);
  if (shownLate !== undefined) found.push({ what: 'SHOWN_LATE', index: shownLate });
  for (const [queueId, buckets] of counted) {
    found.push({ what: 'MESSAGES', index: lowestOf(buckets)!, ...queueOf(data, queueId) });
  }
  return found;
}

async function messagesOf(
  data: DataShard,
  queue: QueueView,
  source: HeldLogSource,
): Promise<LogHolder[]> {
  const { endOffset, queueId, startOffset } = queue;
  if (startOffset === endOffset) return [];
  try {
    const first = await source.rowAt(queueId, startOffset);
    const row = await firstPlain(data, source.rowAt, queueId, first);
    return row === undefined ? [] : [{ what: 'MESSAGES', index: row.index, ...nameOf(queue) }];
  } catch {
    // Trimmed meanwhile, it holds nothing there any more.
    if (queue.startOffset !== startOffset) return [];
    return [{ what: 'DAMAGE', index: nextToTrim(source), ...nameOf(queue) }];
  }
}

function nameOf({ queue, topicId }: QueueView): Pick<LogHolder, 'topicId' | 'queue'> {
  return { topicId, queue };
}

type Delivery = Omit<LogHolder, 'index'>;

function holderOf(
  data: DataShard,
  { at, id, owner }: HeldBody,
  deliveries: ReadonlyMap<LogIndex, Delivery>,
): LogHolder {
  const { index } = at;
  switch (owner) {
    case 'half':
      return { what: 'HALF', index };
    case 'part':
      return { what: 'HALF', index, ...queueOf(data, data.part(id.index)?.queueId) };
    case 'delayed':
      return { what: 'DELAYED', index, ...queueOf(data, data.delayed(id.index)?.queueId) };
    case 'delivery':
      return { what: 'RETRY', index, ...deliveries.get(index) };
  }
}

/** What is given out one by one, of the entries named: walked through once. */
function deliveriesAt(data: DataShard, wanted: ReadonlySet<LogIndex>): Map<LogIndex, Delivery> {
  const found = new Map<LogIndex, Delivery>();
  const add = ({ at }: { at: StoredAt }, what: HolderKind, name: Partial<Delivery>): void => {
    if (wanted.has(at.index)) found.set(at.index, { what, ...name });
  };
  const { deliveries } = data;
  for (const { dead, group, queueId } of deliveries.subscriptions()) {
    const name = queueOf(data, queueId);
    const letters = dead === 0 ? [] : deliveries.deadLetters(group, queueId, 0, dead);
    for (const one of letters) add(one, 'DEAD_LETTER', name);
    for (const one of deliveries.pending(group, queueId)) {
      add(one, one.isLeased ? 'LEASED' : 'RETRY', name);
    }
  }
  return found;
}

function queueOf(data: DataShard, queueId: QueueId | undefined): Partial<Delivery> {
  const queue = queueId === undefined ? undefined : data.queue(queueId);
  return queue === undefined ? {} : nameOf(queue);
}

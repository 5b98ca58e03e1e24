/**
 * Retention. The leader of a shard decides what may go and proposes it (`trim`): start
 * offsets rise identically everywhere. Each node then gives log space back by itself: it takes a
 * checkpoint of the shard's small state now and then, and once the agreed trim point has passed
 * one, the log up to that checkpoint is dropped (internals rules 4 and 5). What alone keeps the log
 * is appended again first (rule 7; copy-forward.ts): bodies that nobody reads yet, and what queues
 * show (row-copies.ts).
 */
import type { LogIndex, ShardId } from '../../raft/types.ts';
import type { CompactedKeysView, DataShard, QueueView } from '../broker/api.ts';
import type { HeldBody, QueueCompaction, QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { TopicConfig } from '../cluster/api.ts';
import { firstPlain, lowestOf, type QueueFront } from './queue-front.ts';
import { COPIED_PART, COPIES_PER_DECISION, copiesOfFronts, type RowCopy } from './row-copies.ts';

/** A trim that frees nothing but a few entries waits for at least so many of them. */
export const TRIM_ENTRIES_MIN = 256;

export type StartRow = Omit<QueueIndexRow, 'queueId' | 'term'>;

/**
 * While a disk is nearly full, topics that prefer availability lose so much of each queue at a
 * time: space comes back a while after its trim, and more than is needed must not go.
 */
const EARLY_PART = 1 / 10;

export interface TrimProposal {
  readonly queues: readonly { queueId: QueueId; startOffset: number; startIndex: LogIndex }[];
  readonly logTrim: LogIndex;
}

/** What is asked about each queue: its topic's settings, and its index rows. */
export interface StartSource {
  readonly nowMs: number;
  /** A disk is nearly full, and a part may go before its time where the topic allows it. */
  readonly mayGoEarly: boolean;
  topicConfig(topicId: string): TopicConfig | undefined;
  readonly compactedKeys: Pick<CompactedKeysView, 'firstLive'>;
  /** The row that holds `offset`; undefined at the end of the queue. */
  rowAt(queueId: QueueId, offset: number): Promise<StartRow | undefined>;
  offsetAtTime(queue: QueueView, atMs: number): Promise<number>;
  /** First offset whose row goes past `bytes` of the queue's cumulative bytes. */
  offsetPastBytes(queue: QueueView, bytes: number): Promise<number>;
}

/** What the decision needs to know about the shard, too. */
export interface TrimSource extends StartSource {
  readonly shard: ShardId;
  readonly data: DataShard;
  /** Every replica that lives holds the log through here. Nothing beyond may go. */
  readonly matchedByAll: LogIndex;
  readonly applied: LogIndex;
  /** Of the last trim that was applied. */
  readonly logTrim: LogIndex;
  /** The shard keeps much log of others from going: its own few entries are worth a trim. */
  readonly isHoldingLog: boolean;
  rowsFrom(queueId: QueueId, offset: number, limit: number): Promise<readonly QueueIndexRow[]>;
  /** A row cannot be read: what it holds cannot be told from what may go. */
  onDamage(error: Error): void;
}

async function newStart(source: StartSource, queue: QueueView): Promise<number> {
  if (queue.compaction !== undefined) return compactedStart(source, queue, queue.compaction);
  const config = source.topicConfig(queue.topicId);
  if (config === undefined || queue.startOffset === queue.endOffset) return queue.startOffset;
  let start = queue.startOffset;
  if (config.retentionMs > 0) {
    start = Math.max(start, await source.offsetAtTime(queue, source.nowMs - config.retentionMs));
  }
  if (config.retentionBytes > 0) {
    const past = queue.cumulativeBytes - config.retentionBytes;
    if (past > 0) start = Math.max(start, await source.offsetPastBytes(queue, past));
  }
  if (source.mayGoEarly && config.diskPolicy === 'availability') {
    start = Math.max(start, await earlyStart(source, queue));
  }
  return start;
}

/** What lies before the first message that is shown is hidden for good. */
async function compactedStart(
  { compactedKeys, nowMs, offsetAtTime }: StartSource,
  queue: QueueView,
  { minLagMs }: QueueCompaction,
): Promise<number> {
  const { endOffset, queueId, startOffset } = queue;
  if (startOffset === endOffset) return startOffset;
  const young = await offsetAtTime(queue, nowMs - minLagMs + 1);
  return Math.max(startOffset, Math.min(young, compactedKeys.firstLive(queueId) ?? endOffset));
}

/** Behind the oldest part of the queue. What came last stays. */
async function earlyStart(source: StartSource, queue: QueueView): Promise<number> {
  const first = await source.rowAt(queue.queueId, queue.startOffset);
  const behindFirst = queue.cumulativeBytes - (first?.cumulativeBytes ?? queue.cumulativeBytes);
  if (first === undefined || behindFirst === 0) return queue.startOffset;
  return source.offsetPastBytes(queue, first.cumulativeBytes + behindFirst * EARLY_PART);
}

interface FoundStart {
  readonly startOffset: number;
  /** The first that stays; undefined: none does. */
  readonly row: StartRow | undefined;
}

/** Undefined: an earlier trim was applied, or the queue closed, while its rows were looked at. */
export async function findStart(
  source: StartSource,
  queue: QueueView,
): Promise<FoundStart | undefined> {
  const { queueId, startOffset: before } = queue;
  try {
    const wanted = await newStart(source, queue);
    const row = await source.rowAt(queueId, wanted);
    // Whole batches go: a batch that holds one message still wanted stays.
    // A start from before rows became one may lie within a row.
    return { startOffset: Math.max(before, row?.baseOffset ?? wanted), row };
  } catch (error) {
    if (queue.open && queue.startOffset === before) throw error;
    return undefined;
  }
}

/** Undefined: as `findStart`. */
export async function findFront(
  source: TrimSource,
  queue: QueueView,
): Promise<(QueueFront & { readonly isMoved: boolean }) | undefined> {
  const before = queue.startOffset;
  const found = await findStart(source, queue);
  if (found === undefined) return undefined;
  const { row, startOffset } = found;
  try {
    const plain = await firstPlain(source.data, source.rowAt, queue.queueId, row);
    return { queue, before, startOffset, plain, isMoved: plain !== row };
  } catch (error) {
    if (queue.open && queue.startOffset === before) throw error;
    return undefined;
  }
}

export function isGain(entries: number, isHoldingLog: boolean): boolean {
  return entries >= (isHoldingLog ? 1 : TRIM_ENTRIES_MIN);
}

export interface TrimDecision {
  /** Undefined: it would gain too little. */
  readonly trim: TrimProposal | undefined;
  /** Bodies to append again: with them gone from there, a later trim gains enough. */
  readonly copies: readonly HeldBody[];
  /** The same for batches that queues show. */
  readonly rowCopies: readonly RowCopy[];
}

const NOTHING: TrimDecision = { trim: undefined, copies: [], rowCopies: [] };

/** What to propose. Where a row of the index is missing or damaged nothing goes. */
export async function decideTrim(source: TrimSource): Promise<TrimDecision> {
  try {
    return await decide(source);
  } catch (error) {
    const isDamage = error instanceof Error && 'code' in error && error.code === 'DATA_LOSS';
    if (!isDamage) throw error;
    source.onDamage(error);
    return NOTHING;
  }
}

async function decide(source: TrimSource): Promise<TrimDecision> {
  const { data } = source;
  const queues: { queueId: QueueId; startOffset: number; startIndex: LogIndex }[] = [];
  const fronts: QueueFront[] = [];
  let lowest = Math.min(source.matchedByAll, source.applied) + 1;
  let hasRisen = false;
  for (const queue of data.queues()) {
    // An empty queue holds nothing; what comes into it now lies above `applied`.
    if (!queue.open || queue.startOffset === queue.endOffset) continue;
    const front = await findFront(source, queue);
    if (front === undefined) return NOTHING;
    const { isMoved, plain, startOffset } = front;
    if (plain !== undefined) lowest = Math.min(lowest, plain.index);
    fronts.push(front);
    const rises = startOffset > queue.startOffset;
    const mayForget = mayForgetKeys(source, queue);
    hasRisen ||= rises || mayForget;
    // What was appended again raises where the queue's own order begins, its start or not.
    if (rises || isMoved || mayForget) {
      queues.push({ queueId: queue.queueId, startOffset, startIndex: plain?.index ?? 0 });
    }
  }
  const free = Math.min(lowest, lowestOf(data.lateBuckets()) ?? lowest);
  lowest = Math.min(lowest, data.lowestLateIndex() ?? lowest);
  const logTrim = Math.max(source.logTrim, lowest - 1);
  const isWorthIt = hasRisen || isGain(logTrim - source.logTrim, source.isHoldingLog);
  const copies = worthCopying(source, free);
  const mixed = copies.length === 0 ? await copiesOfFronts(source, fronts) : { copies };
  return { rowCopies: [], ...mixed, trim: isWorthIt ? { queues, logTrim } : undefined };
}

function mayForgetKeys({ data, nowMs }: TrimSource, { compaction, queueId }: QueueView): boolean {
  return compaction !== undefined && data.compactedKeys.mayForgetOf(queueId, nowMs);
}

/** What lies below `free`, where nothing else does: all of it, or as much as pays. */
function worthCopying({ data, isHoldingLog }: TrimSource, free: LogIndex): readonly HeldBody[] {
  const held = data.heldBodies(free, COPIES_PER_DECISION);
  const first = held[0]?.at.index ?? free;
  // Not all of them: the gain ends at the first one that stays.
  const end = held.length < COPIES_PER_DECISION ? free : held.at(-1)!.at.index;
  const gained = end - first;
  // The trim that follows takes an entry, too: copies that free no more would go on for ever.
  const isWorthIt = held.length <= (gained - 1) * COPIED_PART;
  return isGain(gained, isHoldingLog) && isWorthIt ? held : [];
}

/**
 * Retention, simple form. The leader of a shard decides what may go and proposes it (`trim`): start
 * offsets rise identically everywhere. Each node then gives log space back by itself: it takes a
 * checkpoint of the shard's small state now and then, and once the agreed trim point has passed
 * one, the log up to that checkpoint is dropped (internals rules 4 and 5). Bodies that nobody reads
 * yet and that alone keep the log are appended again first (rule 7; copy-forward.ts).
 */
import type { LogIndex, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { DataShard, QueueView } from '../broker/api.ts';
import type { HeldBody, QueueId } from '../broker/commands.ts';
import type { TopicConfig } from '../cluster/api.ts';

/** A trim that frees nothing but a few entries waits for at least so many of them. */
export const TRIM_ENTRIES_MIN = 256;

export interface StartRow {
  readonly baseOffset: number;
  /** Of the queue since its beginning, this row's included. */
  readonly cumulativeBytes: number;
  readonly storedAtMs: ShardTimeMs;
  readonly index: LogIndex;
}

/**
 * While a disk is nearly full, topics that prefer availability lose so much of each queue at a
 * time: space comes back a while after its trim, and more than is needed must not go.
 */
const EARLY_PART = 1 / 10;

/** The largest part of the log gained that may be written again for it. */
const COPIED_PART = 1 / 2;
/** Bounds what one decision holds in memory and what one pass writes. */
const COPIES_PER_DECISION = 256;

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
  /** A row cannot be read: what it holds cannot be told from what may go. */
  onDamage(error: Error): void;
}

async function newStart(source: StartSource, queue: QueueView): Promise<number> {
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

/** Behind the oldest part of the queue. What came last stays. */
async function earlyStart(source: StartSource, queue: QueueView): Promise<number> {
  const first = await source.rowAt(queue.queueId, queue.startOffset);
  const behindFirst = queue.cumulativeBytes - (first?.cumulativeBytes ?? queue.cumulativeBytes);
  if (first === undefined || behindFirst === 0) return queue.startOffset;
  return source.offsetPastBytes(queue, first.cumulativeBytes + behindFirst * EARLY_PART);
}

interface FoundStart {
  readonly startOffset: number;
  /** Of the first entry that stays; undefined: none does. */
  readonly index: LogIndex | undefined;
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
    return { startOffset: row?.baseOffset ?? wanted, index: row?.index };
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
}

const NOTHING: TrimDecision = { trim: undefined, copies: [] };

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
  const queues: { queueId: QueueId; startOffset: number; startIndex: LogIndex }[] = [];
  let lowest = Math.min(source.matchedByAll, source.applied) + 1;
  for (const queue of source.data.queues()) {
    // An empty queue holds nothing; what comes into it now lies above `applied`.
    if (!queue.open || queue.startOffset === queue.endOffset) continue;
    const found = await findStart(source, queue);
    if (found === undefined) return NOTHING;
    const { startOffset, index } = found;
    if (index !== undefined) lowest = Math.min(lowest, index);
    if (startOffset > queue.startOffset) {
      queues.push({ queueId: queue.queueId, startOffset, startIndex: index ?? 0 });
    }
  }
  const free = Math.min(lowest, source.data.lowestFixedIndex() ?? lowest);
  lowest = Math.min(lowest, source.data.lowestLateIndex() ?? lowest);
  const logTrim = Math.max(source.logTrim, lowest - 1);
  const isWorthIt = queues.length > 0 || isGain(logTrim - source.logTrim, source.isHoldingLog);
  return { trim: isWorthIt ? { queues, logTrim } : undefined, copies: worthCopying(source, free) };
}

/** What lies below `free`, where nothing else does: all of it, or as much as pays. */
function worthCopying({ data, isHoldingLog }: TrimSource, free: LogIndex): readonly HeldBody[] {
  const held = data.heldBodies(free, COPIES_PER_DECISION);
  const first = held[0]?.at.index ?? free;
  // Not all of them: the gain ends at the first one that stays.
  const end = held.length < COPIES_PER_DECISION ? free : held.at(-1)!.at.index;
  const gained = end - first;
  return isGain(gained, isHoldingLog) && held.length <= gained * COPIED_PART ? held : [];
}

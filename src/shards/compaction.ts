/**
 * Makes the log of compacted queues smaller. Where at least half of the messages of a bucket are
 * not shown any more, those that are left are appended again together, and one row takes the place
 * of several (compacted-rows.ts). Only what is old enough is looked at: a bucket that may still
 * grow, or that holds what everybody may read (`minLagMs`), waits.
 *
 * What the state knows says where to look: how many keys have their newest message in a bucket, and
 * how many messages were left in it. So a pass costs by what it finds. Each bucket is read twice:
 * to decide, holding nothing of it, and entry by entry to write what is left.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import type { DataShard, QueueView } from '../broker/api.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, Command, KeptRun, QueueId } from '../broker/commands.ts';
import { isShown } from '../broker/compacted-keys.ts';
import { COMPACTION_LEVEL } from '../broker/feature-level.ts';
import { bucketEnd, bucketOf } from '../broker/late-references.ts';
import { LATE_REFERENCE_OFFSETS } from '../broker/limits.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import { keyOfMessage } from '../filter/message-key.ts';
import type { ShardHost } from './api.ts';
import { type KeptMessage, keptMessages } from './kept-messages.ts';
import type { TrimSource } from './retention.ts';

export type CompactRows = Extract<Command, { type: 'compactRows' }>;

export interface CompactionSource extends Pick<TrimSource, 'nowMs' | 'offsetAtTime' | 'rowsFrom'> {
  readonly shard: ShardId;
  readonly data: DataShard;
  readonly host: Pick<ShardHost, 'propose' | 'readEntry'>;
  /** False: the pass has lasted long enough, or this node is to do something else. */
  mayGoOn(): boolean;
  /** A row or an entry cannot be read: its bucket stays as it is. */
  onDamage(error: Error, index: LogIndex): void;
}

/** What is left of rows that become one. */
export interface Compacted {
  readonly command: CompactRows;
  readonly payload: Uint8Array;
}

/** A row, and what is left of it. */
interface LookedAt {
  readonly row: QueueIndexRow;
  readonly shownCount: number;
  readonly shownBytes: number;
  readonly hiddenCount: number;
}

/** What is compacted, and into how large entries. */
export interface Thresholds {
  /** A bucket that may still grow, too. */
  readonly isEarly: boolean;
  mayCompact(hidden: number, total: number): boolean;
  /** An entry takes in no more rows once it has so much. */
  readonly entryBytes: number;
}

/** How a bucket is to become smaller. */
export interface BucketPlan {
  /** As in the commands. */
  readonly until: number;
  /** As in the first command; then the index of the one before. */
  readonly before: LogIndex;
  /** Messages that are in it now, or still to come into it. */
  readonly total: number;
  /** Rows that become one, in the order in which they do. */
  readonly parts: readonly (readonly QueueIndexRow[])[];
}

/** The part of a bucket's messages that must have gone before the others are written again. */
const GONE_PART = 1 / 2;
/** Bounds what one pass looks at in one queue. */
const LOOKS_PER_PASS = 16_384;
const REMEMBERED_MAX = 10_000;
const THRESHOLDS: Thresholds = {
  isEarly: false,
  mayCompact: (hidden, total) => isMostlyGone(total - hidden, total),
  // One row's messages were one entry before.
  entryBytes: 1024 * 1024,
};

/** Of one shard. */
export class Compaction {
  /** Where the next pass goes on, by queue. */
  readonly #next = new Map<QueueId, number>();
  /** How many keys were live in a bucket that was not worth it: until some go it is not read. */
  readonly #notWorthIt = new Map<string, number>();
  /** Where the last pass ended: the next one begins behind it. */
  #lastQueue = 0;

  async run(source: CompactionSource): Promise<void> {
    const { data } = source;
    if (data.featureLevel() < COMPACTION_LEVEL) return;
    const queues = [...data.queues()].filter(({ compaction }) => compaction !== undefined);
    const known = new Set(queues.map(({ queueId }) => queueId));
    for (const queueId of this.#next.keys()) if (!known.has(queueId)) this.#next.delete(queueId);
    for (const queue of inTurn(queues, this.#lastQueue)) {
      if (!source.mayGoOn()) return;
      this.#lastQueue = queue.queueId;
      await this.#runQueue(source, queue);
    }
  }

  /** What cannot be written ends it for this queue: others have their turn. */
  async #runQueue(source: CompactionSource, queue: QueueView): Promise<void> {
    const end = await firstYoungBucket(source, queue);
    for (const bucket of this.#candidates(source, queue, end)) {
      const plan = await planOfBucket(source, queue, bucket);
      this.#remember(source, queue, bucket, plan);
      if (plan !== undefined && !(await compactBucket(source, queue, plan))) return;
      if (!source.mayGoOn()) return;
    }
  }

  /** One round through the queue, from where the last one ended. */
  *#candidates(
    { data }: CompactionSource,
    { queueId, startOffset }: QueueView,
    end: number,
  ): Generator<number> {
    const first = bucketOf(startOffset);
    const from = Math.max(first, this.#next.get(queueId) ?? first);
    const count = Math.min(end - first, LOOKS_PER_PASS);
    for (let i = 0; i < count; i += 1) {
      const bucket = from + i < end ? from + i : from + i - (end - first);
      this.#next.set(queueId, bucket + 1);
      if (this.#isWorthALook(data, queueId, bucket)) yield bucket;
    }
  }

  #isWorthALook(data: DataShard, queueId: QueueId, bucket: number): boolean {
    const { left = LATE_REFERENCE_OFFSETS } = data.lateBucket(queueId, bucket)?.compacted ?? {};
    const live = data.compactedKeys.liveIn(queueId, bucket);
    return isMostlyGone(live, left) && this.#notWorthIt.get(`${queueId}/${bucket}`) !== live;
  }

  #remember(
    { data }: CompactionSource,
    { queueId }: QueueView,
    bucket: number,
    plan: BucketPlan | undefined,
  ): void {
    const name = `${queueId}/${bucket}`;
    this.#notWorthIt.delete(name);
    if (plan?.parts.length !== 0) return;
    if (this.#notWorthIt.size === REMEMBERED_MAX) this.#notWorthIt.clear();
    this.#notWorthIt.set(name, data.compactedKeys.liveIn(queueId, bucket));
  }
}

/** Those behind the last one first. */
function inTurn(queues: QueueView[], last: QueueId): QueueView[] {
  queues.sort((a, b) => a.queueId - b.queueId);
  const at = queues.findIndex(({ queueId }) => queueId > last);
  return at <= 0 ? queues : [...queues.slice(at), ...queues.slice(0, at)];
}

/** From there on buckets may still grow, or hold what everybody may read. */
async function firstYoungBucket(
  { nowMs, offsetAtTime, onDamage }: CompactionSource,
  queue: QueueView,
): Promise<number> {
  const { compaction, endOffset, startOffset } = queue;
  if (startOffset === endOffset) return bucketOf(startOffset);
  try {
    return bucketOf(await offsetAtTime(queue, nowMs - compaction!.minLagMs + 1));
  } catch (error) {
    // Rows that go while they are looked at are no damage.
    if (queue.open && queue.startOffset === startOffset) onDamage(error as Error, 0);
    return bucketOf(startOffset);
  }
}

function isMostlyGone(live: number, total: number): boolean {
  return total > 0 && total - live >= total * GONE_PART;
}

/** False: somebody else leads, or has changed the rows; or there is no room just now. */
export async function compactBucket(
  source: CompactionSource,
  queue: QueueView,
  plan: BucketPlan,
): Promise<boolean> {
  let left = plan.total;
  let before = plan.before;
  // What came of the parts before lies from there on.
  let lowestOfThem = Number.MAX_SAFE_INTEGER;
  for (const part of plan.parts.keys()) {
    const compacted = await compactedPart(source, queue, { ...plan, total: left, before }, part);
    if (compacted === undefined) return false;
    const { command, payload } = compacted;
    const lowest = Math.min(command.lowest, lowestOfThem);
    const index = await propose(source, { ...command, lowest }, payload);
    if (index === undefined) return false;
    lowestOfThem = Math.min(lowestOfThem, index);
    before = index;
    left = command.left;
  }
  return true;
}

/** Without parts: it would gain too little. undefined = not now. */
export async function planOfBucket(
  source: CompactionSource,
  queue: QueueView,
  bucket: number,
  { entryBytes, isEarly, mayCompact }: Thresholds = THRESHOLDS,
): Promise<BucketPlan | undefined> {
  // Taken before the rows are read: whoever changes them meanwhile changes it.
  const before = source.data.lateBucket(queue.queueId, bucket)?.compacted?.at ?? 0;
  const until = isEarly ? Math.min(queue.endOffset, bucketEnd(bucket)) : bucketEnd(bucket);
  const rows = await rowsOfBucket(source, queue, bucket, until);
  const newest = rows.at(-1)?.storedAtMs;
  if (newest === undefined || newest + queue.compaction!.minLagMs > source.nowMs) return undefined;
  const looked: LookedAt[] = [];
  for (const row of rows) {
    const found = await lookAt(source, queue, row);
    if (found === undefined) return undefined;
    // Counts alone are kept: the messages of a bucket may be more than fits into memory.
    const shownBytes = sum(found.shown, ({ start, end }) => end - start);
    const { hiddenCount, shown } = found;
    looked.push({ row, shownCount: shown.length, shownBytes, hiddenCount });
  }
  const hidden = sum(looked, ({ hiddenCount }) => hiddenCount);
  const here = hidden + sum(looked, ({ shownCount }) => shownCount);
  const parts = mayCompact(hidden, here) ? partsOf(looked, entryBytes) : [];
  return { until, before, total: here + bucketEnd(bucket) - until, parts };
}

/** Rows that stand next to each other, until what is left of them is a whole entry. */
function partsOf(looked: readonly LookedAt[], entryBytes: number): QueueIndexRow[][] {
  const parts: QueueIndexRow[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const { row, shownBytes } of looked) {
    bytes += shownBytes;
    if (bytes > entryBytes) {
      parts.push([]);
      bytes = shownBytes;
    }
    parts.at(-1)!.push(row);
  }
  return parts;
}

/** All of them or none: what may have gone from memory or been trimmed meanwhile is for later. */
async function rowsOfBucket(
  source: CompactionSource,
  queue: QueueView,
  bucket: number,
  until: number,
): Promise<readonly QueueIndexRow[]> {
  const { queueId, startOffset } = queue;
  const first = Math.max(startOffset, bucketEnd(bucket - 1));
  if (first >= until || until > queue.endOffset) return [];
  try {
    const read = await source.rowsFrom(queueId, first, LATE_REFERENCE_OFFSETS + 1);
    const rows = read.filter((row) => bucketOf(lastOf(row)) === bucket);
    const [from, to] = [rows[0], read.at(-1)];
    const isWhole = from !== undefined && from.baseOffset <= first && lastOf(to!) >= until - 1;
    return isWhole && queue.startOffset === startOffset ? rows : [];
  } catch (error) {
    if (queue.open && queue.startOffset === startOffset) source.onDamage(error as Error, 0);
    return [];
  }
}

interface Found {
  readonly entry: Entry;
  readonly shown: readonly KeptMessage[];
  readonly hiddenCount: number;
}

async function lookAt(
  source: CompactionSource,
  { compaction, queueId }: QueueView,
  row: QueueIndexRow,
): Promise<Found | undefined> {
  const { data, host, nowMs, shard } = source;
  const entry = await new Promise<Entry | Error>((resolve) => {
    host.readEntry(shard, row.index, (error, found) => {
      const isThere = error === undefined && found?.term === row.term;
      resolve(isThere ? found : (error ?? new Error(`entry ${row.index} is not there`)));
    });
  });
  if (entry instanceof Error) {
    // One that was trimmed meanwhile, or a queue that was closed, is no damage.
    const queue = data.queue(queueId);
    if (queue !== undefined && lastOf(row) >= queue.startOffset) source.onDamage(entry, row.index);
    return undefined;
  }
  const shown: KeptMessage[] = [];
  let hiddenCount = 0;
  for (const message of keptMessages(row, entry)) {
    const { key } = keyOfMessage(entry.payload, message.start, message.end);
    const { storedAtMs } = message.run;
    const what = { queueId, key, offset: message.offset, storedAtMs };
    if (isShown(what, compaction!, data.compactedKeys, nowMs)) shown.push(message);
    else hiddenCount += 1;
  }
  return { entry, shown, hiddenCount };
}

/** What is not shown any more since the plan was made is left out, too. */
export async function compactedPart(
  source: CompactionSource,
  queue: QueueView,
  plan: BucketPlan,
  part: number,
): Promise<Compacted | undefined> {
  const { before, parts, total, until } = plan;
  const runs: KeptRun[] = [];
  const payload: Uint8Array[] = [];
  let left = total;
  for (const row of parts[part]!) {
    const found = await lookAt(source, queue, row);
    if (found === undefined) return undefined;
    const { entry, hiddenCount, shown } = found;
    left -= hiddenCount;
    for (const run of runsOf(shown)) runs.push(run);
    // Copied, so that what is gone of the entry is not held.
    for (const { start, end } of shown) payload.push(entry.payload.slice(start, end));
  }
  const { replaced, row } = mergedRow(parts[part]!);
  const behind = parts.slice(part + 1).flatMap((rows) => rows.map(({ index }) => index));
  const lowest = Math.min(Number.MAX_SAFE_INTEGER, ...behind);
  const rest = { runs, left, before, lowest, until };
  return {
    command: { type: 'compactRows', row, replaced, ...rest },
    payload: Buffer.concat(payload),
  };
}

/** From the first one's beginning to the last one's end. */
export function mergedRow(rows: readonly QueueIndexRow[]) {
  const { baseOffset } = rows[0]!;
  const last = rows.at(-1)!;
  const { cumulativeBytes, queueId, storedAtMs } = last;
  const count = last.baseOffset + last.count - baseOffset;
  const row = { queueId, baseOffset, count, storedAtMs, cumulativeBytes };
  return { row, replaced: rows.slice(0, -1).map(lastOf) };
}

/** Of one entry. */
function runsOf(shown: readonly KeptMessage[]): KeptRun[] {
  const runs: KeptRun[] = [];
  let of: KeptRun | undefined;
  for (const { offset, run } of shown) {
    const open = runs.at(-1);
    if (open !== undefined && of === run && offset === open.offset + open.count) {
      runs[runs.length - 1] = { ...open, count: open.count + 1 };
      continue;
    }
    of = run;
    const firstPosition = run.firstPosition + offset - run.offset;
    runs.push({ ...run, offset, count: 1, firstPosition });
  }
  return runs;
}

/** Its index; undefined: it did nothing, or nobody knows. */
function propose(
  { host, shard }: CompactionSource,
  command: CompactRows,
  payload: Uint8Array,
): Promise<LogIndex | undefined> {
  return new Promise((resolve) => {
    host.propose(shard, encodeCommand(command), payload, 'majorityFsync', (outcome) => {
      const result = outcome.status === 'applied' ? (outcome.result as ApplyResult) : undefined;
      const isDone = result?.type === 'copied' && result.moved;
      resolve(isDone && outcome.status === 'applied' ? outcome.index : undefined);
    });
  });
}

function lastOf({ baseOffset, count }: QueueIndexRow): number {
  return baseOffset + count - 1;
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

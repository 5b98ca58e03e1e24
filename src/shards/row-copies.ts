/**
 * Batches that queues show, to be appended again so that the log before may go: of queues that keep
 * longer than others of their shard, and what was shown late. The lowest ones of all queues, with
 * the hidden bodies among them, are looked at together; where the log then begins with a stretch
 * of which most is gone, what is left of it is copied.
 */
import type { LogIndex } from '../../raft/types.ts';
import type { HeldBody, QueueId } from '../broker/commands.ts';
import { ROW_COPIES_LEVEL } from '../broker/feature-level.ts';
import { bucketEnd, bucketOf } from '../broker/late-references.ts';
import { LATE_REFERENCE_OFFSETS } from '../broker/limits.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import { firstPlain, type QueueFront } from './queue-front.ts';
import type { StartRow, TrimSource } from './retention.ts';

/** The largest part of the log gained that may be written again for it. */
export const COPIED_PART = 1 / 2;
/** Bounds what one decision holds in memory and what one pass writes. */
export const COPIES_PER_DECISION = 256;

export interface RowCopy {
  readonly row: QueueIndexRow;
  /** As in the command: of its bucket, with this one and those before it copied. */
  readonly lowest: LogIndex;
  readonly until: number;
  /** Of a compacted queue: as in `compactRows`, but for what is copied of the bucket before. */
  readonly compaction?: { readonly before: LogIndex; readonly left: number };
}

/** What copying it lets go of begins at `index`; that may be below where it lies. */
type Candidate = { readonly index: LogIndex; readonly bytes: number } & (
  | { readonly row: RowCopy; readonly body?: undefined }
  | { readonly row?: undefined; readonly body: HeldBody }
);

/** Buckets that one decision reads: what lies beyond is looked at once these have gone. */
const BUCKETS_MAX = 256;
const BODIES_MAX = 4096;
/** What an entry takes in the log beside its messages, about. */
const ENTRY_OVERHEAD_BYTES = 128;
/** Bounds what one pass writes. */
const COPIED_BYTES_MAX = 16 * 1024 * 1024;

export async function copiesOfFronts(
  source: TrimSource,
  fronts: readonly QueueFront[],
): Promise<{ copies: readonly HeldBody[]; rowCopies: readonly RowCopy[] }> {
  const mayCopy = source.isHoldingLog && source.data.featureLevel() >= ROW_COPIES_LEVEL;
  const chosen = mayCopy ? worthIt(source, await lowestIfThere(source, fronts)) : [];
  return {
    copies: chosen.flatMap(({ body }) => body ?? []),
    rowCopies: chosen.flatMap(({ row }) => row ?? []),
  };
}

/** All that is needed below an index, ascending, and that index. */
interface Stretch {
  readonly candidates: readonly Candidate[];
  readonly end: LogIndex;
}

interface Bucket {
  readonly queueId: QueueId;
  readonly bucket: number;
  readonly index: LogIndex;
  /** Its queue's order begins in it, and goes on behind it. */
  readonly isPlain: boolean;
}

/** Rows that go while they are looked at, by another's trim, are no reason to copy anything. */
async function lowestIfThere(source: TrimSource, fronts: readonly QueueFront[]): Promise<Stretch> {
  try {
    return await lowestOnes(source, fronts);
  } catch (error) {
    if (fronts.every(({ before, queue }) => queue.open && queue.startOffset === before)) {
      throw error;
    }
    return { candidates: [], end: 0 };
  }
}

/** Of all that is needed, hidden bodies too. */
export async function lowestOnes(
  source: TrimSource,
  fronts: readonly QueueFront[],
): Promise<Stretch> {
  const { data } = source;
  const byQueue = new Map(fronts.map((front) => [front.queue.queueId, front]));
  const found: Candidate[] = [];
  const seen = new Set<string>();
  const ahead = bucketsOf(source, fronts);
  while (ahead.length > 0 && seen.size < BUCKETS_MAX) {
    const next = ahead.shift()!;
    const { bucket, isPlain, queueId } = next;
    const name = `${queueId}/${bucket}`;
    const front = byQueue.get(queueId);
    if (front === undefined) continue;
    if (!seen.has(name)) found.push(...(await rowsOf(source, next, front)));
    seen.add(name);
    if (!isPlain) continue;
    const row = await source.rowAt(queueId, bucketEnd(bucket));
    const plain = await firstPlain(data, source.rowAt, queueId, row);
    if (plain === undefined) continue;
    ahead.push(plainBucket(queueId, plain));
    ahead.sort((a, b) => a.index - b.index);
  }
  const limit = Math.min(source.matchedByAll, source.applied) + 1;
  let end = Math.min(ahead[0]?.index ?? limit, limit);
  const bodies = data.heldBodies(end, BODIES_MAX);
  if (bodies.length === BODIES_MAX) end = bodies.at(-1)!.at.index;
  for (const body of bodies) found.push({ body, index: body.at.index, bytes: 0 });
  const candidates = found.filter(({ index }) => index < end).sort((a, b) => a.index - b.index);
  return { candidates, end };
}

function bucketsOf({ data }: TrimSource, fronts: readonly QueueFront[]): Bucket[] {
  const found: Bucket[] = [];
  for (const { queueId, bucket, lowest } of data.lateBuckets()) {
    found.push({ queueId, bucket, index: lowest, isPlain: false });
  }
  for (const { queue, plain } of fronts) {
    if (plain !== undefined) found.push(plainBucket(queue.queueId, plain));
  }
  return found.sort((a, b) => a.index - b.index);
}

function plainBucket(queueId: QueueId, row: StartRow): Bucket {
  return { queueId, bucket: bucketOf(lastOf(row)), index: row.index, isPlain: true };
}

/**
 * In the order in which they are to be copied: each names what is left of the bucket then. What is
 * to go with the next trim is not copied, but is left until then.
 */
async function rowsOf(
  source: TrimSource,
  { bucket, index, queueId }: Bucket,
  { before, queue, startOffset }: QueueFront,
): Promise<Candidate[]> {
  const until = Math.min(queue.endOffset, bucketEnd(bucket));
  const isCompacted = queue.compaction !== undefined;
  const compacted = isCompacted ? source.data.lateBucket(queueId, bucket)?.compacted : undefined;
  // With the row before the bucket, which says how large the first one in it is.
  const first = Math.max(before, bucketEnd(bucket - 1) - 1);
  const limit = LATE_REFERENCE_OFFSETS + 1;
  const read = first < until ? await source.rowsFrom(queueId, first, limit) : [];
  // Some may have left memory while LevelDB was asked: of a bucket all or none is told.
  const isWhole = read.length > 0 && lastOf(read.at(-1)!) + 1 >= until;
  const rows = isWhole ? read.filter((row) => bucketOf(lastOf(row)) === bucket) : [];
  const messages = rows.reduce((sum, { count }) => sum + count, 0);
  const { at: compactedBy = 0, left: known = messages } = compacted ?? {};
  // What is still to come of an open bucket must not be unknown to whoever looks at it when full.
  const left = until < bucketEnd(bucket) ? LATE_REFERENCE_OFFSETS : known;
  const compaction = isCompacted ? { compaction: { before: compactedBy, left } } : {};
  // Rows say what was stored once.
  const leftPart = messages === 0 ? 1 : Math.min(1, left / messages);
  const bytesOf = new Map(read.map((row, at) => [row, bytesBetween(read[at - 1], row) * leftPart]));
  const going = rows.filter((row) => lastOf(row) < startOffset);
  const staying = rows.filter((row) => lastOf(row) >= startOffset);
  staying.sort((a, b) => a.index - b.index);
  const behind = Math.min(source.applied + 1, ...going.map((row) => row.index));
  return staying.map((row, at) => {
    const lowest = Math.min(staying[at + 1]?.index ?? behind, behind);
    // What is known of a bucket may be of a batch that has gone since.
    const from = at === 0 ? Math.min(index, row.index) : row.index;
    return { row: { row, lowest, until, ...compaction }, index: from, bytes: bytesOf.get(row)! };
  });
}

function lastOf({ baseOffset, count }: StartRow): number {
  return baseOffset + count - 1;
}

/** Of the first one after a start nothing is known. */
function bytesBetween(before: QueueIndexRow | undefined, row: QueueIndexRow): number {
  if (before !== undefined) return row.cumulativeBytes - before.cumulativeBytes;
  return row.baseOffset === 0 ? row.cumulativeBytes : 0;
}

/** As many of the first as let go of most for what they cost. */
function worthIt(source: TrimSource, { candidates, end }: Stretch): readonly Candidate[] {
  const first = candidates[0]?.index ?? end;
  const bytesPerEntry = entryBytes(source);
  let best = { count: 0, gain: 0 };
  let bytes = 0;
  for (const [at, one] of candidates.entries()) {
    bytes += one.bytes + ENTRY_OVERHEAD_BYTES;
    const gained = (candidates[at + 1]?.index ?? end) - first;
    const cost = Math.max(at + 1, bytes / bytesPerEntry) / COPIED_PART;
    const gain = gained - cost;
    if (gain > best.gain) best = { count: at + 1, gain };
  }
  // Side by side no few of them pay, however little is needed: then a round through all does.
  const isDense = best.count === 0 && candidates.length > 0;
  const count = isDense && isMostlyFree(source, first) ? candidates.length : best.count;
  return firstOf(candidates.slice(0, Math.min(count, COPIES_PER_DECISION)));
}

/** At most so much of the log from `first` on is needed that it is worth a round. */
function isMostlyFree(source: TrimSource, first: LogIndex): boolean {
  const { applied, data } = source;
  const bytesPerEntry = entryBytes(source);
  let entries = data.heldBodies(Number.MAX_SAFE_INTEGER, BODIES_MAX).length;
  if (entries === BODIES_MAX) return false;
  let bytes = entries * bytesPerEntry;
  const bytesPerMessage = new Map<QueueId, number>();
  for (const { cumulativeBytes, endOffset, queueId, startOffset } of data.queues()) {
    const each = cumulativeBytes / Math.max(1, endOffset);
    bytesPerMessage.set(queueId, each);
    entries += endOffset - startOffset;
    bytes += (endOffset - startOffset) * (each + ENTRY_OVERHEAD_BYTES);
  }
  // A bucket that was compacted is one entry, or few.
  for (const { compacted, queueId } of data.lateBuckets()) {
    if (compacted === undefined) continue;
    const gone = LATE_REFERENCE_OFFSETS - compacted.left;
    entries -= LATE_REFERENCE_OFFSETS - 1;
    bytes -= gone * ((bytesPerMessage.get(queueId) ?? 0) + ENTRY_OVERHEAD_BYTES);
  }
  const worth = (applied - first) * COPIED_PART;
  return entries <= worth && bytes <= worth * bytesPerEntry;
}

/** Of this shard's entries since its beginning, whatever became of them: about. */
function entryBytes({ applied, data }: TrimSource): number {
  let bytes = 0;
  for (const { cumulativeBytes } of data.queues()) bytes += cumulativeBytes;
  return ENTRY_OVERHEAD_BYTES + bytes / Math.max(1, applied);
}

/** At least one, up to a size. */
function firstOf(candidates: readonly Candidate[]): readonly Candidate[] {
  let bytes = 0;
  const end = candidates.findIndex((one, at) => {
    bytes += one.bytes;
    return at > 0 && bytes > COPIED_BYTES_MAX;
  });
  return end === -1 ? candidates : candidates.slice(0, end);
}

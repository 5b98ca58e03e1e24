/**
 * Reads entries back: finds the place in the index, reads chunks that grow with the reader, skips
 * records of other shards, and checks every entry that it returns. Heads and payloads are slices of
 * the chunk. Bounded: so many reads at a time (they share libuv's pool with the writer), so many
 * waiting.
 */
import type { Entry, LogIndex } from '../raft/types.ts';
import { DamagedEntryError, StorageError } from './errors.ts';
import type { Files } from './files.ts';
import type { PortableHeader } from './record.ts';
import {
  entryFrom,
  isEntryType,
  looksLikeRecord,
  RECORD_HEADER_BYTES,
  RecordType,
  readRecordHeader,
  recordBodyLength,
  recordShard,
  verifyBody,
  verifyRecordHeader,
} from './record.ts';
import { segmentName } from './segment.ts';
import type { Segment, Segments } from './segments.ts';
import type { Location, Run, ShardIndex } from './shard-index.ts';

const MIN_CHUNK_BYTES = 64 * 1024;
const MAX_CHUNK_BYTES = 1024 * 1024;
/** A chunk is sparse when less than one part in so many is ours. */
const SPARSE_FACTOR = 4;

export type OnEntries = (error: Error | undefined, entries: readonly Entry[]) => void;

export interface ReaderLimits {
  readonly maxConcurrentReads: number;
  readonly maxQueuedReads: number;
}

export class LogReader {
  readonly files: Files;
  readonly segments: Segments;
  readonly writing: () => boolean;
  private readonly limits: ReaderLimits;
  private readonly queue: ReadJob[] = [];
  private running = 0;
  private awaitingWrite: ReadJob[] = [];
  private closed: Error | undefined;

  /** `writing`: is a write under way that the index already knows? */
  constructor(files: Files, segments: Segments, limits: ReaderLimits, writing: () => boolean) {
    this.files = files;
    this.segments = segments;
    this.limits = limits;
    this.writing = writing;
  }

  get pendingReads(): number {
    return this.running + this.queue.length;
  }

  read(index: ShardIndex, from: LogIndex, to: LogIndex, maxBytes: number, done: OnEntries): void {
    if (this.closed !== undefined) {
      done(this.closed, []);
      return;
    }
    if (this.queue.length >= this.limits.maxQueuedReads) {
      const text = `${this.queue.length} reads are waiting (maxQueuedReads)`;
      done(new StorageError('RESOURCE_EXHAUSTED', text), []);
      return;
    }
    this.queue.push(new ReadJob(this, index, from, to, maxBytes, done));
    this.pump();
  }

  /** More of the newest segment is in the file: reads that came too early go on. */
  written(): void {
    if (this.awaitingWrite.length === 0) return;
    const jobs = this.awaitingWrite;
    this.awaitingWrite = [];
    for (const job of jobs) job.start();
  }

  close(reason: Error): void {
    this.closed = reason;
    for (const job of [...this.queue.splice(0), ...this.awaitingWrite.splice(0)]) {
      job.abandon(reason);
    }
  }

  waitForWrite(job: ReadJob): void {
    this.awaitingWrite.push(job);
  }

  finished(): void {
    this.running -= 1;
    this.pump();
  }

  private pump(): void {
    while (this.running < this.limits.maxConcurrentReads) {
      const job = this.queue.shift();
      if (job === undefined) return;
      this.running += 1;
      job.start();
    }
  }
}

class ReadJob {
  private readonly reader: LogReader;
  private readonly index: ShardIndex;
  private readonly from: LogIndex;
  private readonly to: LogIndex;
  private readonly maxBytes: number;
  private readonly done: OnEntries;
  private entries: Entry[] = [];
  private bytes = 0;
  private expected: LogIndex;
  private generation = 0;
  private chunkBytes: number;
  private run: Run | undefined;
  /** Within the current chunk: places where a sample led past records of other shards. */
  private jumps = 0;
  private bytesBeforeChunk = 0;
  private full = false;
  /** A write has ended since this read began: everything that the index named is in the file. */
  private waited = false;

  constructor(
    reader: LogReader,
    index: ShardIndex,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    done: OnEntries,
  ) {
    this.reader = reader;
    this.index = index;
    this.from = from;
    this.to = to;
    this.maxBytes = maxBytes;
    this.done = done;
    this.expected = from;
    const wanted = maxBytes + RECORD_HEADER_BYTES;
    this.chunkBytes = Math.min(Math.max(wanted, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES);
  }

  /** From the beginning: also when entries were voided under a read on its way. */
  start(): void {
    this.entries = [];
    this.bytes = 0;
    this.expected = this.from;
    if (this.generation !== this.index.generation) this.waited = false;
    this.generation = this.index.generation;
    const { shard, firstIndex, lastIndex } = this.index;
    if (this.from < firstIndex) {
      const text = `shard ${shard} begins at index ${firstIndex}; ${this.from} is gone`;
      this.finish(new StorageError('COMPACTED', text));
      return;
    }
    if (this.from > lastIndex || this.to < this.from) {
      const text = `shard ${shard} ends at index ${lastIndex}; ${this.from} is not there`;
      this.finish(new StorageError('OUT_OF_RANGE', text));
      return;
    }
    this.nextRun();
  }

  abandon(reason: Error): void {
    this.entries = [];
    this.finish(reason);
  }

  private nextRun(): void {
    this.run = this.index.locate(this.expected);
    this.readChunk(this.run.sequence, this.run.position, 0);
  }

  /** Reads at least `neededBytes`, so that a large record comes whole. */
  private readChunk(sequence: number, position: number, neededBytes: number): void {
    const segment = this.reader.segments.get(sequence);
    if (segment === undefined) {
      this.restart();
      return;
    }
    const available = segment.end - position;
    if (available <= 0) {
      this.reachedEnd(segment);
      return;
    }
    const size = Math.min(Math.max(this.chunkBytes, neededBytes), available);
    const chunk = Buffer.allocUnsafeSlow(size);
    this.reader.segments.acquire(segment, (openError, handle) => {
      if (openError !== null) return this.finish(openError);
      this.reader.files.read(handle, chunk, position, (error, bytes) => {
        this.reader.segments.release(segment);
        if (error !== null) return this.finish(this.loss(segment, position, error.message));
        if (bytes < size) return this.finish(this.loss(segment, position, 'the file is shorter'));
        if (this.index.generation !== this.generation) return this.restart();
        this.takeChunk(chunk, segment, position);
      });
    });
  }

  /**
   * Larger chunks while most of them is ours. Where the samples lead from one large record to the
   * next, past those of other shards, a chunk for little more than our record is cheaper.
   */
  private adaptChunk(chunkLength: number): void {
    const ours = this.bytes - this.bytesBeforeChunk;
    if (this.jumps > 0 && ours * SPARSE_FACTOR < chunkLength) {
      const perJump = Math.ceil((ours / this.jumps) * 1.5);
      this.chunkBytes = Math.max(MIN_CHUNK_BYTES, perJump);
    } else {
      this.chunkBytes = Math.min(this.chunkBytes * 2, MAX_CHUNK_BYTES);
    }
  }

  private takeChunk(chunk: Buffer, segment: Segment, base: number): void {
    let at = 0;
    this.jumps = 0;
    this.bytesBeforeChunk = this.bytes;
    for (;;) {
      if (this.full || this.expected > Math.min(this.to, this.index.lastIndex)) {
        this.remember({ sequence: segment.sequence, position: base + at });
        this.finish(undefined);
        return;
      }
      if (this.expected >= this.run!.endIndex) {
        this.run = this.index.locate(this.expected);
        if (this.run.position !== base + at) this.jumps += 1;
        const inChunk = this.run.sequence === segment.sequence && this.run.position >= base;
        if (!inChunk || this.run.position >= base + chunk.length) {
          this.adaptChunk(chunk.length);
          this.readChunk(this.run.sequence, this.run.position, 0);
          return;
        }
        at = this.run.position - base;
      }
      const length = this.takeRecord(chunk, at, segment, base + at);
      if (length === undefined) return;
      at += length;
    }
  }

  /** The record's length, or undefined if the job went elsewhere (more to read, done, damage). */
  private takeRecord(
    chunk: Buffer,
    at: number,
    segment: Segment,
    position: number,
  ): number | undefined {
    const left = chunk.length - at;
    if (left < RECORD_HEADER_BYTES) {
      this.adaptChunk(chunk.length);
      return this.more(segment, position, RECORD_HEADER_BYTES);
    }
    if (!looksLikeRecord(chunk, at, segment, position)) {
      return this.lost(segment, position, 'no record begins here');
    }
    const length = RECORD_HEADER_BYTES + recordBodyLength(chunk, at);
    if (recordShard(chunk, at) !== this.index.shard) return length;
    const header = checkedHeader(chunk, at, segment, position);
    if (header === undefined) return this.lost(segment, position, 'the header is damaged');
    const isOurs = this.run!.repair ? header.type === RecordType.repair : isEntryType(header.type);
    if (!isOurs || header.index < this.expected) return length;
    if (header.index > this.expected) {
      return this.lost(segment, position, `index ${this.expected} is missing`);
    }
    const cost = header.bodyLength + RECORD_HEADER_BYTES;
    if (this.entries.length > 0 && this.bytes + cost > this.maxBytes) {
      this.full = true;
      return 0;
    }
    if (left < length) {
      this.adaptChunk(chunk.length);
      return this.more(segment, position, length);
    }
    if (!verifyBody(chunk, at + RECORD_HEADER_BYTES, header)) {
      return this.lost(segment, position, `the body of index ${header.index} is damaged`);
    }
    this.entries.push(entryFrom(chunk, at + RECORD_HEADER_BYTES, header));
    this.bytes += cost;
    this.expected += 1;
    return length;
  }

  /** Behind a repair the log does not go on. */
  private remember(at: Location): void {
    if (this.run?.repair === false) this.index.remember(this.expected, at);
  }

  private more(segment: Segment, position: number, neededBytes: number): undefined {
    this.readChunk(segment.sequence, position, neededBytes);
  }

  private lost(segment: Segment, position: number, reason: string): undefined {
    this.finish(this.loss(segment, position, reason));
  }

  /** Nothing more is in the file: the entry is in a write under way, or it is lost. */
  private reachedEnd(segment: Segment): void {
    if (this.entries.length > 0) {
      this.finish(undefined);
      return;
    }
    if (segment === this.reader.segments.active && !this.waited && this.reader.writing()) {
      this.waited = true;
      this.reader.waitForWrite(this);
      return;
    }
    this.finish(this.loss(segment, segment.end, `index ${this.expected} is missing`));
  }

  private restart(): void {
    this.full = false;
    this.start();
  }

  /** Names the entry: a peer may have it. */
  private loss(segment: Segment, position: number, reason: string): StorageError {
    const where = `${segmentName(segment.sequence)} at byte ${position}`;
    const what = `shard ${this.index.shard}, index ${this.expected}`;
    const text = `${where} (${what}): ${reason}`;
    return new DamagedEntryError(text, this.index.idAt(this.expected));
  }

  /** Entries in hand are good whatever came after them; the next read will meet the error. */
  private finish(error: Error | undefined): void {
    const failed = this.entries.length === 0 ? error : undefined;
    this.done(failed, this.entries);
    this.reader.finished();
  }
}

function checkedHeader(
  chunk: Buffer,
  at: number,
  segment: Segment,
  position: number,
): PortableHeader | undefined {
  if (!verifyRecordHeader(chunk, at, segment, position)) return undefined;
  try {
    return readRecordHeader(chunk, at);
  } catch {
    return undefined;
  }
}

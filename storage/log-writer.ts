/**
 * The single writer with group commit: everything that waits goes out as one vectored write and one
 * sync; the next flush starts when the last one ended. No timer, no promise. The first write or
 * sync that fails stops the writer for good: nothing is tried again on a disk that lied once.
 */
import assert from 'node:assert';
import path from 'node:path';
import type { LogRecord, WriteCallbacks } from '../raft/ports.ts';
import { ioError } from './errors.ts';
import type { Files, Handle } from './files.ts';
import { FlushBuffer } from './flush-buffer.ts';
import { InitialContent } from './initial-content.ts';
import type { LogShards } from './log-shards.ts';
import { MAX_BODY_BYTES, RECORD_HEADER_BYTES } from './record.ts';
import type { SegmentHeader } from './segment.ts';
import { createSegment, segmentName, shortWrite, sidecarName, writeAndSync } from './segment.ts';
import type { Segment, Segments } from './segments.ts';
import type { Location, ShardIndex } from './shard-index.ts';
import { encodeSidecar, sidecarOf } from './sidecar.ts';

/** Estimate for the body of a `state` record when counting what waits. */
const STATE_BYTES = 512;

export interface WriterLimits {
  /** A segment is closed when the next record does not fit into this. */
  readonly segmentBytes: number;
  readonly maxFlushBytes: number;
  /** Callers must not exceed it: they refuse work while `queuedBytes` is high. */
  readonly maxQueuedBytes: number;
  /** Zeros written ahead of small flushes, which then overwrite allocated blocks. */
  readonly preallocateBytes: number;
  /** Larger flushes just grow the file. */
  readonly preallocateBelowBytes: number;
  /** Use one O_DSYNC write where nobody wants to know of *written*. */
  readonly singleStepSync: boolean;
}

export interface WriterEvents {
  /** The newest segment's `end` moved. */
  onWritten(): void;
  /**
   * Everything that the indexes name is on the disk; the next flush has not begun. `mayFree`: a
   * log start moved, or a shard left.
   */
  onSynced(mayFree: boolean): void;
  /** After `onSynced`: if more waited, the next flush is under way. */
  onFlushed(): void;
  onFatal(error: Error): void;
}

export interface WriterStats {
  flushes: number;
  /** Of the last flush, from the first write to the end of the sync. */
  lastFlushMs: number;
  records: number;
  writtenBytes: number;
  rolls: number;
}

interface Pending {
  readonly records: readonly LogRecord[];
  readonly callbacks: WriteCallbacks;
  /** The next record to put into a flush. */
  next: number;
}

/** The newest segment's descriptors and how far it is known to be on the disk. */
export interface WriteTarget {
  readonly segment: Segment;
  readonly handle: Handle;
  readonly syncHandle: Handle;
  /** Where the content of its birth ends. */
  readonly initialEnd: number;
  synced: number;
}

export class LogWriter {
  readonly stats: WriterStats = {
    flushes: 0,
    lastFlushMs: 0,
    records: 0,
    writtenBytes: 0,
    rolls: 0,
  };
  /** Bytes accepted and not yet durable. */
  queuedBytes = 0;
  private readonly files: Files;
  private readonly directory: string;
  private readonly segments: Segments;
  private readonly shards: LogShards;
  private readonly limits: WriterLimits;
  private readonly events: WriterEvents;
  private readonly buffer: FlushBuffer;
  private readonly zeros: Buffer;
  private target: WriteTarget;
  private queue: Pending[] = [];
  private completing: Pending[] = [];
  private startsMoved: ShardIndex[] = [];
  private mayFree = false;
  private flushQueuedBytes = 0;
  private flushBeganMs = 0;
  private busy = false;
  private failed = false;

  constructor(
    files: Files,
    directory: string,
    segments: Segments,
    shards: LogShards,
    limits: WriterLimits,
    target: WriteTarget,
    events: WriterEvents,
  ) {
    this.files = files;
    this.directory = directory;
    this.segments = segments;
    this.shards = shards;
    this.limits = limits;
    this.target = target;
    this.events = events;
    this.buffer = new FlushBuffer(limits.maxFlushBytes);
    this.zeros = Buffer.alloc(limits.preallocateBytes);
  }

  get active(): WriteTarget {
    return this.target;
  }

  /** A write is under way (or a segment is being changed). */
  get writing(): boolean {
    return this.busy;
  }

  get idle(): boolean {
    return !this.busy && this.queue.length === 0;
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    if (this.failed) return;
    this.queuedBytes += queuedSize(records);
    assert(this.queuedBytes <= this.limits.maxQueuedBytes, 'maxQueuedBytes exceeded');
    this.queue.push({ records, callbacks, next: 0 });
    if (!this.busy) this.flush();
  }

  /** No write reaches the disk any more and no callback is called. */
  fail(error: Error): void {
    if (this.failed) return;
    this.failed = true;
    this.queue = [];
    this.completing = [];
    this.events.onFatal(error);
  }

  private flush(): void {
    if (this.failed || this.queue.length === 0) return;
    this.busy = true;
    try {
      const wantsWritten = this.gather();
      if (this.buffer.bytes === 0 && this.completing.length === 0) this.roll();
      else this.writeOut(wantsWritten);
    } catch (error) {
      this.fail(error as Error);
      throw error;
    }
  }

  /** Moves what fits from the queue into the flush buffer. True if anyone wants `onWritten`. */
  private gather(): boolean {
    let wantsWritten = false;
    let taken = 0;
    this.buffer.begin(this.target.segment, this.target.segment.end, this.target.synced);
    while (taken < this.queue.length) {
      const pending = this.queue[taken]!;
      wantsWritten ||= pending.callbacks.onWritten !== undefined;
      if (!this.takeRecords(pending)) break;
      this.completing.push(pending);
      this.flushQueuedBytes += queuedSize(pending.records);
      taken += 1;
    }
    if (taken === this.queue.length) this.queue = [];
    else this.queue.splice(0, taken);
    return wantsWritten;
  }

  /** False if the flush or the segment is full before the last record. */
  private takeRecords(pending: Pending): boolean {
    while (pending.next < pending.records.length) {
      const record = pending.records[pending.next]!;
      if (!this.buffer.fits(record) || !this.segmentFits(record)) return false;
      this.takeRecord(record);
      pending.next += 1;
    }
    return true;
  }

  private segmentFits(record: LogRecord): boolean {
    const { segment, initialEnd } = this.target;
    const at = segment.end + this.buffer.bytes;
    return at === initialEnd || at + recordSize(record) <= this.limits.segmentBytes;
  }

  private takeRecord(record: LogRecord): void {
    const at = { sequence: this.target.segment.sequence, position: this.buffer.position };
    this.stats.records += 1;
    this.note(record, at);
    this.buffer.add(record);
  }

  /** The indexes know of a record as soon as it is on its way. */
  private note(record: LogRecord, at: Location): void {
    const { kind, shard } = record;
    const index = this.shards.get(shard);
    if (kind === 'drop') {
      this.shards.drop(shard, record.replica);
      this.mayFree = true;
      return;
    }
    if (kind === 'state' && index === undefined) {
      const created = this.shards.create(shard, record.state, false);
      created.bornIn = at.sequence;
      this.startsMoved.push(created);
      return;
    }
    assert(index !== undefined, `shard ${shard} has no state yet`);
    if (kind === 'entry') index.append(record.entry, at);
    else if (kind === 'repair') index.repair(record.entry, at);
    else {
      const before = index.state.logStart.index;
      if (kind === 'reset') index.reset(record.state, at.sequence);
      else index.setState(record.state);
      if (before !== record.state.logStart.index) this.startsMoved.push(index);
    }
  }

  private writeOut(wantsWritten: boolean): void {
    const { segment, handle, syncHandle } = this.target;
    const { bytes } = this.buffer;
    const parts = this.buffer.parts();
    const end = segment.end + bytes;
    const zeros = this.zerosAfter(end, bytes);
    if (zeros > 0) parts.push(this.zeros.subarray(0, zeros));
    const singleStep = this.limits.singleStepSync && !wantsWritten;
    this.stats.flushes += 1;
    this.stats.writtenBytes += bytes + zeros;
    this.flushBeganMs = performance.now();
    if (bytes === 0) {
      this.written();
      this.synced();
      return;
    }
    this.files.write(singleStep ? syncHandle : handle, parts, segment.end, (error, count) => {
      if (this.failed) return;
      if (error !== null) return this.failOn('write to', error);
      if (count !== bytes + zeros) return this.failOn('write to', shortWrite(count, bytes + zeros));
      segment.fileBytes = Math.max(segment.fileBytes, end + zeros);
      segment.end = end;
      this.written();
      if (singleStep) return this.synced();
      this.files.datasync(handle, (syncError) => {
        if (this.failed) return;
        if (syncError !== null) return this.failOn('sync of', syncError);
        this.synced();
      });
    });
  }

  private zerosAfter(end: number, bytes: number): number {
    const { preallocateBytes, preallocateBelowBytes, segmentBytes } = this.limits;
    if (end <= this.target.segment.fileBytes || bytes >= preallocateBelowBytes) return 0;
    return Math.max(0, Math.min(preallocateBytes, segmentBytes - end));
  }

  private written(): void {
    this.events.onWritten();
    for (const { callbacks } of this.completing) callbacks.onWritten?.();
  }

  private synced(): void {
    this.target.synced = this.target.segment.end;
    this.stats.lastFlushMs = performance.now() - this.flushBeganMs;
    this.queuedBytes -= this.flushQueuedBytes;
    this.flushQueuedBytes = 0;
    this.buffer.end();
    const completed = this.completing;
    this.completing = [];
    for (const index of this.startsMoved) index.durableLogStart = index.state.logStart.index;
    const mayFree = this.mayFree || this.startsMoved.length > 0;
    if (this.startsMoved.length > 0) this.startsMoved = [];
    this.mayFree = false;
    for (const { callbacks } of completed) callbacks.onDurable();
    this.busy = false;
    this.events.onSynced(mayFree);
    this.flush();
    this.events.onFlushed();
  }

  /** Everything in the old segment is on the disk here: one flush at a time. */
  private roll(): void {
    const old = this.target;
    assert.equal(old.synced, old.segment.end);
    const sequence = old.segment.sequence + 1;
    const segment = { sequence, epoch: old.segment.epoch };
    const sidecar = encodeSidecar(sidecarOf(this.shards, old.segment, old.segment.end));
    const content = new InitialContent(segment, this.shards);
    const header = { ...segment, previousEnd: old.segment.end, initialEnd: content.end };
    startSegment(this.files, this.directory, header, [content.bytes()], (error, t) => {
      if (this.failed) return;
      if (error !== null) return this.fail(error);
      this.stats.rolls += 1;
      this.segments.add(t.segment);
      this.target = t;
      this.files.close(old.syncHandle, () => {});
      writeSidecar(this.files, this.directory, old.segment.sequence, sidecar, (failure) => {
        if (failure !== null) this.fail(failure);
      });
      this.busy = false;
      this.flush();
    });
  }

  private failOn(action: string, error: Error): void {
    const file = path.join(this.directory, segmentName(this.target.segment.sequence));
    this.fail(ioError(action, file, error));
  }
}

/** Creates a segment and opens it for both ways of writing. */
export function startSegment(
  files: Files,
  directory: string,
  header: SegmentHeader,
  content: readonly Uint8Array[],
  done: (error: Error | null, target: WriteTarget) => void,
): void {
  const { sequence, epoch, initialEnd } = header;
  const none = undefined as unknown as WriteTarget;
  createSegment(files, directory, header, content, (error, handle) => {
    if (error !== null) return done(error, none);
    const file = path.join(directory, segmentName(sequence));
    files.open(file, 'writeDsync', (openError, syncHandle) => {
      if (openError !== null) return done(ioError('opening', file, openError), none);
      const segment: Segment = {
        sequence,
        epoch,
        end: initialEnd,
        fileBytes: initialEnd,
        handle,
        readers: 0,
        removed: false,
      };
      done(null, { segment, handle, syncHandle, initialEnd, synced: initialEnd });
    });
  });
}

export function writeSidecar(
  files: Files,
  directory: string,
  sequence: number,
  content: Buffer,
  done: (error: Error | null) => void,
): void {
  const file = path.join(directory, sidecarName(sequence));
  const finish = (error: Error | null): void =>
    done(error === null ? null : ioError('write to', file, error));
  files.open(file, 'create', (openError, handle) => {
    if (openError !== null) return finish(openError);
    writeAndSync(files, handle, [content], 0, (error) => {
      files.close(handle, (closeError) => finish(error ?? closeError));
    });
  });
}

function recordSize(record: LogRecord): number {
  if (record.kind === 'drop') return RECORD_HEADER_BYTES;
  if (record.kind === 'state' || record.kind === 'reset') return RECORD_HEADER_BYTES + STATE_BYTES;
  const body = record.entry.head.length + record.entry.payload.length;
  assert(body <= MAX_BODY_BYTES, 'entry over MAX_BODY_BYTES');
  return RECORD_HEADER_BYTES + body;
}

function queuedSize(records: readonly LogRecord[]): number {
  let bytes = 0;
  for (const record of records) bytes += recordSize(record);
  return bytes;
}

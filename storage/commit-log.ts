/**
 * The commit log of a data directory, shared by all shards of the node: opening, the `LogStore`
 * port, removal of old segments, the idle marker, closing. Writing is in `log-writer.ts`, reading
 * in `log-reader.ts`, what is found at open in `recovery.ts`.
 */
import assert from 'node:assert';
import type { LogRecord, LogStore, WriteCallbacks } from '../raft/ports.ts';
import type { LogIndex, RecoveredShard, ReplicaId, ShardId, ShardState } from '../raft/types.ts';
import { StorageError } from './errors.ts';
import type { Done, Files } from './files.ts';
import { nodeFiles, promised, promisedDone } from './files.ts';
import type { OnEntries } from './log-reader.ts';
import { LogReader } from './log-reader.ts';
import type { LogShards } from './log-shards.ts';
import type { WriteTarget } from './log-writer.ts';
import { LogWriter, writeSidecar } from './log-writer.ts';
import type { MarkerFile } from './marker.ts';
import { openLogFiles } from './open-log.ts';
import type { RecoveryReport } from './recovery.ts';
import type { Segments } from './segments.ts';
import { encodeSidecar, sidecarOf } from './sidecar.ts';

/** Calls `run` once after the delay; gives the way to take it back. */
export type LogTimer = (delayMs: number, run: () => void) => () => void;

/**
 * What to make of damage below the synced point. `isolate`: a shard opens with entries named as
 * `damaged`, or as `suspect`, unless this replica is its only voter. Whoever asks for it honours
 * both marks.
 */
export type OnDamage = 'refuse' | 'isolate';

export interface CommitLogOptions {
  readonly directory: string;
  /** First failed write or sync, or a failed removal: the process must end. Called once. */
  readonly onFatal: (error: Error) => void;
  /** Shards that a new node begins with; those that the log already knows are left alone. */
  readonly createShards?: readonly { readonly shard: ShardId; readonly state: ShardState }[];
  /** After each flush: how long it took, from the first write to the end of the sync. */
  readonly onFlushTimed?: (durationMs: number) => void;
  /** Default `refuse`. */
  readonly onDamage?: OnDamage;
  readonly files?: Files;
  readonly timer?: LogTimer;
  readonly limits?: Partial<CommitLogLimits>;
}

export interface CommitLogLimits {
  readonly segmentBytes: number;
  readonly maxFlushBytes: number;
  readonly maxQueuedBytes: number;
  readonly preallocateBytes: number;
  readonly preallocateBelowBytes: number;
  readonly singleStepSync: boolean;
  readonly maxConcurrentReads: number;
  readonly maxQueuedReads: number;
  /** The marker file is written when nothing was flushed for this long. */
  readonly markerDelayMs: number;
}

const MIB = 1024 * 1024;

export const COMMIT_LOG_DEFAULTS: CommitLogLimits = Object.freeze({
  segmentBytes: 64 * MIB,
  maxFlushBytes: 8 * MIB,
  maxQueuedBytes: 256 * MIB,
  preallocateBytes: MIB,
  preallocateBelowBytes: 128 * 1024,
  singleStepSync: true,
  maxConcurrentReads: 8,
  maxQueuedReads: 1024,
  markerDelayMs: 50,
});

/** File positions are 32-bit, and a new segment may hold a copied tail beside its own share. */
const MAX_SEGMENT_BYTES = 1024 * MIB;

export interface CommitLogStats {
  readonly segments: number;
  readonly bytesOnDisk: number;
  readonly flushes: number;
  readonly records: number;
  readonly writtenBytes: number;
  readonly rolls: number;
  readonly lastFlushMs: number;
  readonly queuedBytes: number;
  readonly pendingReads: number;
  readonly deletedSegments: number;
  readonly freedBytes: number;
}

export async function openCommitLog(options: CommitLogOptions): Promise<CommitLog> {
  const files = options.files ?? nodeFiles;
  const limits = { ...COMMIT_LOG_DEFAULTS, ...options.limits };
  assert(limits.segmentBytes <= MAX_SEGMENT_BYTES, 'segmentBytes over 1 GiB');
  assert(limits.preallocateBytes <= limits.segmentBytes, 'preallocateBytes over segmentBytes');
  const { directory } = options;
  const { createShards = [], onDamage = 'refuse' } = options;
  const opened = await openLogFiles(files, directory, createShards, onDamage);
  return new CommitLog(files, options, limits, opened);
}

export interface OpenedLog {
  readonly segments: Segments;
  readonly shards: LogShards;
  readonly target: WriteTarget;
  readonly marker: MarkerFile;
  readonly report: RecoveryReport;
}

export class CommitLog implements LogStore {
  /** What was found (or created) for each shard at open. */
  readonly recovered: readonly RecoveredShard[];
  readonly report: RecoveryReport;
  private readonly files: Files;
  private readonly directory: string;
  private readonly timer: LogTimer;
  private readonly limits: CommitLogLimits;
  private readonly segments: Segments;
  private readonly shards: LogShards;
  private readonly marker: MarkerFile;
  private readonly writer: LogWriter;
  private readonly reader: LogReader;
  private readonly onFatal: (error: Error) => void;
  private readonly onFlushTimed: CommitLogOptions['onFlushTimed'];
  private readonly reclaimed = { deletedSegments: 0, freedBytes: 0 };
  private cancelMarker: (() => void) | undefined;
  private flushed: (() => void) | undefined;
  private closing: Done | undefined;
  private reclaimWanted = false;
  private closed = false;
  private failure: Error | undefined;

  constructor(files: Files, options: CommitLogOptions, limits: CommitLogLimits, opened: OpenedLog) {
    this.files = files;
    this.directory = options.directory;
    this.onFatal = options.onFatal;
    this.onFlushTimed = options.onFlushTimed;
    this.timer = options.timer ?? unreferencedTimer;
    this.limits = limits;
    this.segments = opened.segments;
    this.shards = opened.shards;
    this.marker = opened.marker;
    this.report = opened.report;
    this.recovered = [...opened.shards.live.values()].map((index) => index.recovered());
    this.reader = new LogReader(files, opened.segments, limits, () => this.writer.writing);
    const events = {
      onWritten: () => this.reader.written(),
      onSynced: (mayFree: boolean) => this.synced(mayFree),
      onFlushed: () => this.flushed?.(),
      onFatal: (error: Error) => this.stop(error),
    };
    const { target } = opened;
    this.writer = new LogWriter(
      files,
      options.directory,
      opened.segments,
      opened.shards,
      limits,
      target,
      events,
    );
  }

  /** Bytes accepted and not yet durable: what admission control looks at. */
  get queuedBytes(): number {
    return this.writer.queuedBytes;
  }

  /** A flush is under way. */
  get isWriting(): boolean {
    return this.writer.writing;
  }

  /** Calls back after each flush; `isWriting` then says whether the next one has begun. */
  onFlushed(flushed: () => void): void {
    this.flushed = flushed;
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    assert(this.closing === undefined, 'write after close');
    this.writer.write(records, callbacks);
  }

  read(shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number, done: OnEntries): void {
    if (this.failure !== undefined) {
      done(this.failure, []);
      return;
    }
    const index = this.shards.get(shard);
    if (index === undefined) {
      done(new StorageError('OUT_OF_RANGE', `shard ${shard} is not in this log`), []);
      return;
    }
    this.reader.read(index, from, to, maxBytes, done);
  }

  /** The highest replica id of each shard that left this directory: none up to it may come back. */
  get tombstones(): ReadonlyMap<ShardId, ReplicaId> {
    return this.shards.tombstones;
  }

  /** The first index that can be read, or would be if the shard's log is empty. */
  firstIndex(shard: ShardId): LogIndex {
    return this.shards.get(shard)?.firstIndex ?? 1;
  }

  /** Through here the shard's entries are given up, durably. */
  durableLogStart(shard: ShardId): LogIndex {
    return this.shards.get(shard)?.durableLogStart ?? 0;
  }

  bytesOnDisk(): number {
    return this.segments.bytes();
  }

  /**
   * Log on the disk that cannot go before this shard's start moves on, whoever wrote it. The
   * segment that is being written stays in any case.
   */
  bytesHeldBy(shard: ShardId): number {
    const sequence = this.shards.get(shard)?.firstSequence;
    return sequence === undefined ? 0 : this.segments.closedBytesFrom(sequence);
  }

  stats(): CommitLogStats {
    return {
      ...this.writer.stats,
      ...this.reclaimed,
      segments: this.segments.count,
      bytesOnDisk: this.segments.bytes(),
      queuedBytes: this.writer.queuedBytes,
      pendingReads: this.reader.pendingReads,
    };
  }

  /**
   * Removes the oldest segments that no shard needs: for every shard, what they hold lies at or
   * below a log start that is durable in a later segment (the newest one repeats all states). Runs
   * by itself when a log start has moved, or a shard left, durably. While a write is under way
   * nothing is removed (what it voids may still be needed if it is lost); the end of the write
   * makes up. Nor while a shard is suspect: what is left of it stays until another replaces it.
   */
  reclaim(): { readonly deletedSegments: number; readonly freedBytes: number } {
    let deletedSegments = 0;
    let freedBytes = 0;
    this.reclaimWanted = this.writer.writing;
    if (this.reclaimWanted) return { deletedSegments, freedBytes };
    const done = (error: Error | null): void => {
      if (error !== null) this.writer.fail(error);
    };
    while (this.failure === undefined && this.segments.count > 1 && this.oldestIsFree()) {
      freedBytes += this.segments.removeOldest(done);
      deletedSegments += 1;
    }
    this.reclaimed.deletedSegments += deletedSegments;
    this.reclaimed.freedBytes += freedBytes;
    return { deletedSegments, freedBytes };
  }

  /** Waits for what was written, marks the log as closed cleanly, and lets go of the files. */
  close(done: Done): void {
    assert(this.closing === undefined, 'closed twice');
    this.closing = done;
    this.cancelMarker?.();
    this.cancelMarker = undefined;
    if (this.failure !== undefined || this.writer.idle) this.finishClose();
  }

  private oldestIsFree(): boolean {
    const { sequence } = this.segments.oldest;
    for (const index of this.shards.live.values()) {
      if (index.state.suspect === true) return false;
      if (index.lastIndexThrough(sequence) > index.durableLogStart) return false;
    }
    return true;
  }

  private synced(mayFree: boolean): void {
    this.onFlushTimed?.(this.writer.stats.lastFlushMs);
    if (mayFree || this.reclaimWanted) this.reclaim();
    if (!this.writer.idle) return;
    if (this.closing !== undefined) this.finishClose();
    else this.armMarker();
  }

  private armMarker(): void {
    if (this.cancelMarker !== undefined) return;
    const { flushes } = this.writer.stats;
    this.cancelMarker = this.timer(this.limits.markerDelayMs, () => {
      this.cancelMarker = undefined;
      if (this.failure !== undefined || this.closing !== undefined) return;
      if (this.writer.stats.flushes !== flushes) this.armMarker();
      else this.writeMarker(false, (error) => error !== null && this.writer.fail(error));
    });
  }

  private writeMarker(clean: boolean, done: Done): void {
    const { segment, synced } = this.writer.active;
    const { epoch, sequence } = segment;
    this.marker.write({ epoch, sequence, synced, clean }, done);
  }

  private finishClose(): void {
    if (this.closed) return;
    this.closed = true;
    const done = this.closing!;
    const reason = this.failure ?? new StorageError('CLOSED', 'the log is closed');
    this.reader.close(reason);
    const release = (error: Error | null): void => {
      this.closeFiles().then(
        () => done(error),
        (closeError: Error) => done(error ?? closeError),
      );
    };
    if (this.failure !== undefined) {
      release(null);
      return;
    }
    this.failure = reason;
    const { segment } = this.writer.active;
    const sidecar = encodeSidecar(sidecarOf(this.shards, segment, segment.end));
    writeSidecar(this.files, this.directory, segment.sequence, sidecar, (error) => {
      if (error !== null) return release(error);
      this.writeMarker(true, release);
    });
  }

  private async closeFiles(): Promise<void> {
    const handles = [...this.segments.closeAll(), this.writer.active.syncHandle];
    for (const handle of handles) await promisedDone((done) => this.files.close(handle, done));
    await promisedDone((done) => this.segments.whenRemoved(done));
    await this.marker.close();
  }

  private stop(error: Error): void {
    this.failure = error;
    this.cancelMarker?.();
    this.reader.close(error);
    this.onFatal(error);
    if (this.closing !== undefined) this.finishClose();
  }
}

/** For owners that like promises at start and stop. */
export function closeCommitLog(log: CommitLog): Promise<void> {
  return promised<void>((done) => log.close((error) => done(error, undefined)));
}

function unreferencedTimer(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

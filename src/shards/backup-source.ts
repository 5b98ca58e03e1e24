/**
 * What a backup reads of a shard at its leader: the checkpoint that the log starts after, and the
 * entries behind it. While somebody reads, the log's start stays where it is; a reader that is
 * silent for long counts as gone.
 */
import type { RaftDriver } from '../../raft/driver.ts';
import type { SnapshotSource } from '../../raft/ports.ts';
import type { EntryId, LogIndex, ShardId } from '../../raft/types.ts';
import { encodeEntries } from '../backup/entries.ts';
import type { LogReads } from './paced-reads.ts';
import type { CheckpointSnapshots } from './snapshot-store.ts';

/** Between two reads of one backup. */
export const BACKUP_SILENCE_MS = 60_000;

export interface CheckpointPiece {
  readonly totalBytes: number;
  readonly data: Uint8Array;
}

type Done<Value> = (error: Error | undefined, value: Value | undefined) => void;

/** `OUT_OF_RANGE` and `COMPACTED`: it is not, or not any more, what this node's log starts with. */
export interface BackupSource {
  /** What a restored log starts after; keeps it for a while. */
  start(shard: ShardId): EntryId;
  checkpoint(
    shard: ShardId,
    start: EntryId,
    offset: number,
    maxBytes: number,
    done: Done<CheckpointPiece>,
  ): void;
  /** At least one, as they stand in a backup's log file; none that is not committed. */
  entries(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    done: Done<Uint8Array>,
  ): void;
}

interface OpenSource {
  readonly start: EntryId;
  readonly source: SnapshotSource;
  readonly timer: NodeJS.Timeout;
}

type Snapshots = Pick<
  CheckpointSnapshots,
  'closeSource' | 'holdStart' | 'openSource' | 'readSource'
>;

export class LocalBackupSource implements BackupSource {
  readonly #driver: Pick<RaftDriver, 'logStart' | 'status'>;
  readonly #snapshots: Snapshots;
  readonly #reads: LogReads;
  /** A checkpoint is verified whole when it is opened: not again for each piece. */
  readonly #open = new Map<ShardId, OpenSource>();

  constructor(
    driver: Pick<RaftDriver, 'logStart' | 'status'>,
    snapshots: Snapshots,
    reads: LogReads,
  ) {
    this.#driver = driver;
    this.#snapshots = snapshots;
    this.#reads = reads;
  }

  start(shard: ShardId): EntryId {
    this.#snapshots.holdStart(shard, BACKUP_SILENCE_MS);
    return this.#driver.logStart(shard);
  }

  checkpoint(
    shard: ShardId,
    start: EntryId,
    offset: number,
    maxBytes: number,
    done: Done<CheckpointPiece>,
  ): void {
    this.#snapshots.holdStart(shard, BACKUP_SILENCE_MS);
    const open = this.#open.get(shard);
    if (open !== undefined && open.start.index === start.index) {
      open.timer.refresh();
      this.#read(open.source, offset, maxBytes, done);
      return;
    }
    this.#snapshots.openSource(shard, start, (error, source) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      this.#keep(shard, start, source!);
      this.#read(source!, offset, maxBytes, done);
    });
  }

  entries(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    done: Done<Uint8Array>,
  ): void {
    this.#snapshots.holdStart(shard, BACKUP_SILENCE_MS);
    const { applied } = this.#driver.status(shard);
    if (from > applied) {
      done(outOfRange(shard, from), undefined);
      return;
    }
    this.#reads.read(shard, from, Math.min(to, applied), maxBytes, (error, entries) => {
      if (error !== undefined) done(error, undefined);
      else done(undefined, encodeEntries(shard, entries));
    });
  }

  #read(source: SnapshotSource, offset: number, maxBytes: number, done: Done<CheckpointPiece>) {
    this.#snapshots.readSource(source, offset, maxBytes, (error, data) => {
      if (error !== undefined) done(error, undefined);
      else done(undefined, { totalBytes: source.totalBytes, data: data! });
    });
  }

  #keep(shard: ShardId, start: EntryId, source: SnapshotSource): void {
    const before = this.#open.get(shard);
    if (before !== undefined) this.#close(shard, before);
    const timer = setTimeout(() => {
      if (this.#open.get(shard)?.source === source) this.#close(shard, { start, source, timer });
    }, BACKUP_SILENCE_MS);
    timer.unref();
    this.#open.set(shard, { start, source, timer });
  }

  #close(shard: ShardId, { source, timer }: OpenSource): void {
    clearTimeout(timer);
    this.#open.delete(shard);
    this.#snapshots.closeSource(source);
  }
}

function outOfRange(shard: ShardId, from: LogIndex): Error {
  const error = new Error(`entry ${from} of shard ${shard} is not committed`);
  return Object.assign(error, { code: 'OUT_OF_RANGE' });
}

/**
 * Raft's snapshots are the shard's checkpoint files (storage/checkpoint-transfer.ts): sends the one
 * that this node's log starts after, gathers one from a leader and prepares the state that it
 * holds. Promises end here; what Raft sees are callbacks.
 */
import type { Logger } from 'pino';
import type { RestoredShard, SnapshotSource, SnapshotStore } from '../../raft/ports.ts';
import type { EntryId, Membership, ShardId } from '../../raft/types.ts';
import {
  discardParts,
  IncomingCheckpoint,
  type OpenCheckpoint,
  openCheckpoint,
  type ReceivedCheckpoint,
} from '../../storage/checkpoint-transfer.ts';
import { deleteCheckpoints } from '../../storage/checkpoints.ts';
import { type Files, nodeFiles } from '../../storage/files.ts';
import type { ShardMachine } from './shard-machine.ts';

export interface CheckpointSnapshotParts {
  readonly directory: string;
  readonly files?: Files;
  readonly machine: Pick<ShardMachine, 'prepare'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** The disk refused: the process has to end. */
  readonly onFatal: (error: Error) => void;
}

type Done<Value> = (error: Error | undefined, value?: Value) => void;

interface Source extends SnapshotSource {
  readonly shard: ShardId;
  readonly file: OpenCheckpoint;
  /** The end of the reads that were asked for: the file is closed behind them. */
  reads: Promise<unknown>;
}

/** Not a failure of this disk: the file is not there, or not what it should be. */
const REFUSALS: ReadonlySet<unknown> = new Set(['DATA_LOSS', 'OUT_OF_RANGE', 'UNKNOWN_FORMAT']);

export class CheckpointSnapshots implements SnapshotStore {
  /** Since this node was started: begun to be sent, and received whole. */
  readonly counts = { sent: 0, received: 0 };
  readonly #parts: CheckpointSnapshotParts;
  readonly #files: Files;
  readonly #sources = new Set<Source>();
  readonly #incoming = new Map<ShardId, IncomingCheckpoint>();
  /** Until when the log's start is kept for somebody who reads without a source. */
  readonly #heldUntilMs = new Map<ShardId, number>();
  /** The end of what was asked for each shard: one step of a shard at a time. */
  readonly #line = new Map<ShardId, Promise<void>>();

  constructor(parts: CheckpointSnapshotParts) {
    this.#parts = parts;
    this.#files = parts.files ?? nodeFiles;
  }

  /** The log's start must stay where the snapshot is while somebody is given it. */
  isSending(shard: ShardId): boolean {
    if ((this.#heldUntilMs.get(shard) ?? 0) > performance.now()) return true;
    for (const source of this.#sources) if (source.shard === shard) return true;
    return false;
  }

  /** As if it were sent, for so long from now on. */
  holdStart(shard: ShardId, forMs: number): void {
    this.#heldUntilMs.set(shard, performance.now() + forMs);
  }

  openSource(shard: ShardId, start: EntryId, done: Done<SnapshotSource>): void {
    const open = async (): Promise<SnapshotSource> => {
      const file = await openCheckpoint(this.#parts.directory, shard, start, this.#files);
      const source: Source = {
        ...{ shard, file, totalBytes: file.totalBytes },
        reads: Promise.resolve(),
      };
      this.#sources.add(source);
      this.counts.sent += 1;
      return source;
    };
    this.#answer(open(), done);
  }

  readSource(source: SnapshotSource, offset: number, maxBytes: number, done: Done<Uint8Array>) {
    const known = source as Source;
    const read = known.file.read(offset, maxBytes);
    known.reads = Promise.allSettled([known.reads, read]);
    this.#answer(read, done);
  }

  closeSource(source: SnapshotSource): void {
    const known = source as Source;
    if (!this.#sources.delete(known)) return;
    known.reads.then(() => known.file.close()).catch(this.#parts.onFatal);
  }

  beginReceive(shard: ShardId, id: EntryId, totalBytes: number, done: Done<number>): void {
    const begin = async (): Promise<number> => {
      await this.#incoming.get(shard)?.close();
      const { directory } = this.#parts;
      const incoming = await IncomingCheckpoint.begin(
        directory,
        shard,
        id,
        totalBytes,
        this.#files,
      );
      this.#incoming.set(shard, incoming);
      return incoming.nextOffset;
    };
    this.#answer(this.#queue(shard, begin), done);
  }

  receiveChunk(
    shard: ShardId,
    id: EntryId,
    offset: number,
    data: Uint8Array,
    done: Done<number>,
  ): void {
    const append = () => this.#incomingOf(shard, id).append(offset, data);
    this.#answer(this.#queue(shard, append), done);
  }

  finishReceive(shard: ShardId, id: EntryId, done: Done<RestoredShard>): void {
    const finish = async (): Promise<RestoredShard> => {
      const incoming = this.#incomingOf(shard, id);
      this.#incoming.delete(shard);
      const received = await incoming.finish().finally(() => incoming.close());
      this.#parts.machine.prepare(received.applied, received.rows);
      this.counts.received += 1;
      return { id, timeMs: received.applied.timeMs, membership: membershipIn(received) };
    };
    this.#answer(this.#queue(shard, finish), done);
  }

  /** The shard left this node: nothing of its checkpoints stays. */
  drop(shard: ShardId): Promise<void> {
    for (const source of this.#sources) if (source.shard === shard) this.closeSource(source);
    return this.#queue(shard, async () => {
      await this.#incoming.get(shard)?.close();
      this.#incoming.delete(shard);
      await discardParts(this.#parts.directory, shard, undefined, this.#files);
      await deleteCheckpoints(this.#parts.directory, shard, this.#files);
    });
  }

  /** Nothing is asked for any more. What came so far stays. */
  async close(): Promise<void> {
    for (const source of this.#sources) this.closeSource(source);
    await Promise.all(this.#line.values());
    for (const incoming of this.#incoming.values()) await incoming.close();
  }

  #incomingOf(shard: ShardId, id: EntryId): IncomingCheckpoint {
    const incoming = this.#incoming.get(shard);
    if (incoming?.id.index === id.index && incoming.id.term === id.term) return incoming;
    const message = `no snapshot of shard ${shard} at ${id.index} is being received`;
    throw Object.assign(new Error(message), { code: 'OUT_OF_RANGE' });
  }

  #queue<Value>(shard: ShardId, step: () => Promise<Value>): Promise<Value> {
    const result = (this.#line.get(shard) ?? Promise.resolve()).then(step);
    const end = result.then(
      () => undefined,
      () => undefined,
    );
    this.#line.set(shard, end);
    return result;
  }

  #answer<Value>(result: Promise<Value>, done: Done<Value>): void {
    const { logger, onFatal } = this.#parts;
    // What `done` itself throws is a bug of ours, not the disk's: it ends the process as such.
    result
      .then(
        (value) => done(undefined, value),
        (error: Error & { code?: unknown }) => {
          if (!REFUSALS.has(error.code)) onFatal(error);
          else {
            logger.warn({ err: error }, 'a snapshot could not be sent or received');
            done(error);
          }
        },
      )
      .catch(onFatal);
  }
}

function membershipIn({ membership }: ReceivedCheckpoint): Membership {
  return JSON.parse(membership) as Membership;
}

/**
 * The node's LevelDB: a derived index over the commit log, always equal to a replay up to what
 * its `applied` rows say (internals rule 6).
 */
import { strict as assert } from 'node:assert';
import type { ShardId, ShardTimeMs } from '../raft/types.ts';
import { BatchWindow } from './batch-window.ts';
import { StorageError } from './errors.ts';
import { type IndexDrop, IndexDropper } from './index-dropper.ts';
import {
  type IndexReads,
  indexReads,
  MissingRowError,
  type OnIndexRow,
  type OnIndexRows,
  type QueueIndex,
  type Scan,
} from './index-reader.ts';
import * as keys from './keys.ts';
import {
  type Database,
  isDamage,
  type LevelBackend,
  openDatabase,
  scanAll,
  stateReads,
  type TableRow,
  tableRows,
  throwReadError,
} from './level-db.ts';
import * as rows from './row-codec.ts';
import { eraseShard, fillShard, type SwapPorts, swapEnd } from './shard-swap.ts';
import { condemnState, deleteState, missingCurrent } from './state-directory.ts';
import {
  examineState,
  type LogEnds,
  rebuildBecause,
  type StateContent,
  type StateVerdict,
} from './state-verdict.ts';
import { type MergedBatch, opBytes, type StateOp, WriteQueue } from './write-queue.ts';

const DEFAULTS = Object.freeze({
  /** Changes that wait or are being written; who writes must hold back before. */
  maxPendingBytes: 32 * 1024 * 1024,
  maxBatchBytes: 1024 * 1024,
  batchDelayMs: 10,
  writeBufferBytes: 4 * 1024 * 1024,
});
/** LevelDB has two write buffers, each may be exceeded by one batch: twice that, to be safe. */
const KEPT_WRITE_BUFFERS = 4;

export interface LevelStateOptions {
  readonly directory: string;
  /** Who the directory belongs to: node and incarnation. */
  readonly identity: string;
  /** Per shard of this node: to find out whether state and log fit. */
  readonly logEnds: ReadonlyMap<ShardId, LogEnds>;
  /** First failed write: nothing is called back after it, the process must end. */
  readonly onFatal: (error: Error) => void;
  readonly maxPendingBytes?: number;
  readonly maxBatchBytes?: number;
  readonly batchDelayMs?: number;
  readonly writeBufferBytes?: number;
  /** LevelDB on the disk, unless a simulator says otherwise. */
  readonly backend?: LevelBackend;
}

const ON_DISK: LevelBackend = {
  missingCurrent,
  open: openDatabase,
  condemn: condemnState,
  delete: deleteState,
};

export interface LoadedShard {
  /** undefined = nothing of the shard was ever applied here. */
  readonly applied: rows.AppliedMark | undefined;
  readonly rows: readonly TableRow[];
}

/** One moment of a shard's small state. */
export interface ShardSnapshot {
  readonly applied: rows.AppliedMark | undefined;
  /** In key order, a few at a time. */
  rows(): AsyncGenerator<readonly TableRow[]>;
  close(): Promise<void>;
}

const NO_SNAPSHOT: ShardSnapshot = {
  applied: undefined,
  async *rows() {},
  close: () => Promise.resolve(),
};

export interface LevelStateStats {
  readonly pendingBytes: number;
  readonly batches: number;
  readonly ops: number;
  readonly newestBatch: number;
  readonly waitingDrops: number;
}

export interface Effects {
  readonly ops: readonly StateOp[];
  readonly applied: readonly rows.AppliedMark[];
  readonly drops?: readonly IndexDrop[];
}

export async function openLevelState(options: LevelStateOptions): Promise<LevelState> {
  const complete: CompleteOptions = { ...DEFAULTS, ...options };
  const backend = options.backend ?? ON_DISK;
  const missing = await backend.missingCurrent(options.directory);
  const opened = missing === undefined ? await backend.open(complete, true) : missing;
  if (typeof opened !== 'string') {
    const content = await examineState(stateReads(opened), options.identity, options.logEnds);
    if (content.verdict.kind !== 'rebuild') return new LevelState(opened, complete, content);
    await opened.close();
    return rebuilt(backend, complete, content);
  }
  return rebuilt(backend, complete, rebuildBecause(opened));
}

async function rebuilt(
  backend: LevelBackend,
  options: CompleteOptions,
  content: StateContent,
): Promise<LevelState> {
  await backend.delete(options.directory);
  const database = await backend.open(options, true);
  if (typeof database === 'string') throw new StorageError('IO', database);
  return new LevelState(database, options, content);
}

type CompleteOptions = Required<Omit<LevelStateOptions, 'backend'>> &
  Pick<LevelStateOptions, 'backend'>;

export class LevelState {
  readonly verdict: StateVerdict;
  /** Shards whose rows count for nothing: `swapAtOpen` replaces them before anything is loaded. */
  readonly unfinishedSwaps: readonly ShardId[];
  readonly #database: Database;
  readonly #options: CompleteOptions;
  readonly #window: BatchWindow;
  readonly #queue: WriteQueue;
  readonly #dropper: IndexDropper;
  #onWritten: () => void = () => {};
  readonly #swap: SwapPorts;
  readonly #swapping = new Set<ShardId>();
  readonly #index: IndexReads;
  readonly #applied: Map<ShardId, rows.AppliedMark>;
  /** The format record is in the store, or waits to be written. */
  #complete: boolean;
  #failed = false;
  #closing = false;
  #batches = 0;
  #ops = 0;

  constructor(database: Database, options: CompleteOptions, content: StateContent) {
    this.#database = database;
    this.#options = options;
    this.verdict = content.verdict;
    this.#window = new BatchWindow(options.writeBufferBytes * KEPT_WRITE_BUFFERS, content.batches);
    this.#applied = new Map(content.applied);
    this.unfinishedSwaps = content.swaps;
    this.#complete = content.verdict.kind === 'ok';
    const { maxBatchBytes, batchDelayMs, maxPendingBytes } = options;
    const writeBatch = this.#writeBatch.bind(this);
    this.#queue = new WriteQueue({ maxBatchBytes, batchDelayMs, maxPendingBytes, writeBatch });
    const scan: Scan = (range, limit, onRows) => {
      scanAll(database, range, limit).then(
        (found) => onRows(undefined, found),
        (error: Error) => onRows(error, []),
      );
    };
    this.#index = indexReads(scan);
    this.#swap = {
      scan: (...request) => {
        if (!this.#closing) scan(...request);
      },
      write: (ops, done) => {
        if (!this.#closing) this.#queue.push({ ops, applied: [], done });
      },
      onError: (error) => {
        if (!this.#closing) this.#fail('read', error);
      },
    };
    this.#dropper = new IndexDropper(this.#swap);
    for (const drop of content.drops) {
      this.#dropper.want(drop);
      this.#dropper.ready(drop);
    }
  }

  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  /**
   * Calls back after each batch: also after those of the store's own, which removes rows by and by
   * and has nobody else to tell that there is room again. One listener.
   */
  onWritten(listener: () => void): void {
    this.#onWritten = listener;
  }

  /** False = whoever writes must wait for a `done`, or for `onWritten`. */
  get hasRoom(): boolean {
    return this.pendingBytes < this.#options.maxPendingBytes / 2;
  }

  /** What LevelDB holds, not what waits to be written. */
  appliedOf(shard: ShardId): rows.AppliedMark | undefined {
    return this.#applied.get(shard);
  }

  appliedMarks(): readonly rows.AppliedMark[] {
    return [...this.#applied.values()];
  }

  /**
   * Effects and the marks that speak for them go into one atomic batch. Once the store has failed
   * nothing is taken any more: whoever is not through yet with this turn is no reason to end.
   */
  write(effects: Effects, done?: () => void): void {
    if (this.#failed) return;
    assert(this.#complete || effects.applied.length === 0, 'the state store is being built');
    const drops = effects.drops ?? [];
    const ops = drops.length === 0 ? effects.ops : [...effects.ops, ...drops.map(dropRow)];
    for (const drop of drops) this.#dropper.want(drop);
    const onWritten =
      drops.length === 0
        ? done
        : () => {
            for (const drop of drops) this.#dropper.ready(drop);
            done?.();
          };
    this.#queue.push({ ops, applied: effects.applied, done: onWritten });
  }

  /**
   * The rows of a checkpoint take the place of all that the shard has here. To be called when the
   * log that starts after `applied` is durable: after a crash on the way the next open does it
   * again, from that checkpoint. Nothing else of the shard may be written before `done`.
   */
  replaceShard(applied: rows.AppliedMark, tables: readonly TableRow[], done: () => void): void {
    const { shard } = applied;
    this.#swapping.add(shard);
    const onDone = (): void => {
      this.#swapping.delete(shard);
      done();
    };
    eraseShard(this.#swap, shard, () => {
      fillShard(this.#swap, shard, tables, () => {
        this.#queue.push({ ops: [swapEnd(shard)], applied: [applied], done: onDone });
      });
    });
  }

  /** The shard left this node's log, durably. Nothing of it may be written before `done`. */
  dropShard(shard: ShardId, done: () => void): void {
    this.#swapping.add(shard);
    eraseShard(this.#swap, shard, () => {
      const ops = [swapEnd(shard), { key: keys.appliedKey(shard), value: undefined }];
      this.#queue.push({ ops, applied: [], done: () => this.#dropped(shard, done) });
    });
  }

  #dropped(shard: ShardId, done: () => void): void {
    this.#applied.delete(shard);
    this.#swapping.delete(shard);
    done();
  }

  /** A swap that a crash interrupted. Rejects with `DATA_LOSS` if LevelDB is damaged there. */
  swapAtOpen(
    shard: ShardId,
    applied: rows.AppliedMark | undefined,
    tables: readonly TableRow[],
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const ports: SwapPorts = { ...this.#swap, onError: reject };
      eraseShard(ports, shard, () => {
        fillShard(ports, shard, tables, () => {
          const ops = [swapEnd(shard)];
          if (applied === undefined) ops.push({ key: keys.appliedKey(shard), value: undefined });
          const done = (): void => {
            if (applied === undefined) this.#applied.delete(shard);
            resolve();
          };
          this.#queue.push({ ops, applied: applied === undefined ? [] : [applied], done });
        });
      });
    });
  }

  /** Part of a build: counts for nothing until `completeBuild`. Resolves when there is room. */
  async writeBuilding(effects: Effects): Promise<void> {
    assert(!this.#complete, 'the state store is complete');
    this.#queue.push({ ops: effects.ops, applied: effects.applied, done: undefined });
    if (!this.hasRoom) await this.flush();
  }

  /** From here on a store that was empty or thrown away is whole. */
  async completeBuild(): Promise<void> {
    if (this.#complete) return;
    this.#complete = true;
    const { identity } = this.#options;
    const value = rows.encodeFormatBody({ version: keys.FORMAT_VERSION, identity });
    await this.flush();
    this.#queue.push({ ops: [{ key: keys.formatKey(), value }], applied: [], done: undefined });
    await this.flush();
  }

  async loadShard(shard: ShardId): Promise<LoadedShard> {
    const snapshot = await this.#snapshot(shard);
    try {
      const loaded: TableRow[] = [];
      for await (const step of snapshot.rows()) for (const row of step) loaded.push(row);
      return { applied: snapshot.applied, rows: loaded };
    } finally {
      await snapshot.close();
    }
  }

  /** Of an open store. A shard that is being replaced or dropped has nothing to show. */
  async snapshotShard(shard: ShardId): Promise<ShardSnapshot> {
    try {
      const snapshot = await this.#snapshot(shard);
      return { ...snapshot, rows: () => this.#watched(snapshot.rows()) };
    } catch (error) {
      this.#notice(error as Error);
      throw error;
    }
  }

  async #snapshot(shard: ShardId): Promise<ShardSnapshot> {
    if (this.#swapping.has(shard)) return NO_SNAPSHOT;
    const snapshot = this.#database.snapshot();
    const key = keys.appliedKey(shard);
    const stored = await this.#database.get(key, { snapshot }).catch(throwReadError);
    return {
      applied:
        stored === undefined ? undefined : rows.decodeAppliedBody(shard, rows.unseal(key, stored)),
      rows: () => tableRows(this.#database, shard, snapshot),
      close: () => snapshot.close(),
    };
  }

  /** The row that holds `offset` and those after it; of what waits only what is given. */
  indexFrom(queue: QueueIndex, offset: number, limit: number, onRows: OnIndexRows): void {
    this.#index.indexFrom(queue, offset, limit, this.#noticing(onRows));
  }

  /** First row between the offsets that became visible at or after `atMs`. */
  firstIndexAtTime(
    queue: QueueIndex,
    startOffset: number,
    endOffset: number,
    atMs: ShardTimeMs,
    onRow: OnIndexRow,
  ): void {
    const newer = (row: rows.IndexRow): boolean => row.storedAtMs >= atMs;
    const answer = this.#noticing(onRow);
    this.#index.firstIndexWhere(queue, startOffset, endOffset, newer, answer);
  }

  /** First row between the offsets with which the queue exceeds `bytes` cumulative bytes. */
  firstIndexPastBytes(
    queue: QueueIndex,
    startOffset: number,
    endOffset: number,
    bytes: number,
    onRow: OnIndexRow,
  ): void {
    const past = (row: rows.IndexRow): boolean => row.cumulativeBytes > bytes;
    const answer = this.#noticing(onRow);
    this.#index.firstIndexWhere(queue, startOffset, endOffset, past, answer);
  }

  /** Resolves when everything written so far can be read. */
  flush(): Promise<void> {
    return new Promise((resolve) => this.#queue.whenIdle(resolve));
  }

  /** What is being replaced, dropped or deleted stops where it is. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#dropper.close();
    if (!this.#failed) await this.flush();
    await this.#database.close();
  }

  stats(): LevelStateStats {
    return {
      pendingBytes: this.pendingBytes,
      batches: this.#batches,
      ops: this.#ops,
      newestBatch: this.#window.newest,
      waitingDrops: this.#dropper.waiting,
    };
  }

  #writeBatch(batch: MergedBatch, onWritten: () => void): void {
    const chain = this.#database.batch();
    let bytes = 0;
    const put = (op: StateOp): void => {
      bytes += opBytes(op);
      if (op.value === undefined) chain.del(op.key);
      else chain.put(op.key, rows.seal(op.key, op.value));
    };
    for (const op of batch.ops) put(op);
    for (const mark of batch.applied) {
      put({ key: keys.appliedKey(mark.shard), value: rows.encodeAppliedBody(mark) });
    }
    const kept = this.#window.add(bytes);
    put({ key: keys.batchKey(kept.number), value: rows.encodeBatchBody(kept) });
    for (const old of kept.expired) put({ key: keys.batchKey(old), value: undefined });
    this.#batches++;
    this.#ops += batch.ops.length;
    chain.write().then(
      () => {
        for (const mark of batch.applied) this.#applied.set(mark.shard, mark);
        onWritten();
        this.#onWritten();
      },
      (error: Error) => this.#fail('write', error),
    );
  }

  /** Whoever reads a row that does not verify gets the error; the process ends over it, too. */
  #noticing<T>(onRead: (error: Error | undefined, found: T) => void): typeof onRead {
    return (error, found) => {
      onRead(error, found);
      this.#notice(error);
    };
  }

  async *#watched<T>(steps: AsyncGenerator<T>): AsyncGenerator<T> {
    try {
      yield* steps;
    } catch (error) {
      this.#notice(error as Error);
      throw error;
    }
  }

  #notice(error: Error | undefined): void {
    if (isDamaged(error) && !this.#closing) this.#fail('read', error);
  }

  /** Nothing mends a damaged row here: all of it is made again, from a checkpoint and the log. */
  #fail(action: string, error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    const { backend = ON_DISK, directory, onFatal } = this.#options;
    const message = `${action} state ${directory}: ${error.message}`;
    if (isDamaged(error)) {
      backend.condemn(directory);
      const plan = 'It is built again at the next start';
      onFatal(new StorageError('DATA_LOSS', `${message}. ${plan}`, error));
    } else onFatal(new StorageError('IO', message, error));
  }
}

/** Bytes that are there and do not verify; a row that is missing may be on its way out. */
function isDamaged(error: Error | undefined): error is Error {
  if (error === undefined || error instanceof MissingRowError) return false;
  return isDamage(error) || ('code' in error && error.code === 'DATA_LOSS');
}

function dropRow({ shard, queueId, startOffset }: IndexDrop): StateOp {
  return { key: keys.indexDropKey(shard, queueId), value: rows.encodeIntegerBody(startOffset) };
}

/** Rows of index entries ready to be written. */
export function indexOp(shard: ShardId, row: rows.IndexRow): StateOp {
  return {
    key: keys.indexKey(shard, row.queueId, rows.lastOffsetOf(row)),
    value: rows.encodeIndexBody(row),
  };
}

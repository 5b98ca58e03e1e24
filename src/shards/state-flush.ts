/**
 * Between the state machines and LevelDB. Effects are taken over at once, in memory; they reach
 * LevelDB only when this node's own log is durable through the entries that caused them, else the
 * index could outlive the log (internals rule 6). Until then, and a while longer, index rows are
 * answered from memory.
 */
import { strict as assert } from 'node:assert';
import type { LogIndex, ShardId, ShardTimeMs, Term } from '../../raft/types.ts';
import type { IndexDrop } from '../../storage/index-dropper.ts';
import type { QueueIndex } from '../../storage/index-reader.ts';
import { indexKey, tableKey } from '../../storage/keys.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { indexOp, type LevelState } from '../../storage/level-state.ts';
import type { AppliedMark } from '../../storage/row-codec.ts';
import { opBytes, type StateOp } from '../../storage/write-queue.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow, StateWriter, Table } from '../broker/state-port.ts';
import { MovedRows } from './moved-rows.ts';
import { RECENT_ROWS_DEFAULTS, RecentRows, type RecentRowsOptions } from './recent-rows.ts';
import { TABLE_KIND } from './tables.ts';

export interface Applied {
  readonly index: LogIndex;
  readonly term: Term;
  readonly timeMs: ShardTimeMs;
}

export type OnRows = (error: Error | undefined, rows: readonly QueueIndexRow[]) => void;
export type OnOffset = (error: Error | undefined, offset: number) => void;

type Store = Pick<
  LevelState,
  | 'write'
  | 'replaceShard'
  | 'dropShard'
  | 'hasRoom'
  | 'onWritten'
  | 'pendingBytes'
  | 'indexFrom'
  | 'firstIndexAtTime'
  | 'firstIndexPastBytes'
>;

export interface StateFlushOptions extends RecentRowsOptions {
  /** Effects that wait for the log or for LevelDB: over it the node should take no new work. */
  readonly maxPendingBytes: number;
  /**
   * How far the shard's log is durable here, now. Asked at each use when given: a truncation lowers
   * it without an event.
   */
  readonly durableIndexOf?: (shard: ShardId) => LogIndex;
  /** Through here the shard's entries are given up in this node's log, durably. */
  readonly durableLogStartOf?: (shard: ShardId) => LogIndex;
  /** There is room again after `hasRoom` was false. */
  readonly onRoom?: () => void;
}

const DEFAULTS = Object.freeze({ ...RECENT_ROWS_DEFAULTS, maxPendingBytes: 16 * 1024 * 1024 });
/** A row of the queue index in LevelDB, roughly. */
const INDEX_ROW_BYTES = 80;
/** Effects handed to LevelDB in one piece. */
const MAX_HANDED_BYTES = 1024 * 1024;
/** Once full, there is room again when this part of the bound is left. */
const ROOM_AGAIN_PART = 0.5;

interface Move {
  readonly row: QueueIndexRow;
  readonly replaced: readonly number[];
}

/** What one pass of entries did to a shard. */
interface Pass {
  readonly ops: StateOp[];
  readonly rows: QueueIndexRow[];
  readonly moves: Move[];
  readonly drops: IndexDrop[];
  bytes: number;
  mark: AppliedMark | undefined;
}

/** A snapshot on its way to LevelDB. */
interface Replacement {
  readonly mark: AppliedMark;
  readonly tables: readonly TableRow[];
}

interface ShardEffects {
  readonly shard: ShardId;
  /** Being filled by `apply`. */
  filling: Pass;
  /** Applied, not yet handed to LevelDB. Ascending. */
  waiting: Pass[];
  durable: LogIndex;
  applied: LogIndex;
  /** Comes before what waits. */
  replacement: Replacement | undefined;
  /** All of the shard's rows are being replaced: nothing may be written meanwhile. */
  isSwapping: boolean;
  afterSwap: (() => void) | undefined;
  isReleased: boolean;
}

const newPass = (): Pass => ({
  ...{ ops: [], rows: [], moves: [], drops: [], bytes: 0, mark: undefined },
});

export class StateFlush {
  readonly #store: Store;
  readonly #options: StateFlushOptions;
  readonly #recent: RecentRows;
  readonly #moved = new MovedRows();
  readonly #shards = new Map<ShardId, ShardEffects>();
  #waitingBytes = 0;
  #isFull = false;

  constructor(store: Store, options: Partial<StateFlushOptions> = {}) {
    this.#store = store;
    this.#options = { ...DEFAULTS, ...options };
    this.#recent = new RecentRows(this.#options);
    store.onWritten(() => this.#storeWrote());
  }

  /** Effects not yet in LevelDB. */
  get pendingBytes(): number {
    return this.#waitingBytes + this.#store.pendingBytes;
  }

  get maxPendingBytes(): number {
    return this.#options.maxPendingBytes;
  }

  /** Too much waits: take no new work until this is false again. */
  get isBacklogged(): boolean {
    return this.pendingBytes > this.#options.maxPendingBytes;
  }

  /**
   * False: nothing may be applied until `onRoom`. A follower and a restart's replay have nobody to
   * refuse, so this is what bounds them.
   */
  get hasRoom(): boolean {
    if (this.isBacklogged) this.#isFull = true;
    return !this.#isFull;
  }

  writerFor(shard: ShardId): StateWriter {
    const effects = this.#effects(shard);
    return {
      put: (table: Table, key: Uint8Array, value: Uint8Array | undefined) => {
        const op = { key: tableKey(TABLE_KIND[table], shard, key), value };
        effects.filling.ops.push(op);
        this.#count(effects.filling, opBytes(op));
      },
      putIndex: (row: QueueIndexRow) => {
        effects.filling.rows.push(row);
        this.#count(effects.filling, INDEX_ROW_BYTES);
        this.#recent.append(shard, row);
      },
      moveIndex: (row: QueueIndexRow, replaced: readonly number[]) => {
        effects.filling.moves.push({ row, replaced });
        this.#count(effects.filling, INDEX_ROW_BYTES * (1 + replaced.length));
        this.#moved.add(shard, row, replaced);
        this.#recent.move(row);
      },
      dropIndexBelow: (queueId: QueueId, startOffset: number) => {
        effects.filling.drops.push({ shard, queueId, startOffset });
        this.#count(effects.filling, INDEX_ROW_BYTES);
        this.#recent.dropBelow(shard, queueId, startOffset);
        this.#moved.dropBelow(queueId, startOffset);
      },
    };
  }

  /** Everything written since the last call belongs to entries up to this one. */
  markApplied(shard: ShardId, applied: Applied): void {
    const effects = this.#effects(shard);
    assert(applied.index > effects.applied, 'a shard is applied forwards');
    effects.applied = applied.index;
    const pass = effects.filling;
    const { index, term, timeMs } = applied;
    pass.mark = { shard, index, term, timeMs };
    effects.waiting.push(pass);
    effects.filling = newPass();
    this.#hand(effects);
  }

  /**
   * A snapshot takes the place of all that was applied to the shard, here at once. LevelDB gets it
   * when this node's log is known to start after it: until then a crash must find the old state,
   * and from then on a half-written one is found to be so (internals rule 6).
   */
  restore(mark: AppliedMark, tables: readonly TableRow[]): void {
    const effects = this.#effects(mark.shard);
    assert(mark.index > effects.applied, 'a shard is restored forwards');
    this.#forget(effects);
    effects.applied = mark.index;
    effects.replacement = { mark, tables };
    this.#hand(effects);
    // What waited is forgotten: no write of it will end and say that there is room.
    this.#tellRoom();
  }

  /** The shard is leaving this node: nothing of it reaches LevelDB any more. */
  release(shard: ShardId): void {
    const effects = this.#effects(shard);
    this.#forget(effects);
    effects.isReleased = true;
    this.#tellRoom();
  }

  /** The log does not know the shard any more: `done` when LevelDB holds nothing of it. */
  drop(shard: ShardId, done: () => void): void {
    const effects = this.#effects(shard);
    assert(effects.isReleased, 'a shard is released before its rows are dropped');
    const drop = (): void =>
      this.#store.dropShard(shard, () => {
        this.#shards.delete(shard);
        done();
      });
    if (effects.isSwapping) effects.afterSwap = drop;
    else drop();
  }

  #forget(effects: ShardEffects): void {
    for (const pass of [...effects.waiting, effects.filling]) this.#waitingBytes -= pass.bytes;
    effects.waiting = [];
    effects.filling = newPass();
    effects.replacement = undefined;
    this.#recent.forgetShard(effects.shard);
    this.#moved.forgetShard(effects.shard);
  }

  /** This node's log of the shard is durable through `index`. */
  durable(shard: ShardId, index: LogIndex): void {
    const effects = this.#effects(shard);
    effects.durable = index;
    this.#hand(effects);
  }

  isRecent(queueId: QueueId, offset: number): boolean {
    return this.#recent.tail(queueId)?.covers(offset) === true;
  }

  /** Rows from the one that holds `offset` on: at once when memory has them. */
  rowsFrom(shard: ShardId, queueId: QueueId, offset: number, limit: number, onRows: OnRows): void {
    const tail = this.#recent.tail(queueId);
    if (tail?.covers(offset)) onRows(undefined, tail.from(offset, limit));
    else this.#storedRows(shard, queueId, offset, limit, true, onRows);
  }

  /** First offset stored at or after `atMs`; `endOffset` when nothing is that new. */
  firstOffsetAtTime(
    shard: ShardId,
    queueId: QueueId,
    startOffset: number,
    endOffset: number,
    atMs: ShardTimeMs,
    onOffset: OnOffset,
  ): void {
    const holds = (row: QueueIndexRow): boolean => row.storedAtMs >= atMs;
    this.#search(queueId, startOffset, endOffset, holds, onOffset, (before, onRow) => {
      const queue = this.#indexOf(shard, queueId);
      this.#store.firstIndexAtTime(queue, startOffset, before, atMs, onRow);
    });
  }

  /** First offset of the batch that takes the queue past `bytes`; `endOffset` when none does. */
  firstOffsetPastBytes(
    shard: ShardId,
    queueId: QueueId,
    startOffset: number,
    endOffset: number,
    bytes: number,
    onOffset: OnOffset,
  ): void {
    const holds = (row: QueueIndexRow): boolean => row.cumulativeBytes > bytes;
    this.#search(queueId, startOffset, endOffset, holds, onOffset, (before, onRow) => {
      const queue = this.#indexOf(shard, queueId);
      this.#store.firstIndexPastBytes(queue, startOffset, before, bytes, onRow);
    });
  }

  /** To be taken before LevelDB is asked: what waits now may be written meanwhile. */
  #indexOf(shard: ShardId, queueId: QueueId): QueueIndex {
    return { shard, queueId, moved: this.#moved.of(queueId) };
  }

  #effects(shard: ShardId): ShardEffects {
    const known = this.#shards.get(shard);
    if (known !== undefined) return known;
    const effects: ShardEffects = {
      ...{ shard, filling: newPass(), waiting: [], durable: 0, applied: 0 },
      ...{ replacement: undefined, isSwapping: false, afterSwap: undefined, isReleased: false },
    };
    this.#shards.set(shard, effects);
    return effects;
  }

  #count(pass: Pass, bytes: number): void {
    pass.bytes += bytes;
    this.#waitingBytes += bytes;
  }

  /** Hands over what may go to LevelDB; the rest waits for `durable`, or for a write to end. */
  #hand(effects: ShardEffects): void {
    if (effects.replacement !== undefined) this.#replace(effects, effects.replacement);
    if (effects.replacement !== undefined || effects.isSwapping || effects.isReleased) return;
    const durable = this.#options.durableIndexOf?.(effects.shard) ?? effects.durable;
    while (this.#store.hasRoom) {
      const passes = takePasses(effects, durable);
      if (passes.length === 0) return;
      this.#write(effects.shard, passes);
    }
  }

  #replace(effects: ShardEffects, { mark, tables }: Replacement): void {
    const start = this.#options.durableLogStartOf?.(effects.shard) ?? mark.index;
    if (effects.isSwapping || start < mark.index) return;
    effects.replacement = undefined;
    effects.isSwapping = true;
    this.#store.replaceShard(mark, tables, () => {
      effects.isSwapping = false;
      effects.afterSwap?.();
    });
  }

  #write(shard: ShardId, passes: readonly Pass[]): void {
    const ops: StateOp[] = [];
    const drops: IndexDrop[] = [];
    for (const pass of passes) {
      for (const op of pass.ops) ops.push(op);
      for (const row of pass.rows) ops.push(indexOp(shard, row));
      for (const move of pass.moves) ops.push(...moveOps(shard, move));
      for (const drop of pass.drops) drops.push(drop);
      this.#waitingBytes -= pass.bytes;
    }
    const mark = passes.at(-1)?.mark;
    assert(mark !== undefined, 'only whole passes are handed over');
    this.#store.write({ ops, applied: [mark], drops }, () => this.#written(shard, passes));
  }

  #written(shard: ShardId, passes: readonly Pass[]): void {
    for (const { rows, moves, drops } of passes) {
      for (const row of rows) this.#recent.readable(row);
      for (const { row } of moves) this.#moved.readable(row);
      for (const { queueId, startOffset } of drops) {
        this.#recent.dropBelow(shard, queueId, startOffset);
      }
    }
  }

  /** Whatever it was that LevelDB has written: there may be room now, for every shard. */
  #storeWrote(): void {
    for (const effects of this.#shards.values()) {
      if (effects.waiting.length > 0 || effects.replacement !== undefined) this.#hand(effects);
    }
    this.#tellRoom();
  }

  #tellRoom(): void {
    const { maxPendingBytes, onRoom } = this.#options;
    if (!this.#isFull || this.pendingBytes > maxPendingBytes * ROOM_AGAIN_PART) return;
    this.#isFull = false;
    onRoom?.();
  }

  #storedRows(
    shard: ShardId,
    queueId: QueueId,
    offset: number,
    limit: number,
    mayRepeat: boolean,
    onRows: OnRows,
  ): void {
    this.#store.indexFrom(this.#indexOf(shard, queueId), offset, limit, (error, found) => {
      const tail = this.#recent.tail(queueId);
      if (tail !== undefined && offset < tail.startOffset) onRows(belowStart(queueId, offset), []);
      else if (error !== undefined) onRows(error, []);
      else if (found.length > 0) {
        const last = found.at(-1) as QueueIndexRow;
        const next = last.baseOffset + last.count;
        const more = tail?.covers(next) ? tail.from(next, limit - found.length) : [];
        // Those that LevelDB answered may have become one with others here meanwhile.
        const follows = more[0]?.baseOffset === next;
        onRows(undefined, follows ? [...found, ...more] : found);
      } else if (tail?.covers(offset)) onRows(undefined, tail.from(offset, limit));
      // Written to LevelDB and evicted here while we looked there: it is there now.
      else if (mayRepeat && tail?.first !== undefined) {
        this.#storedRows(shard, queueId, offset, limit, false, onRows);
      } else onRows(undefined, []);
    });
  }

  /** What holds once holds for all later rows, so memory is asked first where the two meet. */
  #search(
    queueId: QueueId,
    startOffset: number,
    endOffset: number,
    holds: (row: QueueIndexRow) => boolean,
    onOffset: OnOffset,
    searchStored: (
      beforeOffset: number,
      onRow: (error: Error | undefined, row: { readonly baseOffset: number } | undefined) => void,
    ) => void,
  ): void {
    const tail = this.#recent.tail(queueId);
    const first = tail?.first;
    const answer = (baseOffset: number | undefined): void =>
      onOffset(undefined, Math.min(endOffset, Math.max(startOffset, baseOffset ?? endOffset)));
    if (tail !== undefined && first !== undefined) {
      if (first.baseOffset <= startOffset || !holds(first)) {
        answer(tail.firstWhere(holds)?.baseOffset);
        return;
      }
    }
    const before = first?.baseOffset ?? endOffset;
    searchStored(Math.min(before, endOffset), (error, row) => {
      if (error !== undefined) onOffset(error, 0);
      else answer(row?.baseOffset ?? before);
    });
  }
}

/** Whole passes that the log is durable through, up to a size. */
function takePasses(effects: ShardEffects, durable: LogIndex): readonly Pass[] {
  let count = 0;
  let bytes = 0;
  for (const pass of effects.waiting) {
    if ((pass.mark?.index ?? 0) > durable || bytes >= MAX_HANDED_BYTES) break;
    bytes += pass.bytes;
    count++;
  }
  return effects.waiting.splice(0, count);
}

/** What it replaces goes with the batch that brings it: offsets are dense at any moment. */
function moveOps(shard: ShardId, { row, replaced }: Move): readonly StateOp[] {
  const gone = replaced.map((last) => indexKey(shard, row.queueId, last));
  return [...gone.map((key) => ({ key, value: undefined })), indexOp(shard, row)];
}

function belowStart(queueId: QueueId, offset: number): Error {
  const error = new Error(`offset ${offset} of queue ${queueId} is below the start`);
  return Object.assign(error, { code: 'OUT_OF_RANGE' });
}

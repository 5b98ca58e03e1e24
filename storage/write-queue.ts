/**
 * Gathers state changes into batches: one batch in flight, what waits is merged into the next. No
 * acknowledgement waits for this, so a batch may be held back a little to make it larger: its
 * fixed cost is that of some hundred rows.
 */
import { strict as assert } from 'node:assert';
import type { ShardId } from '../raft/types.ts';
import { asBuffer, KeyKind } from './keys.ts';
import type { AppliedMark } from './row-codec.ts';

/** `value` undefined deletes. */
export interface StateOp {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface StateChanges {
  readonly ops: readonly StateOp[];
  /** How far shards got with these changes. */
  readonly applied: readonly AppliedMark[];
  /** Called when the changes can be read from LevelDB. */
  readonly done: (() => void) | undefined;
}

export interface MergedBatch {
  readonly ops: readonly StateOp[];
  readonly applied: readonly AppliedMark[];
}

export interface WriteQueueOptions {
  /** A batch takes waiting changes until it is this large. */
  readonly maxBatchBytes: number;
  /** Longest that changes wait for company; 0 = not at all. */
  readonly batchDelayMs: number;
  readonly maxPendingBytes: number;
  /** Never calls back after a failure. */
  readonly writeBatch: (batch: MergedBatch, onWritten: () => void) => void;
}

/** What a row costs beside its bytes, in LevelDB's memory as well as in ours. */
const ROW_OVERHEAD_BYTES = 24;

export function opBytes(op: StateOp): number {
  return op.key.length + (op.value?.length ?? 0) + ROW_OVERHEAD_BYTES;
}

interface Waiting extends StateChanges {
  readonly bytes: number;
}

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  #inFlight = false;
  #timer: NodeJS.Timeout | undefined;
  #onIdle: (() => void)[] = [];

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** Waiting and in flight. */
  get pendingBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  push(changes: StateChanges): void {
    assert(this.pendingBytes < this.#options.maxPendingBytes, 'state writes exceed their bound');
    let bytes = ROW_OVERHEAD_BYTES * (changes.applied.length + 1);
    for (const op of changes.ops) bytes += opBytes(op);
    const { ops, applied, done } = changes;
    this.#waiting.push({ ops, applied, done, bytes });
    this.#waitingBytes += bytes;
    this.#schedule();
  }

  /** Calls back when nothing waits and nothing is in flight; hurries. */
  whenIdle(onIdle: () => void): void {
    if (!this.#inFlight && this.#waiting.length === 0) onIdle();
    else {
      this.#onIdle.push(onIdle);
      if (!this.#inFlight) this.#start();
    }
  }

  #schedule(): void {
    if (this.#inFlight || this.#waiting.length === 0) return;
    const { batchDelayMs, maxBatchBytes } = this.#options;
    const large = this.#waitingBytes >= maxBatchBytes / 2;
    if (batchDelayMs === 0 || large || this.#onIdle.length > 0) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), batchDelayMs);
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const taken = this.#take();
    this.#inFlight = true;
    this.#options.writeBatch(merge(taken), () => this.#written(taken));
  }

  #take(): readonly Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const changes of this.#waiting) {
      if (count > 0 && bytes + changes.bytes > this.#options.maxBatchBytes) break;
      bytes += changes.bytes;
      count++;
    }
    this.#waitingBytes -= bytes;
    this.#inFlightBytes = bytes;
    return this.#waiting.splice(0, count);
  }

  #written(taken: readonly Waiting[]): void {
    this.#inFlight = false;
    this.#inFlightBytes = 0;
    for (const { done } of taken) done?.();
    this.#schedule();
    if (this.#inFlight || this.#waiting.length > 0) return;
    const idle = this.#onIdle;
    this.#onIdle = [];
    for (const onIdle of idle) onIdle();
  }
}

/** Index rows, few of which come twice, stay in order; of everything else the last put counts. */
function merge(taken: readonly Waiting[]): MergedBatch {
  const rows: StateOp[] = [];
  const latest = new Map<string, StateOp>();
  const applied = new Map<ShardId, AppliedMark>();
  for (const changes of taken) {
    for (const op of changes.ops) {
      if (op.key[0] === KeyKind.queueIndex) rows.push(op);
      else latest.set(keyText(op.key), op);
    }
    for (const mark of changes.applied) {
      const before = applied.get(mark.shard);
      assert(before === undefined || mark.index >= before.index, 'a shard never goes back');
      applied.set(mark.shard, mark);
    }
  }
  for (const op of latest.values()) rows.push(op);
  return { ops: rows, applied: [...applied.values()] };
}

function keyText(key: Uint8Array): string {
  return asBuffer(key).toString('latin1');
}

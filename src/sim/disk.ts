/**
 * A disk that forgets: what was not synced when the node crashed is lost, but for a random prefix
 * (pages that happened to reach the platter). Order in the file decides which record of an index is
 * alive (internals rule 1), as in the real log.
 */
import { RaftError, RaftErrorCode } from '../../raft/errors.ts';
import type { LogRecord, LogStore, WriteCallbacks } from '../../raft/ports.ts';
import {
  type Entry,
  EntryType,
  type LogIndex,
  type RecoveredShard,
  type ShardId,
  type ShardState,
  type TermStart,
} from '../../raft/types.ts';
import { expect } from './failure.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

interface QueuedWrite {
  readonly records: readonly LogRecord[];
  readonly callbacks: WriteCallbacks;
}

/** One shard's log as a reader of the file would see it. */
export class ShardImage {
  state: ShardState;
  /** Slot i holds index `logStart + 1 + i` as of `base`. */
  entries: Entry[] = [];
  base: LogIndex;

  constructor(state: ShardState) {
    this.state = state;
    this.base = state.logStart.index;
  }

  get lastIndex(): LogIndex {
    return this.base + this.entries.length;
  }

  entry(index: LogIndex): Entry | undefined {
    return index <= this.base ? undefined : this.entries[index - this.base - 1];
  }

  apply(record: LogRecord): void {
    if (record.kind === 'state') this.#setState(record.state);
    else if (record.kind === 'entry') this.#setEntry(record.entry);
    else expect(false, 'log-record', () => `${record.kind} is not simulated yet`);
  }

  #setState(state: ShardState): void {
    this.state = state;
    const gone = state.logStart.index - this.base;
    if (gone <= 0) return;
    this.entries.splice(0, gone);
    this.base = state.logStart.index;
  }

  #setEntry(entry: Entry): void {
    const at = entry.index - this.base - 1;
    expect(at >= 0 && at <= this.entries.length, 'log-contiguous', () => `index ${entry.index}`);
    this.entries.length = at;
    this.entries.push(entry);
  }

  copy(): ShardImage {
    const copy = new ShardImage(this.state);
    copy.base = this.base;
    copy.entries = this.entries.slice();
    return copy;
  }

  recovered(shard: ShardId): RecoveredShard {
    const termStarts: TermStart[] = [];
    for (const { term, index } of this.entries) {
      if (termStarts.at(-1)?.term !== term) termStarts.push({ term, index });
    }
    const configEntries = this.entries.filter(({ type }) => type === EntryType.config);
    return { shard, state: this.state, lastIndex: this.lastIndex, termStarts, configEntries };
  }
}

export interface DiskTiming {
  readonly writeMaxMs: number;
  readonly syncMaxMs: number;
}

export class SimDisk implements LogStore {
  readonly synced = new Map<ShardId, ShardImage>();
  /** What reads see: written, synced or not. */
  readonly written = new Map<ShardId, ShardImage>();
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #timing: DiskTiming;
  #queue: QueuedWrite[] = [];
  #flushing: QueuedWrite[] = [];
  #epoch = 0;
  syncs = 0;

  constructor(scheduler: Scheduler, random: Random, timing: DiskTiming) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#timing = timing;
  }

  format(shard: ShardId, state: ShardState): void {
    this.synced.set(shard, new ShardImage(state));
    this.written.set(shard, new ShardImage(state));
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    for (const record of records) this.written.get(record.shard)!.apply(record);
    this.#queue.push({ records, callbacks });
    if (this.#flushing.length === 0) this.#flush();
  }

  /** Group commit: whatever is queued goes together; the next flush starts when this one ends. */
  #flush(): void {
    const batch = this.#queue;
    if (batch.length === 0) return;
    this.#queue = [];
    this.#flushing = batch;
    this.#later(this.#random.next() * this.#timing.writeMaxMs, () => {
      for (const { callbacks } of batch) callbacks.onWritten?.();
      this.#later(this.#random.next() * this.#timing.syncMaxMs, () => this.#synced(batch));
    });
  }

  #synced(batch: readonly QueuedWrite[]): void {
    this.syncs++;
    this.#flushing = [];
    for (const { records } of batch) this.#sync(records);
    for (const { callbacks } of batch) callbacks.onDurable();
    if (this.#flushing.length === 0) this.#flush();
  }

  #sync(records: readonly LogRecord[]): void {
    for (const record of records) this.synced.get(record.shard)!.apply(record);
  }

  #later(delayMs: number, run: () => void): void {
    const epoch = this.#epoch;
    this.#scheduler.after(delayMs, () => {
      if (epoch === this.#epoch) run();
    });
  }

  read(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    onEntries: (error: Error | undefined, entries: readonly Entry[]) => void,
  ): void {
    this.#later(this.#random.next() * this.#timing.writeMaxMs, () => {
      const image = this.written.get(shard)!;
      if (from <= image.base) {
        onEntries(new RaftError(RaftErrorCode.compacted, `index ${from} is gone`), []);
        return;
      }
      const entries: Entry[] = [];
      let bytes = 0;
      for (let index = from; index <= Math.min(to, image.lastIndex); index++) {
        const entry = image.entry(index)!;
        bytes += entry.head.length + entry.payload.length;
        if (entries.length > 0 && bytes > maxBytes) break;
        entries.push(entry);
      }
      onEntries(undefined, entries);
    });
  }

  /**
   * What was not handed to the kernel is lost; of what was, a power cut keeps a random prefix and
   * kill -9 keeps all.
   */
  crash(power: boolean): void {
    this.#epoch++;
    const pending = this.#flushing.flatMap(({ records }) => records);
    const kept = power ? this.#random.between(0, pending.length) : pending.length;
    this.#sync(pending.slice(0, kept));
    this.#flushing = [];
    this.#queue = [];
    for (const [shard, image] of this.synced) this.written.set(shard, image.copy());
  }
}

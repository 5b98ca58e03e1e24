/**
 * The reference `LogStore`: the same contract with arrays for files. For tests and simulations.
 * `crash` loses what was not durable.
 */
import assert from 'node:assert';
import type { LogRecord, LogStore, WriteCallbacks } from '../raft/ports.ts';
import type {
  Entry,
  LogIndex,
  RecoveredShard,
  ShardId,
  ShardState,
  TermStart,
} from '../raft/types.ts';
import { EntryType } from '../raft/types.ts';
import { StorageError } from './errors.ts';

interface MemoryShard {
  state: ShardState;
  /** `entries[i]` has index `state.logStart.index + 1 + i`. */
  entries: Entry[];
}

interface Pending {
  readonly records: readonly LogRecord[];
  readonly callbacks: WriteCallbacks;
}

export interface MemoryStoreOptions {
  /** Runs a step of the write path later; never at once. Default: when `step` is called. */
  readonly schedule?: (run: () => void) => void;
}

export class MemoryStore implements LogStore {
  private durable: LogRecord[] = [];
  private shards = new Map<ShardId, MemoryShard>();
  private queue: Pending[] = [];
  private flushing: Pending[] = [];
  private steps: (() => void)[] = [];
  private readonly schedule: (run: () => void) => void;

  constructor(options: MemoryStoreOptions = {}) {
    this.schedule = options.schedule ?? ((run) => this.steps.push(run));
  }

  get recovered(): readonly RecoveredShard[] {
    return [...this.shards].map(([shard, log]) => recoveredOf(shard, log));
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    this.queue.push({ records, callbacks });
    if (this.flushing.length === 0) this.flush();
  }

  read(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    onEntries: (error: Error | undefined, entries: readonly Entry[]) => void,
  ): void {
    const log = this.shards.get(shard);
    const start = log?.state.logStart.index ?? 0;
    if (log !== undefined && from <= start) {
      onEntries(new StorageError('COMPACTED', `shard ${shard} begins at ${start + 1}`), []);
      return;
    }
    if (log === undefined || to < from || from > start + log.entries.length) {
      onEntries(new StorageError('OUT_OF_RANGE', `shard ${shard} has no index ${from}`), []);
      return;
    }
    onEntries(undefined, fitting(log.entries.slice(from - start - 1, to - start), maxBytes));
  }

  /** Runs one scheduled step; false if there was none. */
  step(): boolean {
    const run = this.steps.shift();
    run?.();
    return run !== undefined;
  }

  /** The process dies with its machine: durable records stay, pending callbacks never come. */
  crash(): void {
    this.queue = [];
    this.flushing = [];
    this.steps = [];
    this.shards = new Map();
    for (const record of this.durable) applyRecord(this.shards, record);
  }

  /** Everything queued is one flush: in the cache in one step, on the disk in the next. */
  private flush(): void {
    if (this.queue.length === 0) return;
    const batch = this.queue;
    this.flushing = batch;
    this.queue = [];
    const records = batch.flatMap((pending) => pending.records);
    for (const record of records) applyRecord(this.shards, record);
    const alive = (): boolean => this.flushing === batch;
    this.schedule(() => {
      if (!alive()) return;
      for (const { callbacks } of batch) callbacks.onWritten?.();
      this.schedule(() => {
        if (!alive()) return;
        for (const record of records) this.durable.push(record);
        for (const { callbacks } of batch) callbacks.onDurable();
        this.flushing = [];
        this.flush();
      });
    });
  }
}

function applyRecord(shards: Map<ShardId, MemoryShard>, record: LogRecord): void {
  const log = shards.get(record.shard);
  if (record.kind === 'state') {
    if (log === undefined) shards.set(record.shard, { state: record.state, entries: [] });
    else setState(log, record.state);
    return;
  }
  assert(record.kind === 'entry', `${record.kind} is not stored yet`);
  assert(log !== undefined, `shard ${record.shard} has no state yet`);
  const at = record.entry.index - log.state.logStart.index - 1;
  assert(at >= 0 && at <= log.entries.length, 'entries are contiguous');
  const voids = at < log.entries.length;
  assert(!voids || record.entry.index > log.state.hardState.commit, 'committed entries stay');
  log.entries.length = at;
  log.entries.push(record.entry);
}

function setState(log: MemoryShard, state: ShardState): void {
  const dropped = state.logStart.index - log.state.logStart.index;
  assert(dropped >= 0, 'the log start never falls');
  log.entries.splice(0, dropped);
  log.state = state;
}

/** At least one entry, then what fits. */
function fitting(entries: readonly Entry[], maxBytes: number): Entry[] {
  let bytes = 0;
  let count = 0;
  for (const entry of entries) {
    bytes += RECORD_OVERHEAD_BYTES + entry.head.length + entry.payload.length;
    if (count > 0 && bytes > maxBytes) break;
    count += 1;
  }
  return entries.slice(0, count);
}

/** Counted like the commit log counts: header and body. */
const RECORD_OVERHEAD_BYTES = 64;

function recoveredOf(shard: ShardId, { state, entries }: MemoryShard): RecoveredShard {
  const termStarts: TermStart[] = [];
  for (const { term, index } of entries) {
    if (termStarts.at(-1)?.term !== term) termStarts.push({ term, index });
  }
  const lastIndex = state.logStart.index + entries.length;
  const configEntries = entries.filter((entry) => entry.type === EntryType.config);
  return { shard, state, lastIndex, termStarts, configEntries };
}

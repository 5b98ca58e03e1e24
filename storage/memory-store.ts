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
  ReplicaId,
  ShardId,
  ShardState,
  TermStart,
} from '../raft/types.ts';
import { EntryType } from '../raft/types.ts';
import { DamagedEntryError, StorageError } from './errors.ts';

interface MemoryShard {
  state: ShardState;
  /** `entries[i]` has index `state.logStart.index + 1 + i`. */
  entries: Entry[];
  /** Indexes whose bodies cannot be read. */
  readonly damaged: Set<LogIndex>;
}

interface Content {
  readonly shards: Map<ShardId, MemoryShard>;
  readonly tombstones: Map<ShardId, ReplicaId>;
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
  private content: Content = noContent();
  private queue: Pending[] = [];
  private flushing: Pending[] = [];
  private steps: (() => void)[] = [];
  private readonly schedule: (run: () => void) => void;

  constructor(options: MemoryStoreOptions = {}) {
    this.schedule = options.schedule ?? ((run) => this.steps.push(run));
  }

  get recovered(): readonly RecoveredShard[] {
    return [...this.content.shards].map(([shard, log]) => recoveredOf(shard, log));
  }

  /** The highest replica id of each shard that left. */
  get tombstones(): ReadonlyMap<ShardId, ReplicaId> {
    return this.content.tombstones;
  }

  /** From now on the entry's body cannot be read, until it is repaired. */
  damage(shard: ShardId, index: LogIndex): void {
    this.content.shards.get(shard)!.damaged.add(index);
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
    const log = this.content.shards.get(shard);
    const start = log?.state.logStart.index ?? 0;
    if (log !== undefined && from <= start) {
      onEntries(new StorageError('COMPACTED', `shard ${shard} begins at ${start + 1}`), []);
      return;
    }
    if (log === undefined || to < from || from > start + log.entries.length) {
      onEntries(new StorageError('OUT_OF_RANGE', `shard ${shard} has no index ${from}`), []);
      return;
    }
    const wanted = log.entries.slice(from - start - 1, to - start);
    const bad = wanted.findIndex(({ index }) => log.damaged.has(index));
    if (bad === 0) {
      const { index, term } = wanted[0]!;
      onEntries(new DamagedEntryError(`index ${index} is damaged`, { index, term }), []);
    } else onEntries(undefined, fitting(bad === -1 ? wanted : wanted.slice(0, bad), maxBytes));
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
    const before = this.content.shards;
    this.content = noContent();
    for (const record of this.durable) applyRecord(this.content, record);
    for (const [shard, log] of this.content.shards) {
      for (const index of before.get(shard)?.damaged ?? []) log.damaged.add(index);
    }
  }

  /** Everything queued is one flush: in the cache in one step, on the disk in the next. */
  private flush(): void {
    if (this.queue.length === 0) return;
    const batch = this.queue;
    this.flushing = batch;
    this.queue = [];
    const records = batch.flatMap((pending) => pending.records);
    for (const record of records) applyRecord(this.content, record);
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

function applyRecord({ shards, tombstones }: Content, record: LogRecord): void {
  const { kind, shard } = record;
  const log = shards.get(shard);
  if (kind === 'drop') {
    tombstones.set(shard, Math.max(tombstones.get(shard) ?? 0, record.replica));
    if (log !== undefined && log.state.replica <= record.replica) shards.delete(shard);
    return;
  }
  if (kind === 'state' && log === undefined) {
    const left = tombstones.get(shard) ?? 0;
    assert(record.state.replica > left, `replica ${record.state.replica} comes back`);
    shards.set(shard, { state: record.state, entries: [], damaged: new Set() });
    return;
  }
  assert(log !== undefined, `shard ${shard} has no state yet`);
  if (kind === 'state') setState(log, record.state);
  else if (kind === 'reset') reset(log, record.state);
  else if (kind === 'repair') repair(log, record.entry);
  else append(log, record.entry);
}

function append(log: MemoryShard, entry: Entry): void {
  const at = entry.index - log.state.logStart.index - 1;
  assert(at >= 0 && at <= log.entries.length, 'entries are contiguous');
  const voids = at < log.entries.length;
  assert(!voids || entry.index > log.state.hardState.commit, 'committed entries stay');
  log.entries.length = at;
  log.entries.push(entry);
  for (const index of log.damaged) if (index >= entry.index) log.damaged.delete(index);
}

function setState(log: MemoryShard, state: ShardState): void {
  const dropped = state.logStart.index - log.state.logStart.index;
  assert(dropped >= 0, 'the log start never falls');
  assert.equal(state.replica, log.state.replica, 'another replica of the shard');
  log.entries.splice(0, dropped);
  log.state = state;
  for (const index of log.damaged) if (index <= state.logStart.index) log.damaged.delete(index);
}

function reset(log: MemoryShard, state: ShardState): void {
  log.entries = [];
  log.damaged.clear();
  log.state = state;
}

/** Of an entry that is not there any more, or was replaced: nothing. */
function repair(log: MemoryShard, entry: Entry): void {
  const held = log.entries[entry.index - log.state.logStart.index - 1];
  if (held?.term === entry.term) log.damaged.delete(entry.index);
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

function noContent(): Content {
  return { shards: new Map(), tombstones: new Map() };
}

function recoveredOf(shard: ShardId, log: MemoryShard): RecoveredShard {
  const { state, entries } = log;
  const termStarts: TermStart[] = [];
  for (const { term, index } of entries) {
    if (termStarts.at(-1)?.term !== term) termStarts.push({ term, index });
  }
  const lastIndex = state.logStart.index + entries.length;
  const configEntries = entries.filter((entry) => entry.type === EntryType.config);
  const damaged = entries.filter(({ index }) => log.damaged.has(index));
  return {
    shard,
    state,
    lastIndex,
    termStarts,
    configEntries,
    ...(damaged.length === 0
      ? {}
      : { damaged: damaged.map(({ index, term }) => ({ index, term })) }),
  };
}

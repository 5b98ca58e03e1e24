/**
 * Brings the entries that index rows of a queue point at: from Raft's tail in memory when they are
 * recent, else from the commit log. In the order of the log, whatever the order of the rows: what
 * was half or delayed stands in its queue behind newer batches, but lies among older ones.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { LogReads } from './paced-reads.ts';

/** Rows whose entries lie this close in the shard's log are read in one go. */
const RUN_GAP_MAX = 8;

/** The log is read in slices of this size: other readers, and appends, come in between. */
export const SLICE_BYTES = 256 * 1024;

/** What an entry takes in the log beside its payload, about. */
const ENTRY_OVERHEAD_BYTES = 256;

export interface EntryTail {
  cachedEntries(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
  ): readonly Entry[] | undefined;
}

/** A row whose entry is to be read. */
export interface WantedRow {
  readonly row: QueueIndexRow;
  /** Of its payload, or about. */
  readonly bytes: number;
}

/** Rows that lie close to each other in the log, ascending there. */
type Run = readonly WantedRow[];

export function liesCloseAfter(before: QueueIndexRow, row: QueueIndexRow): boolean {
  const gap = row.index - before.index;
  return gap > 0 && gap <= RUN_GAP_MAX;
}

/** Of as many of the first rows as need no more runs than `maxRuns`; in the order of the log. */
export function runsOf(wanted: readonly WantedRow[], maxRuns: number): readonly Run[] {
  const runs: WantedRow[][] = [];
  let run: WantedRow[] = [];
  for (const each of [...wanted].sort((a, b) => a.row.index - b.row.index)) {
    const before = run.at(-1);
    if (before === undefined || !liesCloseAfter(before.row, each.row)) {
      run = [];
      runs.push(run);
    }
    run.push(each);
  }
  // A row never needs more than one.
  return runs.length <= maxRuns ? runs : runsOf(wanted.slice(0, maxRuns), maxRuns);
}

export interface ReadEntries {
  /** By index. What could not be read is missing, and `error` says why. */
  readonly found: ReadonlyMap<LogIndex, Entry>;
  readonly error: Error | undefined;
  /** Some came from the log and not from memory. */
  readonly isCold: boolean;
}

export interface EntrySource extends LogReads {
  readonly tail: EntryTail;
}

export function readRuns(
  source: EntrySource,
  shard: ShardId,
  runs: readonly Run[],
  done: (read: ReadEntries) => void,
): void {
  new RunsRead(source, shard, runs, done).start();
}

class RunsRead implements ReadEntries {
  readonly found = new Map<LogIndex, Entry>();
  error: Error | undefined;
  isCold = false;
  readonly #source: EntrySource;
  readonly #shard: ShardId;
  readonly #runs: readonly Run[];
  readonly #done: (read: ReadEntries) => void;

  constructor(
    source: EntrySource,
    shard: ShardId,
    runs: readonly Run[],
    done: (read: ReadEntries) => void,
  ) {
    this.#source = source;
    this.#shard = shard;
    this.#runs = runs;
    this.#done = done;
  }

  start(): void {
    this.#readRun(0);
  }

  #readRun(at: number): void {
    const run = this.#runs[at];
    if (run === undefined) this.#done(this);
    else this.#readSlice(run, () => this.#readRun(at + 1));
  }

  /** From the first row of the run on; the rest of it in further slices. */
  #readSlice(run: Run, next: () => void): void {
    const [first, last] = [run[0], run.at(-1)];
    if (first === undefined || last === undefined) {
      next();
      return;
    }
    const from = first.row.index;
    const take = (error: Error | undefined, entries: readonly Entry[]): void => {
      const end = entries.at(-1)?.index;
      if (error !== undefined || end === undefined || entries[0]!.index !== from) {
        this.error = error ?? new Error(`no entry at index ${from}`);
        this.#done(this);
        return;
      }
      for (const entry of entries) this.found.set(entry.index, entry);
      const rest = run.findIndex(({ row }) => row.index > end);
      this.#readSlice(rest === -1 ? [] : run.slice(rest), next);
    };
    const to = last.row.index;
    const bytes = logBytes(run);
    const source = this.#source;
    const cached = source.tail.cachedEntries(this.#shard, from, to, bytes);
    if (cached !== undefined && cached.length > 0) take(undefined, cached);
    else {
      this.isCold = true;
      source.read(this.#shard, from, to, Math.min(bytes, sliceBytes(first)), take);
    }
  }
}

/** A first entry that is larger than a slice is read in one go all the same. */
function sliceBytes({ bytes }: WantedRow): number {
  return Math.max(SLICE_BYTES, bytes + ENTRY_OVERHEAD_BYTES);
}

/** What a run takes in the log, others' entries in its gaps left out of account. */
function logBytes(run: Run): number {
  let bytes = 0;
  for (const each of run) bytes += each.bytes + ENTRY_OVERHEAD_BYTES;
  return bytes;
}

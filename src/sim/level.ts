/**
 * LevelDB as classic-level 3 behaves, behind the face that the state store uses. Batches are not
 * synced: they stand in LevelDB's own log until a write buffer is full, then in a synced table. A
 * power cut takes the end of that log, or a piece out of its middle without a word at the next
 * open, or the file CURRENT (reliability section 1). A kill takes at most the batch under way.
 */
import type {
  Database,
  IteratorRange,
  LevelBackend,
  LevelFiles,
  RowIterator,
  Snapshot,
  WriteBatch,
} from '../../storage/level-db.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { SortedRows } from './sorted-rows.ts';

export type LevelFaultKind = 'levelTail' | 'levelHole' | 'levelCurrent' | 'levelWriteError';

export interface LevelHost {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly writeMaxMs: number;
  deliver(run: () => void): void;
  /** Does the next write fail? */
  writeFails(): boolean;
  onFault(kind: LevelFaultKind): void;
}

type Op = readonly [key: Uint8Array, value: Uint8Array | undefined];
type Batch = readonly Op[];

interface InFlight {
  readonly batch: Batch;
}

/** What a power cut does to LevelDB's log, each as likely as the other. */
const CUTS = ['nothing', 'nothing', 'tail', 'tail', 'hole'] as const;
const CURRENT_LOST_RATE = 0.05;

export class SimLevel implements LevelBackend {
  readonly #host: LevelHost;
  /** In synced tables. */
  #tables = new SortedRows();
  /** Tables and log. */
  #rows = new SortedRows();
  /** Batches of the write buffer that is being made a table, and of the one in use. */
  #older: Batch[] = [];
  #newer: Batch[] = [];
  #newerBytes = 0;
  #isCurrentLost = false;
  readonly #inFlight = new Set<InFlight>();
  #life = 0;

  constructor(host: LevelHost) {
    this.#host = host;
  }

  missingCurrent(): Promise<string | undefined> {
    return Promise.resolve(this.#isCurrentLost ? 'its file CURRENT is missing' : undefined);
  }

  condemn(): void {
    this.#isCurrentLost = true;
  }

  delete(): Promise<void> {
    this.#tables = new SortedRows();
    this.#rows = new SortedRows();
    this.#older = [];
    this.#newer = [];
    this.#newerBytes = 0;
    this.#isCurrentLost = false;
    return Promise.resolve();
  }

  open({ writeBufferBytes }: LevelFiles): Promise<Database> {
    const life = this.#life;
    return Promise.resolve({
      batch: () => this.#batch(life, writeBufferBytes),
      get: (key, options) => Promise.resolve(this.#seen(options?.snapshot).get(key)),
      iterator: (range) => this.#iterator(range),
      snapshot: () => new LevelSnapshot(this.#rows.copy()),
      close: () => Promise.resolve(),
    } satisfies Database);
  }

  crash(power: boolean): void {
    const { random } = this.#host;
    this.#life++;
    for (const { batch } of this.#inFlight) if (random.chance(0.5)) this.#append(batch);
    this.#inFlight.clear();
    if (!power) return;
    this.#cutLog(random.pick(CUTS));
    if (random.chance(CURRENT_LOST_RATE) && this.#rows.size > 0) {
      this.#host.onFault('levelCurrent');
      this.#isCurrentLost = true;
    }
  }

  /** A bit of a value turns over, wherever LevelDB keeps it. */
  flipRow(random: Random): boolean {
    const found = this.#rows.at(random.next());
    if (found === undefined || found[1].length === 0) return false;
    const [key, value] = found;
    const flipped = Buffer.from(value);
    flipped[random.between(0, value.length - 1)]! ^= 1 << random.between(0, 7);
    for (const rows of [this.#tables, this.#rows]) {
      if (rows.get(key) === value) rows.apply([[key, flipped]]);
    }
    return true;
  }

  #cutLog(cut: (typeof CUTS)[number]): void {
    const log = [...this.#older, ...this.#newer];
    if (cut === 'nothing' || log.length === 0) return;
    const { random } = this.#host;
    const from = random.between(0, log.length - 1);
    const to = cut === 'tail' ? log.length : random.between(from + 1, log.length);
    log.splice(from, to - from);
    this.#host.onFault(to - from < 1 || cut === 'tail' ? 'levelTail' : 'levelHole');
    this.#older = [];
    this.#newer = log;
    this.#newerBytes = log.reduce((sum, batch) => sum + bytesOf(batch), 0);
    this.#rows = this.#tables.copy();
    for (const batch of log) this.#rows.apply(batch);
  }

  /** For the process of this life: what is left of it after a crash writes nothing any more. */
  #batch(life: number, writeBufferBytes: number): WriteBatch {
    const ops: Op[] = [];
    return {
      put: (key, value) => ops.push([key, value]),
      del: (key) => ops.push([key, undefined]),
      write: () => (life === this.#life ? this.#write(ops, writeBufferBytes) : new Settled()),
    };
  }

  /** Settles within the event that ends the write: nothing waits for a microtask. */
  #write(batch: Batch, writeBufferBytes: number): PromiseLike<void> {
    const { random, scheduler, writeMaxMs } = this.#host;
    const life = this.#life;
    const fails = this.#host.writeFails();
    const inFlight = { batch };
    this.#inFlight.add(inFlight);
    const settled = new Settled();
    scheduler.after(random.next() * writeMaxMs, () => {
      if (life !== this.#life) return;
      this.#inFlight.delete(inFlight);
      if (fails) this.#host.onFault('levelWriteError');
      else this.#append(batch);
      this.#rotate(writeBufferBytes);
      this.#host.deliver(() => {
        scheduler.promised();
        if (fails) settled.reject(new Error('IO error: simulated'));
        else settled.resolve();
      });
    });
    return settled;
  }

  #append(batch: Batch): void {
    this.#rows.apply(batch);
    this.#newer.push(batch);
    this.#newerBytes += bytesOf(batch);
  }

  /** Two write buffers at most are at risk. */
  #rotate(writeBufferBytes: number): void {
    if (this.#newerBytes < writeBufferBytes) return;
    for (const batch of this.#older) this.#tables.apply(batch);
    this.#older = this.#newer;
    this.#newer = [];
    this.#newerBytes = 0;
  }

  #seen(snapshot: Snapshot | undefined): SortedRows {
    return snapshot instanceof LevelSnapshot ? snapshot.rows : this.#rows;
  }

  #iterator({ gte, lt, limit, snapshot }: IteratorRange): RowIterator {
    const found = this.#seen(snapshot).range(gte, lt, limit);
    let at = 0;
    return {
      nextv: (size) => {
        this.#host.scheduler.promised();
        const step = found.slice(at, at + size);
        at += step.length;
        return Promise.resolve(step);
      },
      close: () => Promise.resolve(),
    };
  }
}

class LevelSnapshot implements Snapshot {
  readonly rows: SortedRows;

  constructor(rows: SortedRows) {
    this.rows = rows;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A promise that calls back at once, for whoever only calls `then` on it. */
class Settled implements PromiseLike<void> {
  #onResolve: () => void = () => {};
  #onReject: (error: Error) => void = () => {};

  // biome-ignore lint/suspicious/noThenProperty: it stands in for the promise of a database.
  then<A, B>(
    onResolve?: ((value: undefined) => A | PromiseLike<A>) | null,
    onReject?: ((error: Error) => B | PromiseLike<B>) | null,
  ): PromiseLike<A | B> {
    this.#onResolve = () => onResolve?.(undefined);
    this.#onReject = (error) => onReject?.(error);
    return this as unknown as PromiseLike<A | B>;
  }

  resolve(): void {
    this.#onResolve();
  }

  reject(error: Error): void {
    this.#onReject(error);
  }
}

/** What LevelDB adds to a row in memory, roughly. */
const ROW_OVERHEAD_BYTES = 24;

function bytesOf(batch: Batch): number {
  let bytes = 0;
  for (const [key, value] of batch) bytes += ROW_OVERHEAD_BYTES + key.length + (value?.length ?? 0);
  return bytes;
}

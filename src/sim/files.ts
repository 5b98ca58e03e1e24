/**
 * The file system of one simulated machine. What processes see (the page cache) and what the disk
 * holds are kept apart: a power cut keeps any subset of the un-synced sectors and of the un-synced
 * directory changes, a kill keeps everything that was written. A failed sync drops the dirty pages
 * without a word: the cache reads well, the disk has not got them (ATC'20, as Linux does).
 */
import type { Done, DoneWith, Files, Handle, OpenMode } from '../../storage/files.ts';
import { FileData } from './file-data.ts';
import { SimNames } from './names.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** Opening, closing, listing: what a system call costs when no disk is asked. */
const CALL_MAX_MS = 0.05;

export interface FilesTiming {
  /** Default: CALL_MAX_MS. */
  callMaxMs?: number;
  writeMaxMs: number;
  syncMaxMs: number;
}

/** What the disk may do to the next operations; a draw per operation. */
export interface FileFaults {
  writeErrorRate: number;
  syncErrorRate: number;
  readErrorRate: number;
  /** Of LevelDB's own files only. */
  levelErrorRate: number;
  /** No byte more fits: writes fail with ENOSPC, some of their bytes taken. */
  isFull: boolean;
  /** Factor on all times. */
  slowness: number;
}

export type FileFaultKind = 'eioWrite' | 'eioSync' | 'eioRead' | 'enospc' | 'crashAtOperation';

const GOOD_DISK: FileFaults = {
  writeErrorRate: 0,
  syncErrorRate: 0,
  readErrorRate: 0,
  levelErrorRate: 0,
  isFull: false,
  slowness: 1,
};

interface OpenFile {
  readonly file: FileData;
  readonly dsync: boolean;
}

interface Operation {
  /** The effect on files, at the time of completion. */
  readonly complete: () => () => void;
  /** The machine went down before. */
  readonly interrupted: (() => void) | undefined;
}

export interface FilesHost {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly timing: FilesTiming;
  /** Hands a completion to the process, now or when it runs again. */
  deliver(run: () => void): void;
  /** The operation that `crashAtOperation` named has begun and will not end. */
  onCrashPoint(): void;
  onFault(kind: FileFaultKind): void;
}

export class SimFiles implements Files {
  readonly faults: FileFaults = { ...GOOD_DISK };
  readonly names = new SimNames();
  /** An operation of this life has failed: the process may end for it. */
  hasFailed = false;
  syncs = 0;
  readonly #host: FilesHost;
  readonly #open = new Map<Handle, OpenFile>();
  readonly #pending = new Set<Operation>();
  #nextHandle = 1;
  #life = 0;
  #crashIn = 0;
  #isFrozen = false;

  constructor(host: FilesHost) {
    this.#host = host;
  }

  /** The n-th operation from now is begun and never ends. 0 takes it back. */
  crashAtOperation(count: number): void {
    this.#crashIn = count;
  }

  /** The disk is as good as new, but for what it has lost. */
  heal(): void {
    Object.assign(this.faults, GOOD_DISK);
    this.#crashIn = 0;
  }

  /** The process is gone; with `power`, so is the page cache. */
  crash(power: boolean): void {
    const { random } = this.#host;
    this.#life++;
    this.#isFrozen = false;
    this.#crashIn = 0;
    this.hasFailed = false;
    for (const operation of [...this.#pending].reverse()) operation.interrupted?.();
    this.#pending.clear();
    this.#open.clear();
    if (!power) return;
    this.names.powerCut(random);
    const keep = random.pick([0, 0.5, 0.9, 1]);
    for (const file of this.names.files()) file.powerCut(random, keep);
  }

  /** Somebody deleted everything, while the process was down. */
  wipe(): void {
    this.names.clear();
  }

  makeDirectory(_directory: string, done: Done): void {
    this.#call(() => () => done(null));
  }

  list(directory: string, done: DoneWith<readonly string[]>): void {
    this.#call(() => {
      const names = this.names.in(directory);
      return () => done(null, names);
    });
  }

  open(name: string, mode: OpenMode, done: DoneWith<Handle>): void {
    this.#call(() => {
      let file = this.names.get(name);
      if (mode === 'create') {
        file = new FileData();
        this.names.link(name, file);
      }
      if (file === undefined) {
        return () => done(new Error(`ENOENT: no such file, open '${name}'`), -1);
      }
      const handle = this.#nextHandle++;
      this.#open.set(handle, { file, dsync: mode === 'writeDsync' });
      return () => done(null, handle);
    });
  }

  close(handle: Handle, done: Done): void {
    this.#call(() => {
      const isKnown = this.#open.delete(handle);
      return () => done(isKnown ? null : new Error('EBADF: bad file descriptor'));
    });
  }

  size(handle: Handle, done: DoneWith<number>): void {
    const { file } = this.#opened(handle);
    this.#call(() => {
      const { size } = file;
      return () => done(null, size);
    });
  }

  read(handle: Handle, target: Uint8Array, position: number, done: DoneWith<number>): void {
    const { file } = this.#opened(handle);
    const isBad = this.#fails(this.faults.readErrorRate, 'eioRead');
    this.#call(() => {
      if (isBad) return () => done(new Error('EIO: i/o error, read'), 0);
      const bytes = file.read(target, position);
      return () => done(null, bytes);
    });
  }

  write(
    handle: Handle,
    parts: readonly Uint8Array[],
    position: number,
    done: DoneWith<number>,
  ): void {
    const { file, dsync } = this.#opened(handle);
    const bytes = parts.length === 1 ? Buffer.from(parts[0]!) : Buffer.concat(parts);
    const failure = this.#writeFailure();
    if (failure !== undefined) {
      const taken = Math.floor(bytes.length * this.#host.random.next());
      this.#later(this.#writeMs(), () => {
        file.write(position, bytes.subarray(0, taken));
        return () => done(new Error(failure), taken);
      });
      return;
    }
    const isSyncBad = dsync && this.#fails(this.faults.syncErrorRate, 'eioSync');
    const delayMs = this.#writeMs() + (dsync ? this.#syncMs() : 0);
    this.#later(
      delayMs,
      () => {
        file.write(position, bytes);
        if (!dsync) return () => done(null, bytes.length);
        file.sync(!isSyncBad);
        if (isSyncBad) return () => done(new Error('EIO: i/o error, write'), 0);
        this.syncs++;
        return () => done(null, bytes.length);
      },
      () => file.write(position, bytes.subarray(0, this.#host.random.between(0, bytes.length))),
    );
  }

  datasync(handle: Handle, done: Done): void {
    const { file } = this.#opened(handle);
    const isBad = this.#fails(this.faults.syncErrorRate, 'eioSync');
    const through = file.writes;
    this.#later(this.#syncMs(), () => {
      file.sync(!isBad, through);
      if (isBad) return () => done(new Error('EIO: i/o error, fdatasync'));
      this.syncs++;
      return () => done(null);
    });
  }

  rename(from: string, to: string, done: Done): void {
    this.#call(() => {
      const isKnown = this.names.rename(from, to);
      return () => done(isKnown ? null : new Error(`ENOENT: no such file, rename '${from}'`));
    });
  }

  unlink(name: string, done: Done): void {
    this.#call(() => {
      const isKnown = this.names.unlink(name);
      return () => done(isKnown ? null : new Error(`ENOENT: no such file, unlink '${name}'`));
    });
  }

  syncDirectory(directory: string, done: Done): void {
    const isBad = this.#fails(this.faults.syncErrorRate, 'eioSync');
    const through = this.names.changes;
    this.#later(this.#syncMs(), () => {
      if (isBad) return () => done(new Error('EIO: i/o error, fsync'));
      this.names.sync(directory, through);
      return () => done(null);
    });
  }

  /** What the disk holds of a file. */
  durable(name: string): Buffer {
    return this.names.get(name)?.durable ?? Buffer.alloc(0);
  }

  /** A bit of a file at rest turns over, in the cache and on the disk. */
  flipBit(name: string, at: number, random: Random): void {
    this.names.get(name)?.flipBit(at, random);
  }

  #opened(handle: Handle): OpenFile {
    const opened = this.#open.get(handle);
    if (opened === undefined) throw new Error('EBADF: bad file descriptor');
    return opened;
  }

  #fails(rate: number, kind: FileFaultKind): boolean {
    if (rate === 0 || !this.#host.random.chance(rate)) return false;
    this.#failed(kind);
    return true;
  }

  /** The same faults for whoever writes to this disk by other ways. */
  failsWrite(): boolean {
    return (
      this.#writeFailure() !== undefined || this.#fails(this.faults.levelErrorRate, 'eioWrite')
    );
  }

  #failed(kind: FileFaultKind): void {
    this.hasFailed = true;
    this.#host.onFault(kind);
  }

  #writeFailure(): string | undefined {
    if (this.faults.isFull) {
      this.#failed('enospc');
      return 'ENOSPC: no space left on device, write';
    }
    const isBad = this.#fails(this.faults.writeErrorRate, 'eioWrite');
    return isBad ? 'EIO: i/o error, write' : undefined;
  }

  #writeMs(): number {
    return this.#host.random.next() * this.#host.timing.writeMaxMs;
  }

  #syncMs(): number {
    return this.#host.random.next() * this.#host.timing.syncMaxMs;
  }

  #call(complete: Operation['complete']): void {
    const { callMaxMs = CALL_MAX_MS } = this.#host.timing;
    this.#later(this.#host.random.next() * callMaxMs, complete);
  }

  #later(delayMs: number, complete: Operation['complete'], interrupted?: () => void): void {
    const life = this.#life;
    if (this.#isFrozen) return;
    const operation = { complete, interrupted };
    this.#pending.add(operation);
    if (this.#crashIn > 0 && --this.#crashIn === 0) {
      this.#isFrozen = true;
      this.#host.onFault('crashAtOperation');
      this.#host.onCrashPoint();
      return;
    }
    this.#host.scheduler.after(delayMs * this.faults.slowness, () => {
      if (life !== this.#life || this.#isFrozen) return;
      this.#pending.delete(operation);
      this.#host.deliver(operation.complete());
    });
  }
}

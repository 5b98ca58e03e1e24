/**
 * A file system in memory that keeps apart what is in the page cache and what is on the disk, and
 * that fails when told to. A power cut keeps any subset of the un-synced sectors and of the
 * un-synced directory changes; a kill keeps everything that was written.
 */
import path from 'node:path';
import { patched } from '../../src/sim/file-data.ts';
import type { Done, DoneWith, Files, Handle, OpenMode } from '../../storage/files.ts';

const SECTOR_BYTES = 512;

export type Fault = 'EIO' | 'ENOSPC' | 'short';

interface FileData {
  /** As processes see it. */
  cached: Buffer;
  /** As the disk holds it. */
  durable: Buffer;
  unsynced: { readonly position: number; readonly bytes: Buffer }[];
}

type NameChange =
  | { readonly kind: 'link'; readonly name: string; readonly file: FileData }
  | { readonly kind: 'unlink'; readonly name: string }
  | {
      readonly kind: 'rename';
      readonly from: string;
      readonly to: string;
      readonly file: FileData;
    };

interface OpenFile {
  readonly name: string;
  readonly file: FileData;
  readonly dsync: boolean;
}

export class FaultyFiles implements Files {
  /** Fails the n-th write from now (1 = the next one). */
  failWriteIn = 0;
  writeFault: Fault = 'EIO';
  /** Fails the n-th sync from now, also one that is part of an O_DSYNC write. */
  failSyncIn = 0;
  /** The n-th operation from now is begun and never completes, nor does any later one. */
  freezeIn = 0;
  /** The same, counting only syncs of directories. */
  freezeInDirectorySyncs = 0;
  onFreeze: () => void = () => {};
  frozen = false;
  readonly counts = { writes: 0, syncs: 0, reads: 0, operations: 0 };
  private readonly random: () => number;
  private cachedNames = new Map<string, FileData>();
  private durableNames = new Map<string, FileData>();
  private nameChanges: NameChange[] = [];
  private readonly open_ = new Map<Handle, OpenFile>();
  private nextHandle = 10;
  /** Rises at a crash: completions of earlier operations are dropped. */
  private life = 0;

  constructor(random: () => number = Math.random) {
    this.random = random;
  }

  names(): string[] {
    return [...this.cachedNames.keys()].sort();
  }

  content(name: string): Buffer {
    const file = this.cachedNames.get(name);
    if (file === undefined) throw new Error(`no file ${name}`);
    return file.cached;
  }

  /** Replaces a file's bytes, in the cache and on the disk. */
  replace(name: string, bytes: Uint8Array): void {
    const cached = Buffer.from(bytes);
    const file = { cached, durable: Buffer.from(bytes), unsynced: [] };
    this.cachedNames.set(name, file);
    this.durableNames.set(name, file);
  }

  flipBit(name: string, byte: number, bit = 0): void {
    const file = this.cachedNames.get(name)!;
    for (const bytes of [file.cached, file.durable]) {
      if (byte < bytes.length) bytes[byte]! ^= 1 << bit;
    }
  }

  remove(name: string): void {
    this.cachedNames.delete(name);
    this.durableNames.delete(name);
    this.nameChanges = this.nameChanges.filter((change) => nameOf(change) !== name);
  }

  /** The process is gone, the page cache stays. */
  kill(): void {
    this.restart();
  }

  /** Only the disk stays, with any subset of what was on its way to it. */
  powerCut(): void {
    for (const change of this.nameChanges) {
      if (this.random() < 0.5) applyName(this.durableNames, change);
    }
    this.nameChanges = [];
    const keep = [0, 0.5, 0.9, 1][Math.floor(this.random() * 4)]!;
    for (const file of new Set(this.durableNames.values())) this.cutFile(file, keep);
    this.cachedNames = new Map(this.durableNames);
    this.restart();
  }

  makeDirectory(_directory: string, done: Done): void {
    this.later(() => done(null));
  }

  list(directory: string, done: DoneWith<readonly string[]>): void {
    const names = this.names().filter((name) => path.dirname(name) === directory);
    this.later(() =>
      done(
        null,
        names.map((name) => path.basename(name)),
      ),
    );
  }

  open(name: string, mode: OpenMode, done: DoneWith<Handle>): void {
    let file = this.cachedNames.get(name);
    if (mode === 'create') {
      file = { cached: Buffer.alloc(0), durable: Buffer.alloc(0), unsynced: [] };
      this.changeName({ kind: 'link', name, file });
    }
    if (file === undefined) {
      this.later(() => done(new Error(`ENOENT: no such file, open '${name}'`), -1));
      return;
    }
    const handle = this.nextHandle++;
    this.open_.set(handle, { name, file, dsync: mode === 'writeDsync' });
    this.later(() => done(null, handle));
  }

  close(handle: Handle, done: Done): void {
    const known = this.open_.delete(handle);
    this.later(() => done(known ? null : new Error('EBADF: bad file descriptor')));
  }

  size(handle: Handle, done: DoneWith<number>): void {
    const { file } = this.opened(handle);
    this.later(() => done(null, file.cached.length));
  }

  read(handle: Handle, target: Uint8Array, position: number, done: DoneWith<number>): void {
    const { file } = this.opened(handle);
    this.counts.reads += 1;
    this.later(() => {
      const part = file.cached.subarray(position, position + target.length);
      target.set(part);
      done(null, part.length);
    });
  }

  write(
    handle: Handle,
    parts: readonly Uint8Array[],
    position: number,
    done: DoneWith<number>,
  ): void {
    const { file, dsync } = this.opened(handle);
    const bytes = Buffer.concat(parts);
    this.counts.writes += 1;
    const fault = this.failWriteIn > 0 && --this.failWriteIn === 0 ? this.writeFault : undefined;
    if (fault !== undefined) {
      const taken = fault === 'EIO' ? 0 : Math.floor(bytes.length * this.random());
      store(file, position, bytes.subarray(0, taken));
      const error = fault === 'short' ? null : new Error(`${fault}: write failed`);
      this.later(() => done(error, taken));
      return;
    }
    store(file, position, bytes);
    if (!dsync) {
      this.later(() => done(null, bytes.length));
      return;
    }
    this.sync(file, (error) => done(error, error === null ? bytes.length : 0));
  }

  datasync(handle: Handle, done: Done): void {
    this.sync(this.opened(handle).file, done);
  }

  rename(from: string, to: string, done: Done): void {
    const file = this.cachedNames.get(from);
    if (file === undefined) throw new Error(`rename of a missing file ${from}`);
    this.changeName({ kind: 'rename', from, to, file });
    this.later(() => done(null));
  }

  unlink(name: string, done: Done): void {
    const known = this.cachedNames.has(name);
    if (known) this.changeName({ kind: 'unlink', name });
    this.later(() => done(known ? null : new Error(`ENOENT: no such file, unlink '${name}'`)));
  }

  /** Of this directory only: its parent knows nothing of names in it. */
  syncDirectory(directory: string, done: Done): void {
    if (this.freezeInDirectorySyncs > 0 && --this.freezeInDirectorySyncs === 0) this.freezeIn = 1;
    const isHere = (change: NameChange): boolean => path.dirname(nameOf(change)) === directory;
    const changes = this.nameChanges.filter(isHere);
    this.nameChanges = this.nameChanges.filter((change) => !isHere(change));
    this.later(
      () => {
        for (const change of changes) applyName(this.durableNames, change);
        done(null);
      },
      () => this.nameChanges.unshift(...changes),
    );
  }

  /** A failed sync drops the dirty pages, as Linux does: the cache reads fine, the disk has not. */
  private sync(file: FileData, done: Done): void {
    this.counts.syncs += 1;
    const writes = file.unsynced;
    file.unsynced = [];
    if (this.failSyncIn > 0 && --this.failSyncIn === 0) {
      this.later(() => done(new Error('EIO: fdatasync failed')));
      return;
    }
    this.later(
      () => {
        for (const { position, bytes } of writes)
          file.durable = patched(file.durable, position, bytes);
        done(null);
      },
      () => file.unsynced.unshift(...writes),
    );
  }

  /** Completes in another turn, so that calls made meanwhile queue up. */
  private later(complete: () => void, undo: () => void = () => {}): void {
    this.counts.operations += 1;
    if (this.freezeIn > 0 && --this.freezeIn === 0) {
      this.frozen = true;
      this.onFreeze();
    }
    if (this.frozen) {
      undo();
      return;
    }
    const { life } = this;
    setImmediate(() => {
      if (this.life !== life || this.frozen) undo();
      else complete();
    });
  }

  private cutFile(file: FileData, keep: number): void {
    for (const { position, bytes } of file.unsynced) {
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
        if (this.random() < keep) {
          file.durable = patched(file.durable, position + at, bytes.subarray(at, end));
        }
        at = end;
      }
    }
    file.unsynced = [];
    file.cached = Buffer.from(file.durable);
  }

  private changeName(change: NameChange): void {
    applyName(this.cachedNames, change);
    this.nameChanges.push(change);
  }

  private opened(handle: Handle): OpenFile {
    const file = this.open_.get(handle);
    if (file === undefined) throw new Error('EBADF: bad file descriptor');
    return file;
  }

  private restart(): void {
    this.life += 1;
    this.frozen = false;
    this.freezeIn = 0;
    this.freezeInDirectorySyncs = 0;
    this.failWriteIn = 0;
    this.failSyncIn = 0;
    this.open_.clear();
  }
}

function nameOf(change: NameChange): string {
  return change.kind === 'rename' ? change.to : change.name;
}

function applyName(names: Map<string, FileData>, change: NameChange): void {
  if (change.kind === 'link') names.set(change.name, change.file);
  else if (change.kind === 'unlink') names.delete(change.name);
  else {
    names.delete(change.from);
    names.set(change.to, change.file);
  }
}

function store(file: FileData, position: number, bytes: Buffer): void {
  file.cached = patched(file.cached, position, bytes);
  file.unsynced.push({ position, bytes });
}

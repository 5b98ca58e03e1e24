/**
 * The little that the commit log asks of a file system. Completion callbacks, so that the writer
 * holds no promise and a test can run it over files that tear, lie and fail.
 */
import fs from 'node:fs';
import path from 'node:path';

export type Handle = number;
export type Done = (error: Error | null) => void;
export type DoneWith<T> = (error: Error | null, value: T) => void;

/**
 * `create` truncates; `write` opens what exists; `writeDsync` is `write` on a descriptor whose
 * writes are durable when they complete.
 */
export type OpenMode = 'read' | 'create' | 'write' | 'writeDsync';

export interface Files {
  makeDirectory(directory: string, done: Done): void;
  list(directory: string, done: DoneWith<readonly string[]>): void;
  open(file: string, mode: OpenMode, done: DoneWith<Handle>): void;
  close(handle: Handle, done: Done): void;
  size(handle: Handle, done: DoneWith<number>): void;
  /** Fills `target` as far as the file reaches; gives the number of bytes. */
  read(handle: Handle, target: Uint8Array, position: number, done: DoneWith<number>): void;
  /** One vectored write; gives the number of bytes, which may fall short. */
  write(
    handle: Handle,
    parts: readonly Uint8Array[],
    position: number,
    done: DoneWith<number>,
  ): void;
  datasync(handle: Handle, done: Done): void;
  rename(from: string, to: string, done: Done): void;
  unlink(file: string, done: Done): void;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(directory: string, done: Done): void;
}

const { O_RDONLY, O_RDWR, O_CREAT, O_TRUNC, O_DSYNC } = fs.constants;
const FLAGS: Record<OpenMode, number> = {
  read: O_RDONLY,
  create: O_RDWR | O_CREAT | O_TRUNC,
  write: O_RDWR,
  writeDsync: O_RDWR | O_DSYNC,
};
/** Data files are for their owner only. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export const nodeFiles: Files = {
  makeDirectory: (directory, done) =>
    fs.mkdir(directory, { recursive: true, mode: DIRECTORY_MODE }, (error) => done(error)),
  list: (directory, done) => fs.readdir(directory, done),
  open: (file, mode, done) => fs.open(file, FLAGS[mode], FILE_MODE, done),
  close: (handle, done) => fs.close(handle, (error) => done(error ?? null)),
  size: (handle, done) => fs.fstat(handle, (error, stat) => done(error, error ? 0 : stat.size)),
  read: readFully,
  write(handle, parts, position, done) {
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) {
      fs.write(handle, only, 0, only.length, position, done);
    } else {
      fs.writev(handle, parts as Uint8Array[], position, done);
    }
  },
  datasync: (handle, done) => fs.fdatasync(handle, done),
  rename: (from, to, done) => fs.rename(from, to, done),
  unlink: (file, done) => fs.unlink(file, done),
  syncDirectory(directory, done) {
    fs.open(path.resolve(directory), O_RDONLY, (openError, handle) => {
      if (openError !== null) return done(openError);
      fs.fsync(handle, (error) =>
        fs.close(handle, (closeError) => done(error ?? closeError ?? null)),
      );
    });
  },
};

function readFully(
  handle: Handle,
  target: Uint8Array,
  position: number,
  done: DoneWith<number>,
): void {
  const step = (filled: number): void => {
    fs.read(handle, target, filled, target.length - filled, position + filled, (error, bytes) => {
      if (error !== null) return done(error, filled);
      const total = filled + bytes;
      if (bytes === 0 || total === target.length) return done(null, total);
      step(total);
    });
  };
  step(0);
}

const READ_STEP_BYTES = 64 * 1024;

/** The whole file, a piece at a time. */
export async function* readPieces(files: Files, file: string): AsyncGenerator<Buffer> {
  const handle = await promised<Handle>((done) => files.open(file, 'read', done));
  try {
    for (let position = 0; ; ) {
      const target = Buffer.allocUnsafeSlow(READ_STEP_BYTES);
      const from = position;
      const bytes = await promised<number>((done) => files.read(handle, target, from, done));
      if (bytes > 0) yield target.subarray(0, bytes);
      if (bytes < target.length) return;
      position += bytes;
    }
  } finally {
    await promisedDone((done) => files.close(handle, done));
  }
}

/** Names in a directory; one that is not there has none. */
export async function namesIn(files: Files, directory: string): Promise<readonly string[]> {
  try {
    return await promised<readonly string[]>((done) => files.list(directory, done));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Its own name must be durable too, or a power cut takes all files in it. */
export async function makeDurableDirectory(files: Files, directory: string): Promise<void> {
  await promisedDone((done) => files.makeDirectory(directory, done));
  await promisedDone((done) => files.syncDirectory(path.dirname(directory), done));
}

/** For open and close, which may take promises. */
export function promised<T>(start: (done: DoneWith<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}

export function promisedDone(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}

/**
 * One live process per directory. The lock names its holder by pid and, where the system tells it,
 * by the start time of that pid, so that a lock left behind by a kill is taken over even when its
 * pid belongs to another process by now. Not a defence against two machines sharing one disk.
 */
import fs from 'node:fs';
import path from 'node:path';
import { StorageError } from './errors.ts';

export const LOCK_NAME = 'lock';
/** A stale lock is moved away and the lock tried again; losing that race twice is no accident. */
const MAX_ATTEMPTS = 3;

export interface DirectoryLock {
  /** Lets go. Called twice it does nothing. */
  release(): void;
}

/** Throws `LOCKED`, naming the holder, if a live process has the directory. */
export function lockDirectory(directory: string): DirectoryLock {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = path.join(directory, LOCK_NAME);
  const mine = `${process.pid} ${startTimeOf(process.pid)}\n`;
  const temporary = `${file}.${process.pid}`;
  fs.writeFileSync(temporary, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (tryLink(temporary, file)) return held(file, mine);
      moveStaleAway(directory, file, `${temporary}.stale`);
    }
    throw new StorageError('LOCKED', `${directory}: others are taking its lock at this moment`);
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Throws if the holder lives. Otherwise the lock is gone, or belongs to someone faster. */
function moveStaleAway(directory: string, file: string, aside: string): void {
  const seen = readOrEmpty(file);
  const pid = livePid(seen);
  if (pid !== undefined) {
    throw new StorageError(
      'LOCKED',
      `${directory} is in use by process ${pid}. Stop it first, or use another directory.`,
    );
  }
  try {
    fs.renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (readOrEmpty(aside) !== seen) tryLink(aside, file);
  fs.rmSync(aside, { force: true });
}

function readOrEmpty(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The pid in a lock's content, if that very process still lives. */
function livePid(content: string): number | undefined {
  const match = /^(\d+) (\d*)\n$/.exec(content);
  if (match === null) return undefined;
  const pid = Number(match[1]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
  }
  const started = startTimeOf(pid);
  const same = match[2] === '' || started === '' || match[2] === started;
  return same ? pid : undefined;
}

/** Clock ticks after boot at which the process began (proc(5), stat field 22); '' = not known. */
function startTimeOf(pid: number): string {
  const stat = readOrEmpty(`/proc/${pid}/stat`);
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return afterName[19] ?? '';
}

function held(file: string, mine: string): DirectoryLock {
  let released = false;
  return {
    release() {
      if (released) return;
      released = true;
      if (readOrEmpty(file) === mine) fs.rmSync(file, { force: true });
    },
  };
}

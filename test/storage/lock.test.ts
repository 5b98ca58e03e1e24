import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LOCK_NAME, lockDirectory } from '../../storage/lock.ts';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'lock-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

it('is exclusive, names the holder, and is free again after release', () => {
  const lock = lockDirectory(directory);
  expect(() => lockDirectory(directory)).toThrow(
    expect.objectContaining({
      code: 'LOCKED',
      message: expect.stringContaining(`process ${process.pid}`),
    }),
  );
  lock.release();
  lock.release();
  lockDirectory(directory).release();
  expect(fs.readdirSync(directory)).toEqual([]);
});

it('takes over from a process that is gone', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.on('exit', resolve));
  fs.writeFileSync(path.join(directory, LOCK_NAME), `${child.pid} 1\n`);
  lockDirectory(directory).release();
});

it('takes over when the pid belongs to another process by now', () => {
  if (!fs.existsSync('/proc/self/stat')) return;
  fs.writeFileSync(path.join(directory, LOCK_NAME), `${process.pid} 1\n`);
  lockDirectory(directory).release();
});

it('takes over a lock with torn content', () => {
  fs.writeFileSync(path.join(directory, LOCK_NAME), '12');
  lockDirectory(directory).release();
});

it('does not remove a lock that is no longer its own', () => {
  const lock = lockDirectory(directory);
  fs.writeFileSync(path.join(directory, LOCK_NAME), 'other');
  lock.release();
  expect(fs.readdirSync(directory)).toEqual([LOCK_NAME]);
});

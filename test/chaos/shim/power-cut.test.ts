import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildShim, shimEnvironment } from '../../../chaos/shim/build.ts';
import { ControlPage } from '../../../chaos/shim/control.ts';
import { cutPower, type Draw } from '../../../chaos/shim/power-cut.ts';
import { packageFolder } from '../../processes/package-folder.ts';

const WRITER = join(packageFolder(), 'test', 'chaos', 'shim', 'writer.mjs');
const HOUR_MS = 3_600_000;

const EVERYTHING_LOST: Draw = () => 0.99;
const EVERYTHING_KEPT: Draw = () => 0;

let base: string;
let library: string;
let root: string;
let state: string;
let page: ControlPage;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'holdfast-shim-'));
  const shim = buildShim(base);
  if ('missing' in shim) throw new Error(shim.missing);
  library = shim.library;
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

beforeEach(() => {
  root = mkdtempSync(join(base, 'root-'));
  state = mkdtempSync(join(base, 'state-'));
  page = new ControlPage(state);
  return () => page.close();
});

function runWriter() {
  const env = { ...process.env, ...shimEnvironment(library, root, state) };
  return spawnSync(process.execPath, [WRITER, root], { env, encoding: 'utf8' });
}

function content(name: string): string {
  return readFileSync(join(root, name), 'latin1').replace(/\0+$/, '');
}

describe('a process that died with writes which no sync covers', () => {
  it('is seen: syncs of plain files, of LevelDB, of directories, and O_DSYNC', () => {
    expect(runWriter().signal).toBe('SIGKILL');
    const seen = page.counters();
    expect(seen.fileSyncs).toBeGreaterThanOrEqual(6);
    expect(seen.stdioSyncs).toBeGreaterThanOrEqual(1);
    expect(seen.directorySyncs).toBeGreaterThanOrEqual(2);
    expect(seen.dsyncWrites).toBe(1);
  });

  it('keeps what was synced when the power goes, and loses the rest', async () => {
    runWriter();
    expect(content('segment')).toBe('syncedLOST'.padEnd(8192, '\0') + 'x'.repeat(100));
    const cut = cutPower(root, state, EVERYTHING_LOST);
    expect(cut.lostBytes).toBeGreaterThanOrEqual(104 + 200_000);
    expect(content('segment')).toBe('synced');
    expect(statSync(join(root, 'segment')).size).toBe(8192);
    expect(content('direct')).toBe('durable');
    expect(content('old')).toBe('old');
    expect(existsSync(join(root, 'fresh'))).toBe(false);
    expect(content('removed')).toBe('removed');
    expect(existsSync(join(root, 'emptied'))).toBe(true);
    const level = new Level(join(root, 'level'));
    await level.open();
    expect(await level.get('synced')).toBe('yes');
    expect(await level.get('lost')).toBeUndefined();
    await level.close();
  });

  it('may be lucky', () => {
    runWriter();
    expect(cutPower(root, state, EVERYTHING_KEPT)).toEqual({
      files: [],
      lostBytes: 0,
      tornWrites: 0,
      undoneNames: 0,
    });
    expect(content('old')).toBe('fresh');
    expect(existsSync(join(root, 'removed'))).toBe(false);
    expect(content('segment')).toContain('LOST');
  });

  it('starts anew after the cut: what is left is on the disk', () => {
    runWriter();
    cutPower(root, state, EVERYTHING_LOST);
    const second = cutPower(root, state, EVERYTHING_LOST);
    expect(second).toEqual({ files: [], lostBytes: 0, tornWrites: 0, undoneNames: 0 });
    expect(content('segment')).toBe('synced');
  });
});

/** Runs Node with the shim over the root, in the terms of node:fs. */
function run(script: string) {
  const env = { ...process.env, ...shimEnvironment(library, root, state) };
  const file = join(root, 'file');
  const before = `const fs = require('node:fs'); const file = ${JSON.stringify(file)};`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', before + script], { env });
  expect(status, String(stderr)).toBe(0);
  return file;
}

const WRITE_TWO_KIB = `
  const fd = fs.openSync(file, 'w');
  fs.writeSync(fd, 'a'.repeat(2048), 0);
  fs.fdatasyncSync(fd);
  fs.writeSync(fd, 'b'.repeat(2048), 0);`;

/** Draws these, then the last one for ever. */
function drawn(...values: number[]): Draw {
  return () => (values.length > 1 ? values.shift()! : values[0]!);
}

describe('a write that is torn', () => {
  it('ends where a sector does', () => {
    const file = run(WRITE_TWO_KIB);
    expect(cutPower(root, state, drawn(0, 0.4, 0.6))).toMatchObject({ tornWrites: 1 });
    expect(readFileSync(file, 'latin1')).toBe('b'.repeat(1024) + 'a'.repeat(1024));
  });

  it('may have a hole of sectors instead', () => {
    const file = run(WRITE_TWO_KIB);
    cutPower(root, state, drawn(0, 0.6, 0.3, 0.8));
    expect(readFileSync(file, 'latin1')).toBe('b'.repeat(512) + 'a'.repeat(1024) + 'b'.repeat(512));
  });

  it('is never a change of length: that is there or not', () => {
    const file = run(`fs.writeFileSync(file, 'a'.repeat(2048)); fs.fsyncSync(fs.openSync(file));
      fs.ftruncateSync(fs.openSync(file, 'r+'), 100)`);
    cutPower(root, state, drawn(0, 0.4, 0.6));
    expect(readFileSync(file, 'latin1')).toBe('a'.repeat(2048));
  });
});

describe('a sync that failed', () => {
  it.each(["'r+'", 'fs.constants.O_RDWR | fs.constants.O_DSYNC'])(
    'is not made good by a later one, in no process (%s)',
    (flags) => {
      run(`${WRITE_TWO_KIB} fs.fdatasyncSync(fd)`);
      page.failSyncIn(1);
      const write = `const fd = fs.openSync(file, ${flags}); let failed = 0;
        try { fs.writeSync(fd, 'XY', 0); fs.fdatasyncSync(fd); } catch { failed++; }`;
      run(`${write} fs.fdatasyncSync(fd); process.exit(1 - failed)`);
      const file = run(`fs.fdatasyncSync(fs.openSync(file, 'r+'))`);
      expect(readFileSync(file, 'latin1').slice(0, 3)).toBe('XYb');
      cutPower(root, state, drawn(0, 0.99));
      expect(readFileSync(file, 'latin1')).toBe('b'.repeat(2048));
    },
  );

  it('leaves alone what is written and synced after it', () => {
    page.failSyncIn(1);
    const file = run(`${WRITE_TWO_KIB.replaceAll('fs.fdatasyncSync(fd);', '')}
      try { fs.fdatasyncSync(fd); } catch {}
      fs.writeSync(fd, 'good', 1024); fs.fdatasyncSync(fd);`);
    cutPower(root, state, drawn(0, 0.99));
    const text = readFileSync(file, 'latin1');
    expect(text.slice(0, 1024)).toBe('\0'.repeat(1024));
    expect(text.slice(1024, 1028)).toBe('good');
  });
});

describe('the control page', () => {
  it('fails a sync, once', () => {
    page.failSyncIn(2);
    const { status, stderr } = runWriter();
    expect(status).toBe(1);
    expect(stderr).toMatch(/EIO|Input.output error/);
    expect(page.counters().failedSyncs).toBe(1);
    rmSync(root, { recursive: true });
    mkdirSync(root);
    expect(runWriter().signal, 'the next one works again').toBe('SIGKILL');
  });

  it('fills the disk', () => {
    page.fillDisk(true);
    const { status, stderr } = runWriter();
    expect(status).toBe(1);
    expect(stderr).toMatch(/ENOSPC|No space left/);
    expect(page.counters().refusedWrites).toBeGreaterThan(0);
  });

  it('slows down syncs', () => {
    page.slowSyncs(1);
    runWriter();
    expect(page.counters().delayedSyncs).toBeGreaterThan(5);
  });

  it.each([HOUR_MS, -HOUR_MS])('shifts the wall clock by %d ms', (offsetMs) => {
    page.shiftClock(offsetMs);
    const shown = Number(runWriter().stdout);
    expect(Math.abs(shown - Date.now() - offsetMs)).toBeLessThan(HOUR_MS / 10);
    expect(page.counters().shiftedClockReads).toBeGreaterThan(0);
  });
});

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildShim, shimEnvironment } from '../../../chaos/shim/build.ts';
import { ControlPage, DISK_CLASSES } from '../../../chaos/shim/control.ts';
import { cutPower, type Draw } from '../../../chaos/shim/power-cut.ts';
import { packageFolder } from '../../processes/package-folder.ts';

const WRITER = join(packageFolder(), 'test', 'chaos', 'shim', 'writer.mjs');
const HOUR_MS = 3_600_000;
/** In the control page: the nineteenth field. */
const FAIL_READS_OF_AT = 8 * 18;

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
    page.fillDisk('yes');
    const { status, stderr } = runWriter();
    expect(status).toBe(1);
    expect(stderr).toMatch(/ENOSPC|No space left/);
    expect(page.counters().refusedWrites).toBeGreaterThan(0);
  });

  it.each([
    ['fs.writeSync(fd, Buffer.alloc(1000))', 500],
    ['fs.writevSync(fd, [Buffer.alloc(300), Buffer.alloc(700)])', 500],
    ['fs.writeSync(fd, Buffer.alloc(1000), 0, 1000, 0)', 500],
    ['fs.writevSync(fd, [Buffer.alloc(900), Buffer.alloc(100)], 0)', 500],
  ])('fills the disk amid a write: %s', (write, bytes) => {
    page.fillDisk('half');
    const file = run(`const fd = fs.openSync(file, 'w');
      if (${write} !== ${bytes}) process.exit(1);
      try { fs.writeSync(fd, Buffer.alloc(4), 0, 4, ${bytes}); process.exit(2); } catch {}`);
    expect(statSync(file).size).toBe(bytes);
    const { shortWrites, refusedWrites } = page.counters();
    expect(shortWrites).toBe(1);
    expect(refusedWrites).toBeGreaterThan(0);
  });

  it('fills the disk amid a record of LevelDB', () => {
    run(`fs.mkdirSync(file)`);
    page.fillDisk('half');
    const { stderr } = runWriter();
    expect(stderr).toMatch(/No space left|ENOSPC/);
    expect(page.counters()).toMatchObject({ shortWrites: 1 });
  });

  const FILES = `const path = require('node:path');
    const write = (name) => {
      const to = path.join(path.dirname(file), name);
      fs.mkdirSync(path.dirname(to), { recursive: true });
      fs.writeFileSync(to, name);
      return to;
    };
    const refused = (act) => {
      try { act(); return false; } catch (error) { return error.code === 'EIO'; }
    };`;
  const NAMES = [
    ...(['log/00000001.log', 'log/00000001.idx', 'log/marker'] as const),
    ...(['state/CURRENT', 'checkpoints/1-7.ckpt', 'identity.json'] as const),
  ];

  it.each(DISK_CLASSES.map((name, at) => [name, NAMES[at]!] as const))(
    'fails writes of one class alone: %s',
    (name, hit) => {
      page.failWriteIn(2, [name]);
      const others = NAMES.filter((one) => one !== hit);
      run(`${FILES} for (const name of ${JSON.stringify(others)}) write(name), write(name);
      write('${hit}');
      if (!refused(() => write('${hit}')) || refused(() => write('${hit}'))) process.exit(1);`);
      expect(page.counters().failedWrites).toBe(1);
    },
  );

  it.each(DISK_CLASSES.map((name, at) => [name, NAMES[at]!] as const))(
    'fails reads of one class alone, all of them: %s',
    (name, hit) => {
      page.failReads([name]);
      run(`${FILES} for (const name of ${JSON.stringify(NAMES)}) {
        const fd = fs.openSync(write(name));
        const buffer = Buffer.alloc(9);
        const reads = [
          () => fs.readSync(fd, buffer), () => fs.readSync(fd, buffer, 0, 9, 0),
          () => fs.readvSync(fd, [buffer]), () => fs.readvSync(fd, [buffer, Buffer.alloc(9)], 0),
        ];
        for (const read of reads) if (refused(read) !== (name === '${hit}')) process.exit(1);
      }`);
      expect(page.counters().failedReads).toBe(4);
    },
  );

  it('fails what LevelDB reads when it opens, and what it maps', async () => {
    const open = `const { Level } = require('level');
      const level = new Level(file.replace(/file$/, 'state'));
      const value = 'x'.repeat(1000);
      const fill = async () => {
        await level.open();
        for (let i = 0; i < 9; i++) await level.put('key' + i, value);
        await level.compactRange('a', 'z');
        await level.close();
        await level.open();
      };`;
    run(`${open} fill().then(() => level.close())`);
    expect(page.counters().failedReads).toBe(0);
    page.failReads(['state']);
    const failing = `level.open().then(() => process.exit(1), (error) =>
        process.exit(/Input.output/.test(error.cause.message) ? 0 : 2))`;
    run(`${open} ${failing}`);
    const before = page.counters().failedReads;
    expect(before).toBeGreaterThan(0);
    page.failReads([]);
    // Its tables are mapped when they are first needed: from then on nothing is in the way.
    run(`${open} const page = fs.openSync(${JSON.stringify(join(state, 'control'))}, 'r+');
      fill().then(() => {
        const of = Buffer.alloc(8);
        of.writeBigInt64LE(8n);
        fs.writeSync(page, of, 0, 8, ${FAIL_READS_OF_AT});
        return level.get('key1').then(() => process.exit(1), (error) =>
          process.exit(/Input.output/.test(error.cause?.message ?? error.message) ? 0 : 2));
      })`);
    expect(page.counters().failedReads).toBeGreaterThan(before);
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

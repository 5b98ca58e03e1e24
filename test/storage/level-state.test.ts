import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as keys from '../../storage/keys.ts';
import { openDatabase } from '../../storage/level-db.ts';
import {
  indexOp,
  LevelState,
  type LevelStateOptions,
  openLevelState,
} from '../../storage/level-state.ts';
import { effectsOf, expectedRows, indexRows, textRows } from '../harness/state-model.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const KIB = 1024;

async function open(
  directory: string,
  ends: readonly (readonly [shard: number, start: number, last: number])[] = [],
  more: Partial<LevelStateOptions> = {},
): Promise<LevelState> {
  const logEnds = new Map(ends.map(([shard, start, last]) => [shard, { start, last }]));
  const onFatal = (error: Error): void => {
    throw error;
  };
  const options = { directory, identity: 'node 1', logEnds, batchDelayMs: 0, onFatal, ...more };
  const state = await openLevelState(options);
  onTestFinished(() => state.close());
  return state;
}

async function openNew(directory: string, more: Partial<LevelStateOptions> = {}) {
  const state = await open(directory, [], more);
  await state.completeBuild();
  return state;
}

/** Applies entries, one batch each. */
async function applyEach(state: LevelState, shard: number, from: number, to: number) {
  for (let index = from; index <= to; index++) {
    state.write(effectsOf(shard, index));
    await state.flush();
  }
}

async function expectReplay(state: LevelState, shard: number, index: number) {
  const loaded = await state.loadShard(shard);
  expect(loaded.applied?.index).toBe(index);
  expect(textRows(loaded.rows)).toEqual(expectedRows(index));
  const found = await indexRows(state, shard, shard * 10, 0);
  expect(found.map((row) => row.index)).toEqual(Array.from({ length: index }, (_, at) => at + 1));
}

/** LevelDB's own log: everything of a young store. */
function levelLog(directory: string): string {
  const [name, ...more] = readdirSync(directory).filter((one) => one.endsWith('.log'));
  expect(more).toEqual([]);
  return path.join(directory, name as string);
}

const row = (queueId: number, baseOffset: number, count: number, index: number) => ({
  queueId,
  baseOffset,
  count,
  index,
  term: 1,
  storedAtMs: 1000 + index * 10,
  cumulativeBytes: index * 100,
});

describe('level state', () => {
  it('gives back what was written, over restarts', async () => {
    const directory = temporaryDirectory();
    const first = await openNew(directory);
    expect(first.verdict).toEqual({ kind: 'empty' });
    await applyEach(first, 1, 1, 20);
    expect(first.appliedOf(1)).toEqual({ shard: 1, index: 20, term: 1, timeMs: 1200 });
    await first.close();
    const second = await open(directory, [[1, 0, 20]]);
    expect(second.verdict).toEqual({ kind: 'ok' });
    await applyEach(second, 1, 21, 30);
    await expectReplay(second, 1, 30);
    expect(await second.loadShard(2)).toEqual({ applied: undefined, rows: [] });
    expect(second.stats()).toMatchObject({ pendingBytes: 0, batches: 10, newestBatch: 31 });
  });

  it('keeps shards and tables apart', async () => {
    const state = await openNew(temporaryDirectory());
    await applyEach(state, 1, 1, 5);
    await applyEach(state, 2, 1, 9);
    await expectReplay(state, 1, 5);
    await expectReplay(state, 2, 9);
  });

  it('says that another process has it', async () => {
    const directory = temporaryDirectory();
    await openNew(directory);
    const expected = { code: 'LOCKED', message: expect.stringContaining(directory) };
    await expect(open(directory)).rejects.toMatchObject(expected);
  });

  it('is thrown away when it and the log do not fit', async () => {
    const cases = [
      [[[1, 0, 19]], 'shard 1 is applied through 20, its log ends at 19'],
      [
        [
          [3, 5, 9],
          [1, 0, 2],
        ],
        'shard 1 is applied through 20, its log ends at 2',
      ],
    ] as const;
    for (const [ends, reason] of cases) {
      const directory = temporaryDirectory();
      const first = await openNew(directory);
      await applyEach(first, 1, 1, 20);
      await first.close();
      const second = await open(directory, ends);
      expect(second.verdict).toEqual({ kind: 'rebuild', reason });
      expect(await second.loadShard(1)).toEqual({ applied: undefined, rows: [] });
    }
  });

  it('is thrown away when it belongs to somebody else or was never completed', async () => {
    const directory = temporaryDirectory();
    await (await openNew(directory)).close();
    const other = await open(directory, [], { identity: 'node 2' });
    expect(other.verdict).toMatchObject({ reason: 'it belongs to node 1, not to node 2' });
    await other.writeBuilding(effectsOf(1, 1));
    await other.close();
    const unfinished = await open(directory, [], { identity: 'node 2' });
    expect(unfinished.verdict).toMatchObject({ kind: 'rebuild' });
  });

  it('never deletes files that are not its own', async () => {
    const directory = temporaryDirectory();
    await (await openNew(directory)).close();
    writeFileSync(path.join(directory, 'thesis.txt'), 'years of work');
    await expect(open(directory, [], { identity: 'x' })).rejects.toThrow('thesis.txt is not');
  });
});

describe('failed level state', () => {
  it('reports the first failed write once, and calls nothing back after it', async () => {
    const failures: Error[] = [];
    const chain = { put: () => chain, del: () => chain, write: () => failure };
    const failure = Promise.reject(new Error('No space left on device'));
    const database = { batch: () => chain, close: async () => undefined };
    const content = { verdict: { kind: 'ok' as const }, batches: [], applied: new Map() };
    const options = {
      directory: 'somewhere',
      identity: 'node 1',
      logEnds: new Map(),
      onFatal: (error: Error) => failures.push(error),
      batchDelayMs: 0,
      maxPendingBytes: 1e6,
      maxBatchBytes: 1e3,
      writeBufferBytes: 65536,
    };
    const state = new LevelState(database as never, options, { ...content, drops: [], swaps: [] });
    let calls = 0;
    state.write(effectsOf(1, 1), () => calls++);
    state.write(effectsOf(1, 2), () => calls++);
    await expect(failure).rejects.toThrow();
    await new Promise((resolve) => setImmediate(resolve));
    const message = 'write state somewhere: No space left on device';
    expect(failures).toMatchObject([{ code: 'IO', message }]);
    // The process ends for the reason that it was given, not for what it still does in this turn.
    const { pendingBytes } = state;
    state.write(effectsOf(1, 3), () => calls++);
    expect(state.pendingBytes).toBe(pendingBytes);
    expect(state.appliedOf(1)).toBeUndefined();
    expect(calls).toBe(0);
    await state.close();
  });
});

describe('damaged level state', () => {
  async function written(entries: number): Promise<string> {
    const directory = temporaryDirectory();
    const state = await openNew(directory);
    await applyEach(state, 1, 1, entries);
    await state.close();
    return directory;
  }

  it('is thrown away when a piece of LevelDB log is lost in the middle', async () => {
    for (const lost of ['zeroed', 'flipped'] as const) {
      const directory = await written(600);
      const file = levelLog(directory);
      const bytes = readFileSync(file);
      expect(bytes.length).toBeGreaterThan(96 * KIB);
      if (lost === 'zeroed') bytes.fill(0, 32 * KIB, 64 * KIB);
      else bytes[40 * KIB] = (bytes[40 * KIB] as number) ^ 4;
      writeFileSync(file, bytes);
      const state = await open(directory, [[1, 0, 600]]);
      const reason = expect.stringMatching(/^batch \d+ is followed by batch \d+$/);
      expect(state.verdict).toEqual({ kind: 'rebuild', reason });
    }
  });

  it('is thrown away when the start of the LevelDB log is lost', async () => {
    const directory = await written(600);
    const file = levelLog(directory);
    writeFileSync(file, readFileSync(file).fill(0, 0, 32 * KIB));
    const state = await open(directory);
    expect(state.verdict).toMatchObject({ kind: 'rebuild' });
  });

  it('equals a shorter replay when the end of the LevelDB log is lost', async () => {
    for (const cut of [5, 3000, 20_000, 35_000]) {
      const directory = await written(200);
      const file = levelLog(directory);
      truncateSync(file, readFileSync(file).length - cut);
      const state = await open(directory, [[1, 0, 200]]);
      expect(state.verdict).toEqual({ kind: 'ok' });
      const index = state.appliedOf(1)?.index ?? 0;
      expect(index).toBeLessThan(200);
      expect(index).toBeGreaterThan(0);
      await expectReplay(state, 1, index);
      await applyEach(state, 1, index + 1, 210);
      await expectReplay(state, 1, 210);
      await state.close();
    }
  });

  it('is thrown away when CURRENT or the manifest is damaged', async () => {
    for (const name of [/^CURRENT$/, /^MANIFEST-/]) {
      const directory = await written(20);
      const file = readdirSync(directory).find((one) => name.test(one)) as string;
      truncateSync(path.join(directory, file), 3);
      const state = await open(directory);
      expect(state.verdict).toMatchObject({ kind: 'rebuild' });
    }
    const directory = temporaryDirectory();
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, '000005.ldb'), 'left behind');
    const state = await open(directory);
    expect(state.verdict).toMatchObject({ reason: 'its file CURRENT is missing' });
  });

  it('refuses a row whose bytes changed', async () => {
    const directory = temporaryDirectory();
    const state = await openNew(directory);
    await applyEach(state, 1, 1, 3);
    await state.close();
    // Past LevelDB's own checksums, as damage to a table block would be.
    const raw = await openDatabase({ directory, writeBufferBytes: 1 << 20 }, false);
    if (typeof raw === 'string') throw new Error(raw);
    const key = keys.tableKey(keys.KeyKind.group, 1, Buffer.from('row1'));
    const value = Buffer.from((await raw.get(key)) as Uint8Array);
    value[3] = (value[3] as number) ^ 1;
    await raw.put(key, value);
    await raw.close();
    const again = await open(directory);
    await expect(again.loadShard(1)).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });
});

describe('queue index', () => {
  const queue = { shard: 1, queueId: 7, moved: [] };
  type Found = { baseOffset: number } | undefined;
  type OnFound = (error: Error | undefined, row: Found) => void;
  const found = (start: (onRow: OnFound) => void): Promise<Found> =>
    new Promise((resolve, reject) => {
      start((error, one) => (error === undefined ? resolve(one) : reject(error)));
    });

  /** Batches of 1, 2, 3, 1, 2, 3, … messages in queue 7, and neighbours on both sides. */
  async function filled(batches: number) {
    const state = await openNew(temporaryDirectory());
    const rows = [];
    let base = 0;
    for (let index = 1; index <= batches; index++) {
      const count = ((index - 1) % 3) + 1;
      rows.push(row(7, base, count, index));
      base += count;
    }
    const neighbours = [row(6, 0, 1, 1), row(8, 0, 1, 1)];
    const ops = [...rows, ...neighbours].map((one) => indexOp(1, one));
    state.write({ ops, applied: [] });
    await state.flush();
    return { state, rows, end: base };
  }

  it('finds the batch that holds an offset and those after it', async () => {
    const { state, rows, end } = await filled(40);
    for (let offset = 0; offset < end; offset++) {
      const from = rows.findIndex((one) => one.baseOffset + one.count > offset);
      expect(await indexRows(state, 1, 7, offset, 5)).toEqual(rows.slice(from, from + 5));
    }
    expect(await indexRows(state, 1, 7, end)).toEqual([]);
    expect(await indexRows(state, 1, 9, 0)).toEqual([]);
  });

  it('reads more rows than one step of LevelDB gives', async () => {
    const { state, rows } = await filled(5000);
    expect(await indexRows(state, 1, 7, 0)).toEqual(rows);
  });

  it('finds the first batch at a time and past so many bytes', async () => {
    const { state, rows, end } = await filled(40);
    for (let index = 0; index <= 41; index++) {
      for (const shift of [-1, 0, 1]) {
        const at = 1000 + index * 10 + shift;
        const byTime = await found((onRow) => state.firstIndexAtTime(queue, 0, end, at, onRow));
        expect(byTime).toEqual(rows.find((one) => one.storedAtMs >= at));
        const bytes = index * 100 + shift;
        const past = await found((onRow) => state.firstIndexPastBytes(queue, 0, end, bytes, onRow));
        expect(past).toEqual(rows.find((one) => one.cumulativeBytes > bytes));
      }
    }
  });

  it('searches between the offsets given', async () => {
    const { state, rows } = await filled(40);
    const search = (start: number, end: number, at: number) =>
      found((onRow) => state.firstIndexAtTime(queue, start, end, at, onRow));
    expect(await search(6, 12, 0)).toEqual(rows[3]);
    expect(await search(6, 12, 9999)).toBeUndefined();
    expect(await search(6, 6, 0)).toBeUndefined();
  });

  it('reports a missing row instead of skipping it', async () => {
    const { state, rows } = await filled(10);
    const gone = indexOp(1, rows[4] as (typeof rows)[0]);
    state.write({ ops: [{ key: gone.key, value: undefined }], applied: [] });
    await state.flush();
    const lost = { code: 'DATA_LOSS', message: 'index of queue 7 lacks 7' };
    await expect(indexRows(state, 1, 7, 7)).rejects.toMatchObject(lost);
  });

  describe('under a store that is open', () => {
    /** Tables on the disk, opened by nobody yet. */
    async function withTables() {
      const directory = temporaryDirectory();
      const first = await openNew(directory);
      const all = Array.from({ length: 2000 }, (_, at) => row(7, at, 1, at + 1));
      first.write({ ops: all.map((one) => indexOp(1, one)), applied: [] });
      await first.close();
      const fatal: Error[] = [];
      const state = await open(directory, [], { onFatal: (error) => void fatal.push(error) });
      const [table] = readdirSync(directory).filter((name) => name.endsWith('.ldb'));
      return { directory, state, fatal, table: path.join(directory, table as string) };
    }

    it('a table that rots ends the process, and the next open builds again', async () => {
      const { directory, state, fatal, table } = await withTables();
      const bytes = readFileSync(table);
      for (let at = 100; at < bytes.length / 2; at += 100) bytes[at]! ^= 0x10;
      writeFileSync(table, bytes);
      await expect(indexRows(state, 1, 7, 0)).rejects.toMatchObject({ code: 'DATA_LOSS' });
      expect(fatal).toMatchObject([{ code: 'DATA_LOSS' }]);
      expect(fatal[0]?.message).toMatch(/built again at the next start$/);
      await state.close();
      const again = await open(directory);
      expect(again.verdict).toMatchObject({ kind: 'rebuild' });
    });

    it('so it does when a checkpoint meets the rot', async () => {
      const directory = temporaryDirectory();
      const first = await openNew(directory);
      const value = Buffer.alloc(100, 'a row');
      const ops = Array.from({ length: 1000 }, (_, at) => {
        return { key: keys.tableKey(keys.TABLE_KINDS[0]!, 1, Buffer.from(`row ${at}`)), value };
      });
      first.write({ ops, applied: effectsOf(1, 1).applied });
      await first.close();
      const fatal: Error[] = [];
      const state = await open(directory, [], { onFatal: (error) => void fatal.push(error) });
      for (const name of readdirSync(directory).filter((each) => each.endsWith('.ldb'))) {
        const table = path.join(directory, name);
        const bytes = readFileSync(table);
        for (let at = 100; at < bytes.length / 2; at += 100) bytes[at]! ^= 0x10;
        writeFileSync(table, bytes);
      }
      const readAll = async () => {
        const snapshot = await state.snapshotShard(1);
        for await (const step of snapshot.rows()) expect(step.length).toBeGreaterThan(0);
      };
      await expect(readAll()).rejects.toMatchObject({ code: 'DATA_LOSS' });
      expect(fatal).toMatchObject([{ code: 'DATA_LOSS' }]);
      await state.close();
      expect((await open(directory)).verdict).toMatchObject({ kind: 'rebuild' });
    });

    it('a first row that is not there is reported, for it may be on its way out', async () => {
      const { state, fatal } = await withTables();
      const gone = indexOp(1, row(7, 5, 1, 6));
      state.write({ ops: [{ key: gone.key, value: undefined }], applied: [] });
      await state.flush();
      await expect(indexRows(state, 1, 7, 5)).rejects.toMatchObject({ code: 'DATA_LOSS' });
      expect(fatal).toEqual([]);
      // From between two others nothing but damage takes one.
      await expect(indexRows(state, 1, 7, 0)).rejects.toMatchObject({ code: 'DATA_LOSS' });
      expect(fatal).toMatchObject([{ code: 'DATA_LOSS' }]);
    });
  });

  it('drops rows below a start, in the background and over a restart', async () => {
    const { state, rows } = await filled(3000);
    const startOffset = rows[2500]?.baseOffset as number;
    const drop = { shard: 1, queueId: 7, startOffset };
    state.write({ ops: [], applied: [], drops: [drop, { ...drop, startOffset: 3 }] });
    await dropped(state);
    expect(await indexRows(state, 1, 7, 0).catch((error: Error) => error.message)).toContain(
      'lacks',
    );
    expect(await indexRows(state, 1, 7, startOffset)).toEqual(rows.slice(2500));
    expect(await indexRows(state, 1, 6, 0)).toHaveLength(1);
    expect(await indexRows(state, 1, 8, 0)).toHaveLength(1);
  });

  it('goes on dropping after a restart', async () => {
    const directory = temporaryDirectory();
    const state = await openNew(directory);
    const ops = Array.from({ length: 5000 }, (_, at) => indexOp(1, row(7, at, 1, at + 1)));
    state.write({ ops, applied: [] });
    state.write({
      ops: [],
      applied: [],
      drops: [{ shard: 1, queueId: 7, startOffset: Number.MAX_SAFE_INTEGER }],
    });
    await state.close();
    const again = await open(directory);
    expect(again.stats().waitingDrops).toBe(1);
    await dropped(again);
    expect(await indexRows(again, 1, 7, 0)).toEqual([]);
    await again.close();
    expect((await open(directory)).stats().waitingDrops).toBe(0);
  });

  /** Each round waits for a write of the dropper, or for a read of it. */
  async function dropped(state: LevelState): Promise<void> {
    while (state.stats().waitingDrops > 0) await indexRows(state, 1, 7, 0).catch(() => undefined);
    await state.flush();
  }
});

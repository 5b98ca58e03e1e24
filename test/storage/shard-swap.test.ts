import { cpSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readCheckpointFile } from '../../storage/checkpoint-file.ts';
import { listCheckpoints } from '../../storage/checkpoints.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { LevelState } from '../../storage/level-state.ts';
import { openState } from '../../storage/open-state.ts';
import { effectsOf, expectedRows, indexRows, textRows } from '../harness/state-model.ts';
import {
  applyEntries,
  newPlace,
  openAt,
  type StatePlace,
  takeAt,
  throwFatal,
  withCheckpoints,
} from '../harness/state-places.ts';

const MARK = { shard: 1, index: 90, term: 3, timeMs: 5000 };

async function rowsAt(where: StatePlace, index: number): Promise<readonly TableRow[]> {
  const found = (await listCheckpoints(where.checkpoints)).find((one) => one.index === index);
  const rows: TableRow[] = [];
  await readCheckpointFile(found!.file, (row) => void rows.push(row));
  return rows;
}

function replace(state: LevelState, rows: readonly TableRow[]): Promise<void> {
  return new Promise((resolve) => state.replaceShard(MARK, rows, resolve));
}

async function withNeighbour(): Promise<{ where: StatePlace; state: LevelState }> {
  const found = await withCheckpoints();
  for (let index = 1; index <= 5; index++) found.state.write(effectsOf(2, index));
  await found.state.flush();
  return found;
}

async function expectNeighbour(state: LevelState): Promise<void> {
  expect(textRows((await state.loadShard(2)).rows)).toEqual(expectedRows(5));
  expect(await indexRows(state, 2, 20, 0)).toHaveLength(5);
}

describe('a shard that is replaced', () => {
  it('holds the rows of the checkpoint and nothing else; others keep theirs', async () => {
    const { where, state } = await withNeighbour();
    const many = Array.from({ length: 2000 }, (_, at) => at + 41);
    for (const index of many) state.write(effectsOf(1, index));
    await replace(state, await rowsAt(where, 20));
    const loaded = await state.loadShard(1);
    expect(loaded.applied).toEqual(MARK);
    expect(textRows(loaded.rows)).toEqual(expectedRows(20));
    expect(await indexRows(state, 1, 10, 0)).toEqual([]);
    expect(state.appliedOf(1)).toEqual(MARK);
    await expectNeighbour(state);
  });

  it('takes any number of rows, a chunk at a time', async () => {
    const { state } = await withNeighbour();
    const value = Buffer.alloc(1000, 'v');
    const rows = Array.from({ length: 3000 }, (_, at) => {
      return { kind: 0x25 as const, key: Buffer.from(`key ${10_000 + at}`), value };
    });
    const { batches } = state.stats();
    await replace(state, rows);
    expect((await state.loadShard(1)).rows).toHaveLength(3000);
    expect(state.stats().batches - batches).toBeGreaterThan(10);
  });

  it('has no checkpoint to give while the rows are going', async () => {
    const { where, state } = await withCheckpoints();
    let isOver = false;
    state.replaceShard(MARK, await rowsAt(where, 20), () => {
      isOver = true;
    });
    expect([isOver, state.appliedOf(1)?.index]).toEqual([false, 40]);
    expect((await state.snapshotShard(1)).applied).toBeUndefined();
  });

  it('is whole, or done again, wherever the process dies', { timeout: 60_000 }, async () => {
    const { where, state } = await withNeighbour();
    for (let index = 41; index <= 5000; index++) state.write(effectsOf(1, index));
    await state.flush();
    // A peer's checkpoint, past all that is applied here.
    const peer = await openAt(newPlace(), 0, 6000);
    for (let index = 1; index <= 6000; index++) peer.state.write(effectsOf(1, index));
    await peer.state.flush();
    await takeAt(peer.state, where);
    const rows = await rowsAt(where, 6000);
    const mark = peer.state.appliedOf(1)!;
    const images = await imagesOf(where, state, (done) => state.replaceShard(mark, rows, done));
    const outcomes: string[] = [];
    for (const image of images) {
      const { state: reopened, report } = await openAt({ ...where, state: image }, 6000, 6000, 2);
      const [line = 'whole'] = report;
      outcomes.push(line);
      const loaded = await reopened.loadShard(1);
      expect(loaded.applied).toEqual(mark);
      expect(textRows(loaded.rows)).toEqual(expectedRows(6000));
      expect(await indexRows(reopened, 1, 10, 0)).toEqual([]);
      await expectNeighbour(reopened);
      await reopened.close();
    }
    // Before and in the midst of the swap; after it.
    const again = 'shard 1: replaced by checkpoint 6000';
    expect(outcomes.slice(0, 3)).toEqual([again, again, again]);
    expect(outcomes.lastIndexOf(again)).toBeLessThan(outcomes.indexOf('whole') >>> 0);
  });
});

/** LevelDB's directory as a kill would leave it, before `work` and after each batch of it. */
async function imagesOf(
  where: StatePlace,
  state: LevelState,
  work: (done: () => void) => void,
): Promise<readonly string[]> {
  const images: string[] = [];
  const copy = (): void => {
    const image = `${where.state}-${images.length}`;
    cpSync(where.state, image, { recursive: true });
    images.push(image);
  };
  copy();
  state.onWritten(copy);
  await new Promise<void>((resolve) => work(resolve));
  copy();
  return images;
}

describe('a shard whose log starts after what LevelDB has of it', () => {
  it('is replaced by the checkpoint there, and no other shard is touched', async () => {
    const { where, state } = await withNeighbour();
    await state.close();
    // The end of LevelDB's log was lost: shard 1 stood at 40 when its log was trimmed.
    const peer = await openAt(newPlace(), 0, 70);
    await applyEntries(peer.state, 1, 70);
    await takeAt(peer.state, where);
    const { state: reopened, report } = await openAt(where, 70, 90, 2);
    expect(report).toEqual(['shard 1: replaced by checkpoint 70']);
    expect(textRows((await reopened.loadShard(1)).rows)).toEqual(expectedRows(70));
    expect(await indexRows(reopened, 1, 10, 0)).toEqual([]);
    await expectNeighbour(reopened);
    await reopened.close();
    expect((await openAt(where, 70, 90, 2)).report).toEqual([]);
  });

  it('is not the end of the process when LevelDB is damaged there', async () => {
    const damage = Object.assign(new Error('bad block'), { code: 'LEVEL_CORRUPTION' });
    const chain = { put: () => {}, del: () => {}, write: () => Promise.resolve() };
    const iterator = { nextv: () => Promise.reject(damage), close: () => Promise.resolve() };
    const database = { batch: () => chain, iterator: () => iterator, close: async () => {} };
    const state = new LevelState(
      database as never,
      {
        ...{ directory: 'somewhere', identity: 'node 1', logEnds: new Map(), batchDelayMs: 0 },
        ...{ maxPendingBytes: 1e6, maxBatchBytes: 1e3, writeBufferBytes: 65536 },
        onFatal: throwFatal,
      },
      { verdict: { kind: 'ok' }, batches: [], applied: new Map(), drops: [], swaps: [1] },
    );
    await expect(state.swapAtOpen(1, MARK, [])).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });
});

describe('a shard that is dropped', () => {
  it('leaves nothing behind', async () => {
    const { state } = await withNeighbour();
    await new Promise<void>((resolve) => state.dropShard(1, resolve));
    expect(await state.loadShard(1)).toEqual({ applied: undefined, rows: [] });
    expect(await indexRows(state, 1, 10, 0)).toEqual([]);
    expect(state.appliedOf(1)).toBeUndefined();
    await expectNeighbour(state);
  });

  it('and taken again at once, is never mixed with what was there', async () => {
    const { where, state } = await withNeighbour();
    for (let index = 41; index <= 6000; index++) state.write(effectsOf(1, index));
    await state.flush();
    const images = await imagesOf(where, state, (done) => state.dropShard(1, done));
    const outcomes: string[] = [];
    for (const image of images) {
      // The new replica's log is long enough to make the old `applied` row look right.
      const opened = await openAt({ ...where, state: image }, 0, 9000, 2);
      const { applied, rows } = await opened.state.loadShard(1);
      const index = applied?.index ?? 0;
      expect(textRows(rows)).toEqual(expectedRows(index));
      expect(await indexRows(opened.state, 1, 10, 0)).toHaveLength(index);
      outcomes.push(`${index}`);
      await expectNeighbour(opened.state);
      await opened.state.close();
    }
    expect(outcomes.join()).toMatch(/^(6000,)+(0,){2,}0$/);
  });

  it('is gone after a restart, if its log is, however far the deletion came', async () => {
    const { where, state } = await withNeighbour();
    await state.close();
    const { state: reopened } = await openState({
      directory: where.state,
      checkpointDirectory: where.checkpoints,
      identity: 'node 1',
      logEnds: new Map([[2, { start: 0, last: 5 }]]),
      onFatal: throwFatal,
    });
    expect(await reopened.loadShard(1)).toEqual({ applied: undefined, rows: [] });
    expect(await indexRows(reopened, 1, 10, 0)).toEqual([]);
    await expectNeighbour(reopened);
    await reopened.close();
  });
});

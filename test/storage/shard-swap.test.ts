import { describe, expect, it } from 'vitest';
import { readCheckpointFile } from '../../storage/checkpoint-file.ts';
import { listCheckpoints } from '../../storage/checkpoints.ts';
import type { TableRow } from '../../storage/level-db.ts';
import type { LevelState } from '../../storage/level-state.ts';
import { openState } from '../../storage/open-state.ts';
import { effectsOf, expectedRows, indexRows, textRows } from '../harness/state-model.ts';
import {
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

  it('half way, is found by a log that starts after it: the state is built again', async () => {
    const { where, state } = await withCheckpoints();
    const rows = await rowsAt(where, 20);
    let isOver = false;
    state.replaceShard(MARK, rows, () => {
      isOver = true;
    });
    // The rows are going, the `applied` row speaks of 40 until the end: no checkpoint of that.
    expect([isOver, state.appliedOf(1)?.index]).toEqual([false, 40]);
    expect(await takeAt(state, where)).toBeUndefined();
    await state.close();
    const reopened = await openAt(where, 30, 100);
    expect(reopened.report.length === 0 || isOver).toBe(true);
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

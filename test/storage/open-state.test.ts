import { readdirSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { KeyKind, tableKey } from '../../storage/keys.ts';
import { openDatabase } from '../../storage/level-db.ts';
import { openLevelState } from '../../storage/level-state.ts';
import { expectedRows, indexRows, textRows } from '../harness/state-model.ts';
import {
  applyEntries,
  newPlace,
  openAt,
  throwFatal,
  withCheckpoints,
} from '../harness/state-places.ts';

describe('open state', () => {
  it('loads what LevelDB holds', async () => {
    const { where, state } = await withCheckpoints();
    await state.close();
    const { shards, report } = await openAt(where, 20, 40);
    expect(report).toEqual([]);
    expect(shards.get(1)?.applied?.index).toBe(40);
    expect(textRows(shards.get(1)?.rows ?? [])).toEqual(expectedRows(40));
  });

  it('is built again from the checkpoint at the start of the log', async () => {
    const { where, state } = await withCheckpoints();
    await state.close();
    // The log lost its end: what LevelDB knows of 40 must go.
    const { state: rebuilt, shards, report } = await openAt(where, 20, 35);
    expect(report).toEqual([
      'state is built again: shard 1 is applied through 40, its log ends at 35',
      'shard 1: 10 rows from checkpoint 20',
    ]);
    expect(shards.get(1)?.applied).toEqual({ shard: 1, index: 20, term: 1, timeMs: 1200 });
    expect(textRows(shards.get(1)?.rows ?? [])).toEqual(expectedRows(20));
    expect(await indexRows(rebuilt, 1, 10, 0)).toEqual([]);
    await applyEntries(rebuilt, 21, 35);
    await rebuilt.close();
    const again = await openAt(where, 20, 35);
    expect(again.report).toEqual([]);
    expect(textRows(again.shards.get(1)?.rows ?? [])).toEqual(expectedRows(35));
    expect(await indexRows(again.state, 1, 10, 40)).toHaveLength(15);
  });

  it('starts from nothing when the log is there from its first entry', async () => {
    const { where, state } = await withCheckpoints();
    await state.close();
    const { shards } = await openAt(where, 0, 35);
    expect(shards.get(1)).toEqual({ applied: undefined, rows: [] });
  });

  it('is built again when a row is damaged', async () => {
    const { where, state } = await withCheckpoints();
    // A value without its seal, as if LevelDB had given back other bytes.
    const raw = tableKey(KeyKind.group, 1, Buffer.from('row1'));
    await state.close();
    const database = await openDatabase({ directory: where.state, writeBufferBytes: 65536 }, false);
    if (typeof database === 'string') throw new Error(database);
    await database.put(raw, Buffer.from('something else'));
    await database.close();
    const { shards, report } = await openAt(where, 20, 40);
    expect(report[0]).toMatch(/^state is built again: state row [0-9a-f]+: checksum/);
    expect(textRows(shards.get(1)?.rows ?? [])).toEqual(expectedRows(20));
  });

  it('takes a later checkpoint for a damaged one, and says what is missing', async () => {
    const { where, state } = await withCheckpoints();
    await state.close();
    truncateSync(path.join(where.checkpoints, '1-20.ckpt'), 70);
    const { shards, report } = await openAt(where, 20, 35);
    expect(shards.get(1)?.applied?.index).toBe(30);
    expect(report).toContain('shard 1: entries 21-30 are not replayed');
  });

  it('refuses to start without a checkpoint that the log needs', async () => {
    const where = newPlace();
    const failure = { code: 'DATA_LOSS', message: expect.stringContaining('shard 1') };
    await expect(openAt(where, 5, 9)).rejects.toMatchObject(failure);
    // And the half-built store is not taken for a whole one afterwards.
    const logEnds = new Map([[1, { start: 0, last: 0 }]]);
    const directory = where.state;
    const state = await openLevelState({
      directory,
      identity: 'node 1',
      logEnds,
      onFatal: throwFatal,
    });
    expect(state.verdict.kind).not.toBe('ok');
    await state.close();
  });

  it('is built again when a table file of LevelDB is cut or gone', async () => {
    const { where, state } = await withCheckpoints();
    await state.close();
    // Opening moves what LevelDB's log holds into a table file.
    await (await openAt(where, 20, 40)).state.close();
    const [table] = readdirSync(where.state).filter((name) => name.endsWith('.ldb'));
    truncateSync(path.join(where.state, table as string), 0);
    const { shards, report } = await openAt(where, 20, 40);
    expect(report[0]).toMatch(/^state is built again: read state: IO error/);
    expect(textRows(shards.get(1)?.rows ?? [])).toEqual(expectedRows(20));
  });
});

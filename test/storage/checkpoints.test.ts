import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  firstIntact,
  listCheckpoints,
  MAX_CHECKPOINTS_PER_SHARD,
  newestAtOrBelow,
  pruneCheckpoints,
  readCheckpoint,
  removeUnfinished,
} from '../../storage/checkpoints.ts';
import { expectedRows, textRows } from '../harness/state-model.ts';
import {
  applyEntries,
  MEMBERSHIP,
  newPlace,
  openAt,
  takeAt,
  withCheckpoints,
} from '../harness/state-places.ts';

describe('checkpoints', () => {
  it('holds the small state at the applied index, and who the members were', async () => {
    const { where } = await withCheckpoints();
    const listed = await listCheckpoints(where.checkpoints);
    expect(listed.map(({ shard, index }) => [shard, index])).toEqual([
      [1, 10],
      [1, 20],
      [1, 30],
    ]);
    const read = await readCheckpoint(listed[1] as (typeof listed)[0]);
    expect(read.applied).toEqual({ shard: 1, index: 20, term: 1, timeMs: 1200 });
    expect(read.membership).toBe(JSON.stringify(MEMBERSHIP));
    expect(read.rowCount).toBe(Object.keys(expectedRows(20)).length);
    expect(readdirSync(where.checkpoints).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('is one moment, whatever is written meanwhile', async () => {
    const where = newPlace();
    const { state } = await openAt(where, 0, 100);
    await applyEntries(state, 1, 10);
    const taking = takeAt(state, where);
    await applyEntries(state, 11, 60);
    const taken = await taking;
    const index = taken?.index ?? 0;
    await state.close();
    const { shards } = await openAt({ ...where, state: `${where.state}2` }, index, 100);
    expect(textRows(shards.get(1)?.rows ?? [])).toEqual(expectedRows(index));
  });

  it('has nothing to hold before anything was applied', async () => {
    const where = newPlace();
    const { state } = await openAt(where, 0, 0);
    expect(await takeAt(state, where)).toBeUndefined();
    expect(await listCheckpoints(where.checkpoints)).toEqual([]);
  });

  it('is not taken of a shard that has left meanwhile', async () => {
    const where = newPlace();
    const { state } = await openAt(where, 0, 100);
    await applyEntries(state, 1, 10);
    expect(await takeAt(state, where, () => undefined)).toBeUndefined();
    expect(await listCheckpoints(where.checkpoints)).toEqual([]);
  });

  it('finds damage anywhere in the file', async () => {
    const { where } = await withCheckpoints();
    const [listed] = await listCheckpoints(where.checkpoints);
    if (listed === undefined) throw new Error('no checkpoint');
    const whole = readFileSync(listed.file);
    const expectDamaged = async (bytes: Uint8Array): Promise<void> => {
      writeFileSync(listed.file, bytes);
      await expect(readCheckpoint(listed)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    };
    for (let at = 0; at < whole.length; at += at < 12 ? 1 : 3) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ 0x10;
      await expectDamaged(bytes);
    }
    for (const length of [0, 8, 43, 60, whole.length - 1]) {
      await expectDamaged(whole.subarray(0, length));
    }
    await expectDamaged(Buffer.concat([whole, Buffer.alloc(1)]));
    writeFileSync(listed.file, whole);
    expect((await readCheckpoint(listed)).applied.index).toBe(10);
  });

  it('says that it comes from a newer version only if it is intact', async () => {
    const { where } = await withCheckpoints();
    const [listed] = await listCheckpoints(where.checkpoints);
    if (listed === undefined) throw new Error('no checkpoint');
    const bytes = readFileSync(listed.file);
    bytes.writeUInt32BE(bytes.readUInt32BE(8) + 1, 8);
    // Whatever it holds is laid out in another way.
    bytes.fill(0xff, 12, bytes.length - 4);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
    writeFileSync(listed.file, bytes);
    await expect(readCheckpoint(listed)).rejects.toMatchObject({ code: 'UNKNOWN_FORMAT' });
    for (const end of [bytes.length - 1, 13, 12]) {
      writeFileSync(listed.file, bytes.subarray(0, end));
      await expect(readCheckpoint(listed)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    }
  });

  it('passes over a damaged one, and says so', async () => {
    const { where } = await withCheckpoints();
    expect((await newestAtOrBelow(where.checkpoints, 1, 29)).checkpoint?.applied.index).toBe(20);
    truncateSync(path.join(where.checkpoints, '1-20.ckpt'), 70);
    const found = await newestAtOrBelow(where.checkpoints, 1, 29);
    expect(found.checkpoint?.applied.index).toBe(10);
    expect(found.damaged).toEqual([expect.stringContaining('1-20.ckpt')]);
    expect(await newestAtOrBelow(where.checkpoints, 1, 9)).toEqual({ damaged: [] });
    expect(await newestAtOrBelow(where.checkpoints, 2, 99)).toEqual({ damaged: [] });
    expect(await firstIntact([])).toEqual({ damaged: [] });
  });

  it('is not taken for another when its file is renamed', async () => {
    const { where } = await withCheckpoints();
    const [listed] = await listCheckpoints(where.checkpoints);
    const renamed = { file: listed?.file ?? '', shard: 1, index: 11 };
    await expect(readCheckpoint(renamed)).rejects.toThrow('its name and its content differ');
  });

  it('prunes what no rebuild needs', async () => {
    const { where, state } = await withCheckpoints();
    for (let index = 41; index <= 60; index++) {
      await applyEntries(state, index, index);
      await takeAt(state, where);
    }
    const indexes = async (): Promise<number[]> =>
      (await listCheckpoints(where.checkpoints)).map(({ index }) => index);
    await pruneCheckpoints(where.checkpoints, 1, 20);
    const kept = await indexes();
    expect(kept).toHaveLength(MAX_CHECKPOINTS_PER_SHARD);
    expect([kept[0], kept.at(-1)]).toEqual([20, 60]);
    const gaps = kept.slice(2, -1).map((index, at) => index - (kept[at + 1] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(11);
    // Never deletes on the word of somebody who names one that is not there.
    expect(await pruneCheckpoints(where.checkpoints, 1, 59.5)).toEqual([]);
  });

  it('removes what a crash left unfinished', async () => {
    const { where } = await withCheckpoints();
    const leftover = path.join(where.checkpoints, '1-35.ckpt.tmp');
    writeFileSync(leftover, 'half of it');
    await removeUnfinished(where.checkpoints);
    expect(existsSync(leftover)).toBe(false);
    expect(await listCheckpoints(where.checkpoints)).toHaveLength(3);
  });
});

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  discardParts,
  IncomingCheckpoint,
  openCheckpoint,
} from '../../storage/checkpoint-transfer.ts';
import { deleteCheckpoints, listCheckpoints } from '../../storage/checkpoints.ts';
import { expectedRows, textRows } from '../harness/state-model.ts';
import { MEMBERSHIP, withCheckpoints } from '../harness/state-places.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const ID = { index: 20, term: 1 };
const PIECE = 100;

async function source() {
  const { where } = await withCheckpoints();
  const opened = await openCheckpoint(where.checkpoints, 1, ID);
  return { where, opened };
}

type Opened = Awaited<ReturnType<typeof openCheckpoint>>;

async function feed(to: IncomingCheckpoint, from: Opened, end = from.totalBytes): Promise<void> {
  while (to.nextOffset < end) {
    const piece = await from.read(to.nextOffset, Math.min(PIECE, end - to.nextOffset));
    await to.append(to.nextOffset, piece);
  }
}

const namesIn = (directory: string): string[] => readdirSync(directory).sort();

describe('a checkpoint on its way', () => {
  it('arrives as it was, piece by piece, though its file is pruned meanwhile', async () => {
    const { where, opened } = await source();
    await deleteCheckpoints(where.checkpoints, 1);
    expect(await listCheckpoints(where.checkpoints)).toEqual([]);
    const directory = path.join(temporaryDirectory(), 'checkpoints');
    const incoming = await IncomingCheckpoint.begin(directory, 1, ID, opened.totalBytes);
    expect(incoming.nextOffset).toBe(0);
    await feed(incoming, opened);
    const received = await incoming.finish();
    expect(received.applied).toEqual({ shard: 1, ...ID, timeMs: 1200 });
    expect(received.membership).toBe(JSON.stringify(MEMBERSHIP));
    expect(textRows(received.rows)).toEqual(expectedRows(20));
    expect(namesIn(directory)).toEqual(['1-20.ckpt']);
    await opened.close();
  });

  it('goes on where an interrupted attempt stopped; parts of other ids go', async () => {
    const { opened } = await source();
    const directory = temporaryDirectory();
    writeFileSync(path.join(directory, '1-9-1-500.part'), 'old');
    writeFileSync(path.join(directory, '11-9-1-500.part'), 'of another shard');
    const first = await IncomingCheckpoint.begin(directory, 1, ID, opened.totalBytes);
    await feed(first, opened, 250);
    await first.close();
    const second = await IncomingCheckpoint.begin(directory, 1, ID, opened.totalBytes);
    expect(second.nextOffset).toBe(250);
    await feed(second, opened);
    await second.finish();
    expect(namesIn(directory)).toEqual(['1-20.ckpt', '11-9-1-500.part']);
    await opened.close();
  });

  it('that is here whole already needs no byte', async () => {
    const { where, opened } = await source();
    const incoming = await IncomingCheckpoint.begin(where.checkpoints, 1, ID, opened.totalBytes);
    expect(incoming.nextOffset).toBe(opened.totalBytes);
    expect(textRows((await incoming.finish()).rows)).toEqual(expectedRows(20));
    await opened.close();
  });

  it('is refused for every flipped bit, and nothing of it is left', async () => {
    const { where, opened } = await source();
    const bytes = readFileSync(path.join(where.checkpoints, '1-20.ckpt'));
    for (let at = 0; at < bytes.length; at += 7) {
      const directory = temporaryDirectory();
      const incoming = await IncomingCheckpoint.begin(directory, 1, ID, bytes.length);
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
      await incoming.append(0, damaged);
      await expect(incoming.finish()).rejects.toThrow(/checkpoint/);
      expect(namesIn(directory)).toEqual([]);
    }
    await opened.close();
  });

  it('of another index or term is refused', async () => {
    const { opened, where } = await source();
    for (const id of [
      { index: 21, term: 1 },
      { index: 20, term: 2 },
    ]) {
      const directory = temporaryDirectory();
      const incoming = await IncomingCheckpoint.begin(directory, 1, id, opened.totalBytes);
      await feed(incoming, opened);
      await expect(incoming.finish()).rejects.toMatchObject({ code: 'DATA_LOSS' });
    }
    const wrong = openCheckpoint(where.checkpoints, 1, { index: 20, term: 2 });
    await expect(wrong).rejects.toMatchObject({ code: 'DATA_LOSS' });
    const none = openCheckpoint(where.checkpoints, 1, { index: 21, term: 1 });
    await expect(none).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await opened.close();
  });

  it('a part that is longer than it should be is thrown away', async () => {
    const { opened } = await source();
    const directory = temporaryDirectory();
    const part = path.join(directory, `1-20-1-${opened.totalBytes}.part`);
    writeFileSync(part, Buffer.alloc(opened.totalBytes + 1));
    const incoming = await IncomingCheckpoint.begin(directory, 1, ID, opened.totalBytes);
    expect(incoming.nextOffset).toBe(0);
    await incoming.close();
    await discardParts(directory, 1);
    expect(existsSync(part)).toBe(false);
    await opened.close();
  });
});

import { truncateSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { takeCheckpoint } from '../../storage/checkpoints.ts';
import { formatStateReport, inspectState } from '../../storage/inspect-state.ts';
import { indexKey, KeyKind, tableKey } from '../../storage/keys.ts';
import { openDatabase } from '../../storage/level-db.ts';
import { openState } from '../../storage/open-state.ts';
import { membershipOf } from '../harness/raft-cluster.ts';
import { effectsOf } from '../harness/state-model.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

/** A node's directory: shard 1 applied through 30, a checkpoint at 20. */
async function dataDirectory(): Promise<string> {
  const top = temporaryDirectory();
  const { state } = await openState({
    directory: path.join(top, 'state'),
    checkpointDirectory: path.join(top, 'checkpoints'),
    identity: 'node 1',
    logEnds: new Map([[1, { start: 0, last: 30 }]]),
    onFatal: (error) => {
      throw error;
    },
    batchDelayMs: 0,
  });
  onTestFinished(() => state.close());
  const apply = async (from: number, to: number): Promise<void> => {
    for (let index = from; index <= to; index++) state.write(effectsOf(1, index));
    await state.flush();
  };
  await apply(1, 20);
  const directory = path.join(top, 'checkpoints');
  await takeCheckpoint({ source: state, directory, shard: 1, membership: () => membershipOf([1]) });
  await apply(21, 30);
  await state.close();
  return top;
}

async function tamper(
  top: string,
  change: (raw: Exclude<Awaited<ReturnType<typeof openDatabase>>, string>) => Promise<void>,
): Promise<void> {
  const directory = path.join(top, 'state');
  const raw = await openDatabase({ directory, writeBufferBytes: 65536 }, false);
  if (typeof raw === 'string') throw new Error(raw);
  await change(raw);
  await raw.close();
}

describe('inspect state', () => {
  it('tells what is there', async () => {
    const top = await dataDirectory();
    const report = await inspectState(top, true);
    expect(report).toMatchObject({ identity: 'node 1', verified: true, problems: [] });
    expect(report.applied).toEqual([{ shard: 1, index: 30, term: 1, timeMs: 1300 }]);
    expect(report.tables).toEqual([{ shard: 1, table: 'group', rows: 10 }]);
    const range = { shard: 1, queueId: 10, firstOffset: 0, endOffset: 60, rows: 30 };
    expect(report.queues).toEqual([range]);
    expect(report.batches.count).toBe(report.batches.last);
    expect(report.checkpoints).toMatchObject([{ shard: 1, index: 20, rows: 10 }]);
    const lines = formatStateReport(report);
    expect(lines).toContain('shard 1: queue 10: offsets 0-59 in 30 rows');
    expect(lines.at(-1)).toBe('verified: no problem found');
    expect(formatStateReport(await inspectState(top, false)).at(-1)).toBe('not verified');
  });

  it('finds what does not fit', async () => {
    const top = await dataDirectory();
    await tamper(top, async (raw) => {
      await raw.del(indexKey(1, 10, 11));
      await raw.put(tableKey(KeyKind.group, 1, Buffer.from('row1')), Buffer.from('other bytes'));
      await raw.put(Buffer.from('ee01', 'hex'), Buffer.alloc(1));
      await raw.del(Buffer.from('020000000000000002', 'hex'));
    });
    truncateSync(path.join(top, 'checkpoints', '1-20.ckpt'), 60);
    const { problems } = await inspectState(top, true);
    expect(problems).toEqual([
      'shard 1 queue 10: row at 12 follows one that ends at 10',
      expect.stringMatching(/^state row 2500000001726f7731: checksum/),
      expect.stringMatching(/^state key ee01 .*unknown kind/),
      'batch 1 is followed by batch 3',
      expect.stringContaining('1-20.ckpt'),
    ]);
  });

  it('refuses a directory that is in use, or not there', async () => {
    const top = await dataDirectory();
    await tamper(top, async () => {
      await expect(inspectState(top, false)).rejects.toMatchObject({ code: 'LOCKED' });
    });
    await expect(inspectState(path.join(top, 'nowhere'), false)).rejects.toThrow('no state at');
  });
});

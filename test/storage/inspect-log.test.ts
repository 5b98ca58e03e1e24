import { describe, expect, it } from 'vitest';
import { closeCommitLog, openCommitLog } from '../../storage/commit-log.ts';
import { inspectLog } from '../../storage/inspect-log.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import { durable, entry, entryRecord, seededRandom, stateRecord } from '../harness/log-builders.ts';

async function written() {
  const files = new FaultyFiles(seededRandom(1));
  const onFatal = (error: Error): void => {
    throw error;
  };
  const log = await openCommitLog({
    directory: 'log',
    files,
    onFatal,
    timer: () => () => {},
    limits: { segmentBytes: 6000, preallocateBytes: 1 },
  });
  await durable(log, [stateRecord(2, { term: 3, vote: 2, commit: 1 }), stateRecord(1)]);
  for (let index = 1; index <= 8; index++) {
    const payload = Buffer.alloc(400, index);
    await durable(log, [entryRecord(2, entry(index, index < 5 ? 2 : 3, { payload }))]);
  }
  return { files, log };
}

describe('inspectLog', () => {
  it('tells segments and shards, with a tail after a kill', async () => {
    const { files } = await written();
    files.kill();
    const before = files.names();
    const found = await inspectLog('log', { files, verify: true });
    expect(found).toMatchObject({ cleanlyClosed: false, tailRecords: 1, damage: [] });
    expect(found.segments.map(({ file }) => file)).toContain('00000001.log');
    expect(found.segments.every(({ records }) => records! > 0)).toBe(true);
    expect(found.shards[1]).toEqual({
      shard: 2,
      firstIndex: 1,
      lastIndex: 8,
      lastTerm: 3,
      terms: 2,
      term: 3,
      vote: 2,
      commit: 1,
      replica: 1,
      voters: [1, 2, 3],
      suspect: false,
      damagedEntries: 0,
    });
    expect(files.names()).toEqual(before);
  });

  it('sees a clean close, and damage in a body only when it verifies', async () => {
    const { files, log } = await written();
    await closeCommitLog(log);
    files.flipBit('log/00000001.log', files.content('log/00000001.log').indexOf('head 1/2'));
    expect(await inspectLog('log', { files })).toMatchObject({ cleanlyClosed: true, damage: [] });
    const found = await inspectLog('log', { files, verify: true });
    expect(found.damage).toEqual([
      { code: 'DATA_LOSS', message: expect.stringContaining('00000001.log at byte') },
    ]);
  });

  it('reports what open would refuse', async () => {
    const { files } = await written();
    files.kill();
    files.remove('log/00000001.idx');
    files.flipBit('log/00000001.log', files.content('log/00000001.log').indexOf('head 2/2'));
    const found = await inspectLog('log', { files });
    expect(found.damage).toHaveLength(1);
    expect(found.damage[0]).toMatchObject({ code: 'DATA_LOSS' });
    expect(found.shards[1]).toMatchObject({ shard: 2, lastIndex: 8, damagedEntries: 1 });
  });

  it('tells which shards are suspect and which have left', async () => {
    const { files, log } = await written();
    await durable(log, [{ kind: 'drop', shard: 1, replica: 1 }]);
    files.kill();
    const at = files.content('log/00000001.log').indexOf('head 2/2');
    files.remove('log/00000001.idx');
    files.flipBit('log/00000001.log', at - 20);
    const found = await inspectLog('log', { files });
    expect(found.damage).toHaveLength(1);
    expect(found.tombstones).toEqual([{ shard: 1, replica: 1 }]);
    expect(found.shards).toMatchObject([{ shard: 2, lastIndex: 1, suspect: true }]);
  });
});

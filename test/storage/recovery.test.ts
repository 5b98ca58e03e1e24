/** What open makes of a directory: the crash matrix of the README, and damage. */
import { describe, expect, it } from 'vitest';
import type { CommitLog, CommitLogLimits } from '../../storage/commit-log.ts';
import { closeCommitLog, openCommitLog } from '../../storage/commit-log.ts';
import { RECORD_HEADER_BYTES } from '../../storage/record.ts';
import { SEGMENT_HEADER_BYTES } from '../../storage/segment.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import {
  durable,
  entry,
  entryRecord,
  readAll,
  readEntries,
  seededRandom,
  stateRecord,
} from '../harness/log-builders.ts';

const directory = 'log';
const FIRST = 'log/00000001.log';

function open(files: FaultyFiles, limits: Partial<CommitLogLimits> = {}): Promise<CommitLog> {
  const onFatal = (error: Error): void => {
    throw error;
  };
  return openCommitLog({ directory, files, limits, onFatal, timer: () => () => {} });
}

/** Five durable entries, each in a flush of its own. */
async function fiveEntries(files: FaultyFiles, limits: Partial<CommitLogLimits> = {}) {
  const log = await open(files, { preallocateBytes: 4096, ...limits });
  await durable(log, [stateRecord(1)]);
  for (let index = 1; index <= 5; index++) {
    await durable(log, [entryRecord(1, entry(index, 1, { payload: 'x'.repeat(100) }))]);
  }
  return log;
}

const recordBytes = RECORD_HEADER_BYTES + 'head 1/1'.length + 100;

/** Where entry `index` of `fiveEntries` begins in the first segment. */
function entryAt(files: FaultyFiles, index: number): number {
  const at = files.content(FIRST).indexOf(`head ${index}/1`) - RECORD_HEADER_BYTES;
  expect(at).toBeGreaterThan(SEGMENT_HEADER_BYTES);
  return at;
}

async function indexes(log: CommitLog): Promise<number[]> {
  const last = log.recovered[0]?.lastIndex ?? 0;
  return (await readAll(log, 1, 1, last)).map((each) => each.index);
}

describe('after a kill', () => {
  it('copies what lies past the synced point to a new segment of a new epoch', async () => {
    const files = new FaultyFiles(seededRandom(1));
    await fiveEntries(files);
    files.kill();
    const log = await open(files);
    expect(log.report).toMatchObject({ segments: 1, copiedRecords: 1, tornBytes: 0 });
    expect(await indexes(log)).toEqual([1, 2, 3, 4, 5]);
    expect(files.content('log/00000002.log').indexOf('head 5/1')).toBeGreaterThan(0);
  });

  it('never reads the old tail again', async () => {
    const files = new FaultyFiles(seededRandom(1));
    await fiveEntries(files);
    files.kill();
    await open(files);
    files.kill();
    files.content(FIRST).fill(0xff, entryAt(files, 5));
    expect(await indexes(await open(files))).toEqual([1, 2, 3, 4, 5]);
  });

  it('makes page-cache bytes durable before it calls them so', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files, { singleStepSync: false });
    await durable(log, [stateRecord(1)]);
    files.failSyncIn = 1;
    await new Promise<unknown>((resolve) => {
      const onFatal = resolve;
      Object.assign(log, { onFatal });
      log.write([entryRecord(1, entry(1, 1))], { onDurable: () => expect.fail('not durable') });
    });
    files.kill();
    expect(await indexes(await open(files))).toEqual([1]);
    files.powerCut();
    expect(await indexes(await open(files))).toEqual([1]);
  });
});

/** Opens, and is killed when its n-th sync of a directory has begun. */
async function openAndDie(files: FaultyFiles, directorySyncs: number): Promise<void> {
  const frozen = new Promise<void>((resolve) => {
    files.onFreeze = resolve;
  });
  files.freezeInDirectorySyncs = directorySyncs;
  await Promise.race([frozen, open(files)]);
  files.kill();
}

describe('after kills in the midst of opening', () => {
  it('a power cut that loses names out of order loses no segment', async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = seededRandom(seed);
      const files = new FaultyFiles(random);
      await fiveEntries(files);
      files.kill();
      for (let kill = 0; kill < 2; kill++) await openAndDie(files, 2 + Math.floor(random() * 2));
      files.powerCut();
      expect(await indexes(await open(files)), `seed ${seed}`).toEqual([1, 2, 3, 4, 5]);
    }
  });
});

describe('after a clean close', () => {
  it('scans and copies nothing', async () => {
    const files = new FaultyFiles(seededRandom(1));
    await closeCommitLog(await fiveEntries(files));
    files.kill();
    const log = await open(files);
    expect(log.report).toMatchObject({ scannedRecords: 0, copiedRecords: 0, tornBytes: 0 });
    expect(await indexes(log)).toEqual([1, 2, 3, 4, 5]);
  });

  it('scans when a sidecar is damaged, absent or of another segment', async () => {
    const files = new FaultyFiles(seededRandom(1));
    await closeCommitLog(await fiveEntries(files));
    files.flipBit('log/00000001.idx', 30);
    const log = await open(files);
    expect(log.report.scannedRecords).toBe(6);
    expect(await indexes(log)).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('a torn tail', () => {
  it.each([1, 20, RECORD_HEADER_BYTES, recordBytes - 1])(
    'is cut: %i bytes of it',
    async (bytes) => {
      const files = new FaultyFiles(seededRandom(1));
      await fiveEntries(files);
      const content = Buffer.from(files.content(FIRST));
      files.kill();
      files.replace(FIRST, content.fill(0, entryAt(files, 5) + bytes));
      const log = await open(files);
      expect(log.report.tornBytes).toBeGreaterThan(0);
      expect(log.report.tornBytes).toBeLessThanOrEqual(bytes);
      expect(await indexes(log)).toEqual([1, 2, 3, 4]);
      await durable(log, [entryRecord(1, entry(5, 2))]);
      files.powerCut();
      const again = await open(files);
      expect((await readAll(again, 1, 5, 5))[0]?.term).toBe(2);
    },
  );

  it('may have a hole in front of intact records of the same flush', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await fiveEntries(files);
    const more = [6, 7, 8].map((index) => entryRecord(1, entry(index, 1)));
    await durable(log, more);
    files.kill();
    files.flipBit(FIRST, files.content(FIRST).indexOf('head 7/1'));
    expect(await indexes(await open(files))).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('damage', () => {
  const places = [
    ['the magic', 0],
    ['the header', 30],
    ['the length', 44],
    ['the body', RECORD_HEADER_BYTES + 5],
  ] as const;

  it.each(places)('to a synced record, in %s, is an error that says where', async (_what, at) => {
    const files = new FaultyFiles(seededRandom(1));
    await fiveEntries(files);
    files.kill();
    const position = entryAt(files, 3);
    files.flipBit(FIRST, position + at);
    const before = files.names();
    await expect(open(files)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining(`${FIRST} at byte ${position}`),
    });
    expect(files.names()).toEqual(before);
  });

  it('to the last flush is known as such once the idle marker was written', async () => {
    const files = new FaultyFiles(seededRandom(1));
    let idle = (): void => {};
    const timer = (_delayMs: number, run: () => void) => {
      idle = run;
      return () => {};
    };
    const log = await openCommitLog({ directory, files, timer, onFatal: () => expect.fail() });
    await durable(log, [stateRecord(1), entryRecord(1, entry(1, 1))]);
    idle();
    idle();
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    files.kill();
    files.flipBit(FIRST, files.content(FIRST).indexOf('head 1/1'));
    await expect(open(files)).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });

  it('to a body in a sealed segment is met by the reader, never served', async () => {
    const files = new FaultyFiles(seededRandom(1));
    await closeCommitLog(await fiveEntries(files));
    files.flipBit(FIRST, entryAt(files, 3) + RECORD_HEADER_BYTES);
    const log = await open(files);
    expect(await readEntries(log, 1, 1, 5)).toHaveLength(2);
    await expect(readEntries(log, 1, 3, 5)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(await readEntries(log, 1, 4, 5)).toHaveLength(2);
  });

  it.each([
    ['truncated', (content: Buffer) => content.subarray(0, SEGMENT_HEADER_BYTES + 300)],
    ['with a bad header block', (content: Buffer) => content.fill(1, 0, 8)],
  ])('of a sealed segment file %s', async (_what, change) => {
    const files = new FaultyFiles(seededRandom(1));
    await fiveEntries(files);
    files.kill();
    await open(files);
    files.kill();
    files.remove('log/00000001.idx');
    files.replace(FIRST, change(Buffer.from(files.content(FIRST))));
    await expect(open(files)).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });

  it('by a missing segment is an error', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await fiveEntries(files, { segmentBytes: 4700, preallocateBytes: 1 });
    expect(log.stats().segments).toBeGreaterThan(2);
    files.kill();
    files.remove('log/00000002.log');
    await expect(open(files)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining('lacks index 1'),
    });
  });
});

describe('removal of segments', () => {
  const limits = { segmentBytes: 6000, preallocateBytes: 1 };

  async function twelveEntries(files: FaultyFiles): Promise<CommitLog> {
    const log = await open(files, limits);
    await durable(log, [stateRecord(1), stateRecord(2), entryRecord(2, entry(1, 1))]);
    for (let index = 1; index <= 12; index++) {
      const payload = Buffer.alloc(500, index);
      await durable(log, [entryRecord(1, entry(index, 1, { payload }))]);
    }
    return log;
  }

  it('waits for every shard and never removes from the middle', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await twelveEntries(files);
    const { segments } = log.stats();
    expect(segments).toBeGreaterThan(3);
    const logStart = { index: 12, term: 1 };
    await durable(log, [stateRecord(1, { term: 1, commit: 12, logStart })]);
    expect(log.stats().segments).toBeGreaterThanOrEqual(segments);
    const start2 = { index: 1, term: 1 };
    await durable(log, [stateRecord(2, { term: 1, commit: 1, logStart: start2 })]);
    expect(log.stats().segments).toBeLessThan(segments);
    expect(log.stats().deletedSegments).toBeGreaterThan(1);
    expect(log.bytesOnDisk()).toBeLessThan(segments * limits.segmentBytes);
  });

  it('is over before the log is closed', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await twelveEntries(files);
    const held: (() => void)[] = [];
    const unlink = files.unlink.bind(files);
    files.unlink = (name, done) => held.push(() => unlink(name, done));
    const logStart = { index: 12, term: 1 };
    await durable(log, [
      stateRecord(2, { term: 1, commit: 1, logStart: { index: 1, term: 1 } }),
      stateRecord(1, { term: 1, commit: 12, logStart }),
    ]);
    let isClosed = false;
    const closed = closeCommitLog(log).then(() => {
      isClosed = true;
    });
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect([held.length > 0, isClosed]).toEqual([true, false]);
    files.unlink = unlink;
    for (const remove of held) remove();
    await closed;
  });

  it('waits until the moved log start is on the disk', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await twelveEntries(files);
    const moved = durable(log, [
      stateRecord(2, { term: 1, commit: 1, logStart: { index: 1, term: 1 } }),
      stateRecord(1, { term: 1, commit: 12, logStart: { index: 12, term: 1 } }),
    ]);
    let isDurable = false;
    void moved.then(() => {
      isDurable = true;
    });
    while (!isDurable) {
      expect(log.reclaim()).toEqual({ deletedSegments: 0, freedBytes: 0 });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(log.stats().deletedSegments).toBeGreaterThan(1);
  });

  it('does not count on a write that voids entries before it is on the disk', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files, { segmentBytes: 7500, preallocateBytes: 1 });
    const body = { payload: Buffer.alloc(300) };
    const entries = [1, 2, 3].map((index) => entryRecord(1, entry(index, 1, body)));
    await durable(log, [stateRecord(1), ...entries]);
    await durable(log, [stateRecord(1, { commit: 1, logStart: { index: 1, term: 1 } })]);
    expect(log.stats().segments).toBe(1);
    const voiding = entryRecord(1, entry(2, 2, { payload: Buffer.alloc(4000) }));
    files.failSyncIn = 100;
    log.write([voiding], { onDurable: () => {} });
    while (log.stats().segments === 1) await new Promise((resolve) => setImmediate(resolve));
    expect(log.reclaim().deletedSegments).toBe(0);
    files.powerCut();
    const again = await open(files);
    expect(again.recovered[0]!.lastIndex).toBeGreaterThanOrEqual(2);
    expect(await readAll(again, 1, 2, again.recovered[0]!.lastIndex)).not.toHaveLength(0);
  });

  it('is sound when the power fails around it', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const files = new FaultyFiles(seededRandom(seed));
      const log = await twelveEntries(files);
      await durable(log, [
        stateRecord(2, { term: 1, commit: 1, logStart: { index: 1, term: 1 } }),
        stateRecord(1, { term: 1, commit: 12, logStart: { index: 8, term: 1 } }),
      ]);
      files.powerCut();
      const again = await open(files, limits);
      expect(again.recovered[0]?.lastIndex).toBe(12);
      expect((await readAll(again, 1, 9, 12)).map((each) => each.index)).toEqual([9, 10, 11, 12]);
    }
  });
});

describe('sidecars of segments whose beginning is compacted', () => {
  const big = (index: number, term: number) =>
    entryRecord(1, entry(index, term, { payload: Buffer.alloc(40_000) }));
  /** Shard 2 keeps the first segment alive. */
  async function firstSegment(files: FaultyFiles): Promise<CommitLog> {
    const log = await open(files, { segmentBytes: 250_000, preallocateBytes: 1 });
    await durable(log, [stateRecord(1), stateRecord(2), entryRecord(2, entry(1, 1))]);
    await durable(log, [big(1, 1), big(2, 5), big(3, 5)]);
    await closeCommitLog(log);
    return open(files, { segmentBytes: 250_000, preallocateBytes: 1 });
  }

  it('do not let voided entries of older segments come back', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await firstSegment(files);
    const logStart = { index: 2, term: 3 };
    await durable(log, [big(2, 3), stateRecord(1, { term: 6, commit: 2, logStart })]);
    await closeCommitLog(log);
    const again = await open(files);
    expect(again.report.scannedSegments).toBe(0);
    expect(again.recovered[0]).toMatchObject({ lastIndex: 2, termStarts: [] });
  });

  it('do not let the terms of voided entries come back', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await firstSegment(files);
    const logStart = { index: 3, term: 3 };
    await durable(log, [big(2, 3), big(3, 3), stateRecord(1, { term: 6, commit: 3, logStart })]);
    await closeCommitLog(log);
    await durable(await open(files), [entryRecord(1, entry(4, 3))]);
    files.kill();
    const again = await open(files);
    expect(again.recovered[0]).toMatchObject({
      lastIndex: 4,
      termStarts: [{ term: 3, index: 4 }],
    });
  });

  it('start where their samples start, whatever older segments hold', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await firstSegment(files);
    await durable(log, [big(2, 3), big(3, 3), big(4, 3), big(5, 3)]);
    const logStart = { index: 4, term: 3 };
    await durable(log, [stateRecord(1, { term: 6, commit: 5, logStart })]);
    await closeCommitLog(log);
    const again = await open(files);
    expect(again.report.scannedSegments).toBe(0);
    expect(again.recovered[0]?.termStarts).toEqual([{ term: 3, index: 5 }]);
    expect((await readAll(again, 1, 5, 5))[0]?.term).toBe(3);
  });
});

describe('a failed disk', () => {
  it.each(['EIO', 'ENOSPC', 'short', 'sync'] as const)('stops at the first %s', async (fault) => {
    const files = new FaultyFiles(seededRandom(1));
    const fatal: Error[] = [];
    const log = await openCommitLog({
      directory,
      files,
      onFatal: (error) => fatal.push(error),
      timer: () => () => {},
    });
    await durable(log, [stateRecord(1), entryRecord(1, entry(1, 1))]);
    if (fault === 'sync') files.failSyncIn = 1;
    else {
      files.failWriteIn = 1;
      files.writeFault = fault;
    }
    const writes = files.counts.writes;
    const onDurable = () => expect.fail('called back');
    for (let index = 2; index < 5; index++)
      log.write([entryRecord(1, entry(index, 1))], { onDurable });
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    log.write([entryRecord(1, entry(5, 1))], { onDurable });
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toMatchObject({ code: 'IO', message: expect.stringContaining(FIRST) });
    expect(files.counts.writes).toBe(writes + 1);
    await expect(readEntries(log, 1, 1, 1)).rejects.toMatchObject({ code: 'IO' });
  });
});

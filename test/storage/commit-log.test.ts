import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { CommitLog, CommitLogLimits } from '../../storage/commit-log.ts';
import { closeCommitLog, openCommitLog } from '../../storage/commit-log.ts';
import type { Files } from '../../storage/files.ts';
import { nodeFiles } from '../../storage/files.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import { entry, entryRecord, seededRandom, stateRecord } from '../harness/log-builders.ts';
import { storeSuite } from './store-suite.ts';

const onFatal = (error: Error): void => {
  throw error;
};

function open(files: Files, directory: string, limits: Partial<CommitLogLimits>) {
  return openCommitLog({ directory, files, limits, onFatal, timer: () => () => {} });
}

async function onFaultyFiles(limits: Partial<CommitLogLimits>, stop: 'powerCut' | 'kill') {
  const files = new FaultyFiles(seededRandom(7));
  let log: CommitLog = await open(files, 'log', limits);
  return {
    store: () => log,
    crash: async () => {
      files[stop]();
      log = await open(files, 'log', limits);
      return log.recovered;
    },
    end: async () => {},
  };
}

async function onDisk(limits: Partial<CommitLogLimits>) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'commit-log-'));
  let log: CommitLog = await open(nodeFiles, directory, limits);
  return {
    store: () => log,
    crash: async () => {
      await closeCommitLog(log);
      log = await open(nodeFiles, directory, limits);
      return log.recovered;
    },
    end: async () => {
      await closeCommitLog(log);
      rmSync(directory, { recursive: true });
    },
  };
}

const tiny = { segmentBytes: 8192, preallocateBytes: 512, preallocateBelowBytes: 2048 };

storeSuite('commit log, power cut', () => onFaultyFiles({}, 'powerCut'));
storeSuite('commit log, kill, one-step sync off', () =>
  onFaultyFiles({ singleStepSync: false }, 'kill'),
);
storeSuite('commit log, segments of 8 KiB, power cut', () => onFaultyFiles(tiny, 'powerCut'));
storeSuite('commit log on the disk, closed cleanly', () => onDisk({}));
storeSuite('commit log on the disk, segments of 8 KiB', () => onDisk(tiny));

it('says after each flush whether the next one has begun', async () => {
  const log = await open(new FaultyFiles(seededRandom(7)), 'log', {});
  const seen: boolean[] = [];
  const isOver = new Promise<void>((resolve) => {
    log.onFlushed(() => {
      seen.push(log.isWriting);
      if (!log.isWriting) resolve();
    });
  });
  expect(log.isWriting).toBe(false);
  log.write([stateRecord(1)], { onDurable: () => {} });
  log.write([entryRecord(1, entry(1, 1))], { onDurable: () => {} });
  expect(log.isWriting).toBe(true);
  await isOver;
  expect(seen).toEqual([true, false]);
  await closeCommitLog(log);
});

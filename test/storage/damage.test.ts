/** Damage below the synced point of a node that has peers: isolated, repaired, never believed. */
import { describe, expect, it } from 'vitest';
import type { LogRecord } from '../../raft/ports.ts';
import type { Entry } from '../../raft/types.ts';
import { EntryType } from '../../raft/types.ts';
import type { CommitLog, CommitLogLimits } from '../../storage/commit-log.ts';
import { closeCommitLog, openCommitLog } from '../../storage/commit-log.ts';
import { RECORD_HEADER_BYTES } from '../../storage/record.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import {
  durable,
  entry,
  entryRecord,
  plain,
  readAll,
  readEntries,
  seededRandom,
  shardState,
  stateRecord,
} from '../harness/log-builders.ts';

const FIRST = 'log/00000001.log';

function open(files: FaultyFiles, limits: Partial<CommitLogLimits> = {}): Promise<CommitLog> {
  const onFatal = (error: Error): void => {
    throw error;
  };
  const timer = () => () => {};
  const onDamage = 'isolate';
  return openCommitLog({ directory: 'log', files, limits, onFatal, timer, onDamage });
}

const payload = 'x'.repeat(100);
const sixth = (index: number): Entry => entry(index, 1, { payload });

/** Six entries of shard 1, a flush each, then shard 2: of the last flush no sync is known. */
async function sixEntries(): Promise<FaultyFiles> {
  const files = new FaultyFiles(seededRandom(1));
  const log = await open(files);
  await durable(log, [stateRecord(1), stateRecord(2)]);
  for (let index = 1; index <= 6; index++) await durable(log, [entryRecord(1, sixth(index))]);
  await durable(log, [entryRecord(2, entry(1, 1))]);
  await durable(log, [entryRecord(2, entry(2, 1))]);
  return files;
}

function recordAt(files: FaultyFiles, text: string, name = FIRST): number {
  return files.content(name).indexOf(text) - RECORD_HEADER_BYTES;
}

function repair(each: Entry): LogRecord {
  return { kind: 'repair', shard: 1, entry: each };
}

async function texts(log: CommitLog, last = 6): Promise<string[]> {
  return (await readAll(log, 1, 1, last)).map((each) => Buffer.from(each.head).toString());
}

const heads = [1, 2, 3, 4, 5, 6].map((index) => `head ${index}/1`);

describe('a damaged body under an intact header', () => {
  it('costs its own entry only, until a peer has sent it again', async () => {
    const files = await sixEntries();
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'head 3/1') + RECORD_HEADER_BYTES + 40);
    files.flipBit(FIRST, recordAt(files, 'head 4/1') + RECORD_HEADER_BYTES);
    let log = await open(files);
    const damaged = [3, 4].map((index) => ({ index, term: 1 }));
    expect(log.recovered[0]).toMatchObject({ shard: 1, lastIndex: 6, damaged });
    expect(log.recovered[0]?.state.suspect).toBeUndefined();
    expect(log.recovered[1]).not.toHaveProperty('damaged');
    expect(log.report.damage).toEqual(['shard 1: 2 damaged entries from index 3']);
    expect(await readEntries(log, 1, 1, 6)).toHaveLength(2);
    await expect(readEntries(log, 1, 3, 6)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      damaged: { index: 3, term: 1 },
    });
    expect(await readEntries(log, 1, 5, 6)).toHaveLength(2);
    // A restart remembers it, from the sidecar that the first open wrote.
    await closeCommitLog(log);
    log = await open(files);
    expect(log.report.scannedRecords).toBe(0);
    expect(log.recovered[0]).toMatchObject({ damaged });
    await durable(log, [repair(sixth(4))]);
    await expect(readEntries(log, 1, 3, 6)).rejects.toMatchObject({ damaged: { index: 3 } });
    await durable(log, [repair(sixth(3))]);
    expect(await texts(log)).toEqual(heads);
    for (const clean of [true, false, true]) {
      if (clean) await closeCommitLog(log);
      else files.powerCut();
      log = await open(files);
      expect(log.recovered[0]).not.toHaveProperty('damaged');
      expect(await texts(log)).toEqual(heads);
    }
  });

  it('is repaired from a scan as well', async () => {
    const files = await sixEntries();
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'head 3/1') + RECORD_HEADER_BYTES);
    const log = await open(files);
    await durable(log, [repair(sixth(3)), entryRecord(1, sixth(7))]);
    await durable(log, [entryRecord(1, sixth(8))]);
    files.kill();
    for (const name of files.names()) if (name.endsWith('.idx')) files.remove(name);
    const again = await open(files);
    expect(again.recovered[0]).toMatchObject({ lastIndex: 8 });
    expect(again.recovered[0]).not.toHaveProperty('damaged');
    expect(await texts(again, 8)).toEqual([...heads, 'head 7/1', 'head 8/1']);
  });

  it('is no damage any more when the entry is voided or compacted', async () => {
    const files = await sixEntries();
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'head 3/1') + RECORD_HEADER_BYTES);
    files.flipBit(FIRST, recordAt(files, 'head 5/1') + RECORD_HEADER_BYTES);
    const log = await open(files);
    await durable(log, [entryRecord(1, entry(5, 2))]);
    await durable(log, [stateRecord(1, { commit: 4, logStart: { index: 3, term: 1 } })]);
    files.powerCut();
    const again = await open(files);
    expect(again.recovered[0]).not.toHaveProperty('damaged');
    expect((await readAll(again, 1, 4, 5)).map(({ term }) => term)).toEqual([1, 2]);
  });

  it('of a configuration entry makes the shard suspect: its members are not known', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files);
    const config = entry(2, 1, { type: EntryType.config, head: 'members' });
    await durable(log, [stateRecord(1), entryRecord(1, sixth(1)), entryRecord(1, config)]);
    await durable(log, [entryRecord(1, sixth(3))]);
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'members') + RECORD_HEADER_BYTES);
    for (let opens = 0; opens < 3; opens++) {
      const again = await open(files);
      expect(again.recovered[0]).toMatchObject({ lastIndex: 1, state: { suspect: true } });
      expect(await readEntries(again, 1, 1, 1)).toHaveLength(1);
      await closeCommitLog(again);
    }
  });

  it('of a state makes the shard suspect: a vote may be lost', async () => {
    const files = await sixEntries();
    files.kill();
    const log = await open(files);
    await durable(log, [stateRecord(1, { term: 9, vote: 3 })]);
    await durable(log, [entryRecord(2, entry(3, 1))]);
    files.kill();
    const name = 'log/00000002.log';
    const at = files.content(name).lastIndexOf('inc-3');
    files.flipBit(name, at);
    for (let opens = 0; opens < 3; opens++) {
      const again = await open(files);
      expect(again.recovered[0]).toMatchObject({ lastIndex: 6, state: { suspect: true } });
      expect(await texts(again)).toEqual(heads);
      expect(again.recovered[1]?.state.suspect).toBeUndefined();
      await closeCommitLog(again);
    }
  });

  it('is refused where this replica is the only voter', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files);
    const state = shardState();
    const config = { ...state.membership.config, voters: [1] };
    const alone = { ...state, membership: { ...state.membership, config } };
    await durable(log, [{ kind: 'state', shard: 1, state: alone }]);
    for (const index of [1, 2, 3]) await durable(log, [entryRecord(1, sixth(index))]);
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'head 2/1') + RECORD_HEADER_BYTES);
    const before = files.names();
    await expect(open(files)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining('shard 1, index 2, term 1'),
    });
    expect(files.names()).toEqual(before);
  });
});

describe('damage that a reader meets', () => {
  it('names the entry, and a repair is read in its place from then on', async () => {
    const files = await sixEntries();
    files.kill();
    let log = await open(files);
    files.flipBit(FIRST, recordAt(files, 'head 2/1') + RECORD_HEADER_BYTES);
    await expect(readEntries(log, 1, 2, 6)).rejects.toMatchObject({ damaged: { index: 2 } });
    await durable(log, [repair(sixth(2))]);
    expect(await texts(log)).toEqual(heads);
    files.powerCut();
    log = await open(files);
    expect(await texts(log)).toEqual(heads);
  });

  it('to a header is repaired entry by entry up to the next sample', async () => {
    const files = await sixEntries();
    files.kill();
    let log = await open(files);
    files.flipBit(FIRST, recordAt(files, 'head 2/1') + 30);
    const repaired: number[] = [];
    for (let next = 1; next <= 6; ) {
      const answer = await readEntries(log, 1, next, 6).catch((error) => error);
      if (answer instanceof Error) {
        expect(answer).toMatchObject({ code: 'DATA_LOSS', damaged: { index: next, term: 1 } });
        await durable(log, [repair(sixth(next))]);
        repaired.push(next);
      } else next += (answer as Entry[]).length;
    }
    expect(repaired[0]).toBe(2);
    expect(await texts(log)).toEqual(heads);
    await closeCommitLog(log);
    log = await open(files);
    expect(await texts(log)).toEqual(heads);
  });
});

describe('a damaged first state', () => {
  it('makes the shard suspect for ever, though the un-synced tail has another', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files);
    await durable(log, [stateRecord(1), entryRecord(1, sixth(1))]);
    await durable(log, [entryRecord(1, sixth(2))]);
    await durable(log, [stateRecord(1, { term: 9, vote: 3 }), entryRecord(1, sixth(3))]);
    files.kill();
    files.flipBit(FIRST, files.content(FIRST).indexOf('inc-3'));
    for (const end of ['powerCut', 'kill', 'close', 'none'] as const) {
      const again = await open(files);
      expect(again.recovered).toMatchObject([
        { shard: 1, state: { suspect: true, hardState: { term: 9, vote: 3 } } },
      ]);
      if (end === 'close') await closeCommitLog(again);
      else if (end !== 'none') files[end]();
    }
  });
});

describe('a damaged vote before the torn end of the log', () => {
  it('is known to have been synced by the header of the torn record', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files);
    await durable(log, [stateRecord(1), stateRecord(2)]);
    await durable(log, [stateRecord(1, { term: 9, vote: 3 })]);
    await durable(log, [entryRecord(2, sixth(1))]);
    files.kill();
    const content = files.content(FIRST);
    files.flipBit(FIRST, content.subarray(0, recordAt(files, 'head 1/1')).lastIndexOf('inc-3'));
    files.replace(FIRST, files.content(FIRST).subarray(0, content.indexOf('head 1/1') + 20));
    for (let opens = 0; opens < 2; opens++) {
      const again = await open(files);
      const [first] = again.recovered;
      expect(first).toMatchObject({ shard: 1, state: { suspect: true } });
      await closeCommitLog(again);
    }
  });
});

describe('a shard whose states are all damaged', () => {
  it('is not taken for one that was never here', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files);
    await durable(log, [stateRecord(1), entryRecord(1, sixth(1))]);
    await durable(log, [entryRecord(1, sixth(2))]);
    await durable(log, [stateRecord(1, { term: 9, vote: 3 })]);
    files.kill();
    files.flipBit(FIRST, files.content(FIRST).indexOf('inc-3'));
    await open(files);
    files.kill();
    const second = 'log/00000002.log';
    files.flipBit(second, files.content(second).indexOf('inc-3') - 150);
    await expect(open(files)).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });
});

describe('a lost record', () => {
  it.each([
    ['in the header', (at: number) => at + 30],
    ['in the magic', (at: number) => at],
  ])('%s makes every shard suspect, with what lay before it', async (_what, place) => {
    const files = await sixEntries();
    files.kill();
    files.flipBit(FIRST, place(recordAt(files, 'head 3/1')));
    for (let opens = 0; opens < 3; opens++) {
      const log = await open(files);
      expect(log.recovered).toMatchObject([
        { shard: 1, lastIndex: 2, state: { suspect: true } },
        { shard: 2, lastIndex: 0, state: { suspect: true } },
      ]);
      expect(log.report.damage[0]).toMatch(/00000001.log at byte \d+: .*records are lost/);
      expect(await texts(log, 2)).toEqual(heads.slice(0, 2));
      expect(log.reclaim()).toEqual({ deletedSegments: 0, freedBytes: 0 });
      if (opens === 1) await closeCommitLog(log);
      else files.powerCut();
    }
  });

  it('is healed by new replica ids, for ever', async () => {
    const files = await sixEntries();
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'head 3/1') + 30);
    let log = await open(files);
    const suspects = () =>
      log.recovered.filter(({ state }) => state.suspect).map((each) => each.shard);
    for (const shard of [1, 2]) {
      await durable(log, [
        { kind: 'drop', shard, replica: 1 },
        stateRecord(shard, { replica: 5 }),
        entryRecord(shard, entry(1, 4)),
      ]);
      if (shard === 1) files.powerCut();
      else await closeCommitLog(log);
      log = await open(files);
      const found = log.recovered.find((each) => each.shard === shard);
      expect(found).toMatchObject({ lastIndex: 1, state: { replica: 5 } });
      expect(suspects()).toEqual(shard === 1 ? [2] : []);
    }
    expect(files.names()).not.toContain(FIRST);
    files.powerCut();
    expect((await open(files)).report.damage).toEqual([]);
  });

  it('also when a segment file is cut', async () => {
    const files = await sixEntries();
    files.kill();
    await open(files);
    files.kill();
    files.remove('log/00000001.idx');
    files.replace(FIRST, files.content(FIRST).subarray(0, recordAt(files, 'head 3/1') + 10));
    const log = await open(files);
    expect(log.recovered).toMatchObject([
      { lastIndex: 2, state: { suspect: true } },
      { lastIndex: 0, state: { suspect: true } },
    ]);
  });

  it('keeps its segment, also when no entry in it is left', async () => {
    const files = await sixEntries();
    files.kill();
    files.flipBit(FIRST, recordAt(files, 'head 1/1') + 30);
    const log = await open(files);
    expect(log.recovered.map(({ lastIndex }) => lastIndex)).toEqual([0, 0]);
    expect(log.reclaim()).toEqual({ deletedSegments: 0, freedBytes: 0 });
  });

  it.each([true, false])(
    'makes a shard suspect whose birth it took (sidecar: %s)',
    async (kept) => {
      const files = await sixEntries();
      files.kill();
      const log = await open(files);
      await durable(log, [stateRecord(3)]);
      await durable(log, [entryRecord(3, entry(1, 1)), stateRecord(3, { term: 1, vote: 2 })]);
      await closeCommitLog(log);
      await closeCommitLog(await open(files));
      const second = 'log/00000002.log';
      files.replace(
        second,
        files.content(second).subarray(0, recordAt(files, 'head 1/1', second) - 200),
      );
      files.remove('log/00000002.idx');
      if (!kept) files.remove('log/00000003.idx');
      const again = await open(files);
      expect(again.recovered.find(({ shard }) => shard === 3)).toMatchObject({
        lastIndex: 0,
        state: { suspect: true, hardState: { term: 1, vote: 2 } },
      });
      await durable(again, [stateRecord(4), entryRecord(4, entry(1, 1))]);
      if (kept) await closeCommitLog(again);
      else files.kill();
      const born = (await open(files)).recovered.find(({ shard }) => shard === 4);
      expect(born).toMatchObject({ lastIndex: 1 });
      expect(born?.state.suspect).toBeUndefined();
    },
  );

  it('never lets an empty replica pass for the one whose beginning is lost', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const log = await open(files);
    await durable(log, [stateRecord(2)]);
    await durable(log, [stateRecord(1)]);
    await durable(log, [entryRecord(1, sixth(1))]);
    await durable(log, [entryRecord(2, entry(1, 1))]);
    await durable(log, [entryRecord(2, entry(2, 1))]);
    files.kill();
    // The state of shard 1, between that of shard 2 and the first entry.
    const lost = recordAt(files, 'head 1/1') - 10;
    files.flipBit(FIRST, files.content(FIRST).lastIndexOf('HFR1', lost) + 30);
    const failure = { code: 'DATA_LOSS', message: expect.stringContaining('its first state') };
    await expect(open(files)).rejects.toMatchObject(failure);
  });
});

describe('any one flipped bit', () => {
  it('is harmless, or known: nothing false is ever read', async () => {
    for (let seed = 1; seed <= 150; seed++) await flipOneBit(seed);
  }, 120_000);
});

/** Two shards with voids, states and a reset; then one bit of the first segment turns. */
async function flipOneBit(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const files = new FaultyFiles(random);
  const log = await open(files);
  const written = new Map<string, ReturnType<typeof plain>>();
  const latest = new Map<number, Entry[]>([
    [1, []],
    [2, []],
  ]);
  await durable(log, [stateRecord(1), stateRecord(2)]);
  for (let step = 1; step <= 30; step++) {
    const shard = 1 + Math.floor(random() * 2);
    const entries = latest.get(shard)!;
    const back = random() < 0.2 ? Math.floor(random() * 3) : 0;
    const index = Math.max(1, entries.length + 1 - back);
    const each = entry(index, step, { payload: Buffer.alloc(Math.floor(random() * 300), step) });
    latest.set(shard, [...entries.slice(0, index - 1), each]);
    written.set(`${shard} ${index} ${step}`, plain(each));
    await durable(log, [entryRecord(shard, each), stateRecord(shard, { term: step })]);
  }
  if (random() < 0.5) await closeCommitLog(log);
  files.kill();
  const size = files.content(FIRST).length;
  files.flipBit(FIRST, Math.floor(random() * size), Math.floor(random() * 8));
  if (random() < 0.5 && files.names().includes('log/00000001.idx')) {
    files.remove('log/00000001.idx');
  }
  const again = await open(files).catch((error: Error) => error);
  if (again instanceof Error) {
    expect(again).toMatchObject({ code: expect.stringMatching(/DATA_LOSS|UNKNOWN_FORMAT/) });
    return;
  }
  for (const { shard, lastIndex, state } of again.recovered) {
    for (let index = 1; index <= lastIndex; index++) {
      const [got] = await readEntries(again, shard, index, index).catch((error) => {
        expect(error).toMatchObject({ code: 'DATA_LOSS', damaged: { index } });
        return [];
      });
      if (got === undefined) continue;
      expect(plain(got)).toEqual(written.get(`${shard} ${index} ${got.term}`));
      if (state.suspect === undefined)
        expect(plain(got)).toEqual(plain(latest.get(shard)![index - 1]!));
    }
    // The last flush of a killed node is not known to be on the disk: it may be cut.
    if (state.suspect === undefined) {
      expect(lastIndex).toBeGreaterThanOrEqual(latest.get(shard)!.length - 1);
    }
  }
}

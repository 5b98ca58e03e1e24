/** Checkpoints on a disk that loses what was not synced: taken, pruned, received. */
import { describe, expect, it } from 'vitest';
import { readCheckpointFile } from '../../storage/checkpoint-file.ts';
import {
  IncomingCheckpoint,
  openCheckpoint,
  type ReceivedCheckpoint,
} from '../../storage/checkpoint-transfer.ts';
import {
  type CheckpointSource,
  listCheckpoints,
  pruneCheckpoints,
  readCheckpoint,
  removeUnfinished,
  takeCheckpoint,
} from '../../storage/checkpoints.ts';
import { KeyKind } from '../../storage/keys.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import { seededRandom } from '../harness/log-builders.ts';
import { membershipOf } from '../harness/raft-cluster.ts';

const DIRECTORY = 'checkpoints';
const SEEDS = 80;

/** Rows whose number and content follow from the index. */
function sourceAt(index: number): CheckpointSource {
  return {
    async snapshotShard(shard) {
      return {
        applied: { shard, index, term: 1, timeMs: index },
        async *rows() {
          for (let step = 0; step < 4; step++) {
            yield Array.from({ length: index % 50 }, (_, at) => ({
              kind: KeyKind.group,
              key: Buffer.from(`${step}-${at}`),
              value: Buffer.alloc(60, index),
            }));
          }
        },
        close: () => Promise.resolve(),
      };
    },
  };
}

async function take(files: FaultyFiles, index: number): Promise<void> {
  const membership = () => membershipOf([1]);
  const options = { source: sourceAt(index), directory: DIRECTORY, shard: 1, membership, files };
  await takeCheckpoint(options);
}

/** Runs `work` until it ends, or until an operation of its is the last; true = it ended. */
async function orFrozen(files: FaultyFiles, after: number, work: Promise<unknown>) {
  const frozen = new Promise<'frozen'>((resolve) => {
    files.onFreeze = () => resolve('frozen');
  });
  files.freezeIn = after;
  const outcome = await Promise.race([frozen, work.then(() => 'ended')]);
  return outcome === 'ended';
}

async function indexesIn(files: FaultyFiles): Promise<number[]> {
  return (await listCheckpoints(DIRECTORY, files)).map(({ index }) => index);
}

describe('a power cut', () => {
  it('while a checkpoint is taken leaves whole ones only, with every one reported', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seededRandom(seed);
      const files = new FaultyFiles(random);
      let reported: number[] = [];
      for (let index = 10; index < 60; index += 7) {
        const after = random() < 0.5 ? 1 + Math.floor(random() * 12) : 0;
        if (await orFrozen(files, after, take(files, index))) reported.push(index);
        files[random() < 0.5 ? 'kill' : 'powerCut']();
        await removeUnfinished(DIRECTORY, files);
        const listed = await listCheckpoints(DIRECTORY, files);
        for (const each of listed) {
          expect((await readCheckpoint(each, files)).rowCount).toBe(4 * (each.index % 50));
        }
        expect(listed.map((each) => each.index)).toEqual(expect.arrayContaining(reported));
        expect(files.names().filter((name) => name.endsWith('.tmp'))).toEqual([]);
        // What an open has found may be relied on from then on.
        reported = listed.map((each) => each.index);
      }
    }
  });

  it('while old ones are pruned takes none that is kept', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seededRandom(seed);
      const files = new FaultyFiles(random);
      for (const index of [10, 20, 30, 40]) await take(files, index);
      const after = 1 + Math.floor(random() * 6);
      await orFrozen(files, after, pruneCheckpoints(DIRECTORY, 1, 30, files));
      files.powerCut();
      expect(await indexesIn(files)).toEqual(expect.arrayContaining([30, 40]));
      await pruneCheckpoints(DIRECTORY, 1, 30, files);
      files.powerCut();
      expect(await indexesIn(files)).toEqual([30, 40]);
    }
  });

  it('while one is received: it goes on, or begins again, and arrives whole', async () => {
    let resumed = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seededRandom(seed);
      const sender = new FaultyFiles(random);
      await take(sender, 33);
      const files = new FaultyFiles(random);
      let received: ReceivedCheckpoint | undefined;
      for (let attempt = 0; received === undefined; attempt++) {
        const after = attempt < 6 ? 1 + Math.floor(random() * 60) : 0;
        const work = receive(sender, files, (offset) => {
          if (offset > 0) resumed++;
        }).then((got) => {
          received = got;
        });
        await orFrozen(files, after, work);
        if (received === undefined || random() < 0.5) files[random() < 0.5 ? 'kill' : 'powerCut']();
      }
      expect(received.rows).toHaveLength(4 * 33);
      files.powerCut();
      expect(files.names()).toEqual(['checkpoints/1-33.ckpt']);
      const read = await readCheckpointFile('checkpoints/1-33.ckpt', () => undefined, files);
      expect(read.applied).toEqual(received.applied);
    }
    expect(resumed).toBeGreaterThan(SEEDS / 10);
  });
});

/** As a driver does; a checkpoint that does not verify is asked for again. */
async function receive(
  sender: FaultyFiles,
  files: FaultyFiles,
  onBegin: (offset: number) => void,
): Promise<ReceivedCheckpoint | undefined> {
  const id = { index: 33, term: 1 };
  const source = await openCheckpoint(DIRECTORY, 1, id, sender);
  const incoming = await IncomingCheckpoint.begin(DIRECTORY, 1, id, source.totalBytes, files);
  onBegin(incoming.nextOffset);
  while (incoming.nextOffset < source.totalBytes) {
    await incoming.append(incoming.nextOffset, await source.read(incoming.nextOffset, 1000));
  }
  try {
    return await incoming.finish();
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/DATA_LOSS|UNKNOWN_FORMAT/) });
    return undefined;
  }
}

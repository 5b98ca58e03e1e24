/** Bits that turn over at rest: where they may, and what the model of the disk allows after it. */
import { describe, expect, it } from 'vitest';
import { EntryType, type RecoveredShard } from '../../../raft/types.ts';
import { LOG_DIRECTORY, SimDisk } from '../../../src/sim/disk.ts';
import { type FlippedPart, flipRecord } from '../../../src/sim/flips.ts';
import { Random } from '../../../src/sim/random.ts';
import { Scheduler } from '../../../src/sim/scheduler.ts';
import { bodyCrcOf, RecordType } from '../../../storage/record.ts';
import { entryAt, membershipOf } from '../../harness/raft-cluster.ts';

const SHARDS = [1, 2];
const SEEDS = Array.from({ length: 12 }, (_, at) => at + 1);

class Rig {
  readonly scheduler = new Scheduler();
  readonly disk: SimDisk;
  found: readonly RecoveredShard[] = [];
  refused: Error | undefined;

  constructor(seed: number) {
    const { scheduler } = this;
    this.disk = new SimDisk({
      scheduler,
      random: new Random(seed),
      timing: { writeMaxMs: 0.1, syncMaxMs: 0.1 },
      limits: { segmentBytes: 16_384, preallocateBytes: 0 },
      deliver: (run) => {
        scheduler.promised();
        run();
      },
      timer: (delayMs, run) => {
        let isOff = false;
        scheduler.after(delayMs, () => isOff || run());
        return () => {
          isOff = true;
        };
      },
      onCrashPoint: () => {},
      onFault: () => {},
      onFatal: (error) => scheduler.fail(error),
    });
    for (const shard of SHARDS) {
      this.disk.format(shard, {
        hardState: { term: 0, vote: 0, commit: 0 },
        replica: 10 + shard,
        logStart: { index: 0, term: 0 },
        membership: membershipOf([10 + shard, 30, 40]),
      });
    }
  }

  /** Gives the error of a start that was refused. */
  async open(): Promise<unknown> {
    let failure: unknown;
    this.scheduler.after(0, () => {
      this.scheduler.promised();
      this.disk.open().then(
        (found) => {
          this.found = found;
        },
        (error: unknown) => {
          failure = error;
        },
      );
    });
    await this.#run();
    return failure;
  }

  #run(): Promise<void> {
    return this.scheduler.runUntil(this.scheduler.nowMs + 100, () => {});
  }

  /** One flush each: what the next one states was synced. */
  async write(from: number, to: number): Promise<void> {
    for (let index = from; index <= to; index++) {
      this.scheduler.after(0, () => {
        const records = SHARDS.map((shard) => {
          const entry = entryAt(index, 1);
          const bodyCrc = bodyCrcOf(entry.head, entry.payload);
          return { kind: 'entry', shard, entry: { ...entry, bodyCrc } } as const;
        });
        this.disk.write(records, { onDurable: () => {} });
      });
      await this.#run();
    }
  }

  flip(part: FlippedPart, random: Random) {
    return flipRecord(this.disk.files, LOG_DIRECTORY, part, random);
  }
}

async function written(seed: number): Promise<Rig> {
  const rig = new Rig(seed);
  expect(await rig.open()).toBeUndefined();
  await rig.write(1, 6);
  return rig;
}

describe('a bit', () => {
  it('turns over only where the log knows that it was synced', async () => {
    const rig = await written(1);
    const random = new Random(5);
    for (let count = 0; count < 60; count++) {
      const hit = rig.flip('body', random);
      // The last flush might be taken for the torn end of a write.
      if (hit?.type === EntryType.command) expect(hit.index).toBeLessThan(6);
    }
    rig.disk.crash(false);
    const empty = new Rig(1);
    expect(empty.flip('body', random), 'there is no log yet').toBeUndefined();
  });

  it('never hides that a shard was created', async () => {
    const rig = await written(1);
    const random = new Random(5);
    for (let count = 0; count < 60; count++) {
      expect(rig.flip('header', random)?.type).not.toBe(RecordType.state);
    }
  });

  it.each(SEEDS)('in a body damages that entry, and nothing else (%i)', async (seed) => {
    const rig = await written(seed);
    let hit = rig.flip('body', new Random(seed));
    for (let next = 1; hit?.type !== EntryType.command; next++) {
      // A state without a body makes its replica suspect: not here.
      const fresh = await written(seed);
      Object.assign(rig, { disk: fresh.disk, scheduler: fresh.scheduler });
      hit = rig.flip('body', new Random(100 * seed + next));
    }
    rig.disk.flips.hit(hit, 'body');
    rig.disk.crash(seed % 2 === 0);
    expect(await rig.open()).toBeUndefined();
    const damaged = rig.found.flatMap(({ shard, damaged: found = [] }) =>
      found.map(({ index }) => [shard, index]),
    );
    expect(damaged).toEqual([[hit.shard, hit.index]]);
  });

  it.each(SEEDS)('in a header makes all replicas of the machine suspect (%i)', async (seed) => {
    const rig = await written(seed);
    const hit = rig.flip('header', new Random(seed))!;
    rig.disk.flips.hit(hit, 'header');
    rig.disk.crash(seed % 2 === 0);
    expect(await rig.open()).toBeUndefined();
    expect(rig.found.map(({ state }) => state.suspect)).toEqual([true, true]);
    expect(rig.disk.isSuspect(1, 11) && rig.disk.isSuspect(2, 12)).toBe(true);
    expect(rig.disk.gone.get(1)?.[0]?.lastIndex, 'what it had counts as lost').toBe(6);
    rig.disk.crash(true);
    expect(await rig.open(), 'and stays so').toBeUndefined();
    expect(rig.disk.synced.get(2)?.state.suspect).toBe(true);
  });
});

describe('the model', () => {
  it.each(['body', 'header'] as const)(
    'finds damage of which it knows nothing (%s)',
    async (part) => {
      for (let seed = 1; seed < 8; seed++) {
        const rig = await written(3);
        const hit = rig.flip(part, new Random(seed));
        rig.disk.crash(false);
        const isBirth = hit?.type === RecordType.state;
        // Without the state that it was born with the log does not open at all.
        const found = isBirth ? /lacks its first state/ : /damaged-was-hit|suspect-was-hit/;
        expect(String(await rig.open())).toMatch(found);
      }
    },
  );

  it('forgets with the directory', async () => {
    const { disk } = await written(1);
    disk.flips.hitOther();
    expect(disk.flips.isAny).toBe(true);
    disk.crash(true);
    disk.wipe();
    expect(disk.flips.isAny).toBe(false);
  });
});

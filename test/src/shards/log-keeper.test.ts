import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { RaftDriver } from '../../../raft/driver.ts';
import { systemWorld } from '../../../src/clock.ts';
import type { DiskLevel } from '../../../src/cluster/api.ts';
import { decodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import { DEFAULTS } from '../../../src/config.ts';
import type { NodeStorage } from '../../../src/node-storage.ts';
import type { DiskLevels } from '../../../src/shards/disk-levels.ts';
import { LogKeeper } from '../../../src/shards/log-keeper.ts';
import { TRIM_ENTRIES_MIN } from '../../../src/shards/retention.ts';
import type { LocalShardHost } from '../../../src/shards/shard-host.ts';
import { META_SHARD, type ShardMachine } from '../../../src/shards/shard-machine.ts';
import type { StateFlush } from '../../../src/shards/state-flush.ts';
import { listCheckpoints, takeCheckpoint } from '../../../storage/checkpoints.ts';
import type { ShardSnapshot } from '../../../storage/level-state.ts';
import { membershipOf } from '../../harness/raft-cluster.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const CHECKPOINT_BYTES = 1000;
const GRACE_MS = 600_000;

/** The metadata shard of a node that leads alone, over facts that the test sets. */
class KeeperRig {
  readonly directory = join(temporaryDirectory(), 'checkpoints');
  applied = 5;
  durable: number | undefined;
  trim = 0;
  start = 0;
  durableStart: number | undefined;
  heldBytes = 0;
  logBytes = 0;
  warnings = 0;
  isSending = false;
  onPropose: () => void = () => undefined;
  matched: number | undefined;
  isGone = false;
  disk: DiskLevel = 'low';
  fatal: Error | undefined;
  readonly starts: number[] = [];
  #onPass: () => void = () => undefined;
  readonly #keeper = new LogKeeper({
    host: this.#host(),
    driver: this.#driver(),
    machine: this.#machine(),
    storage: this.#storage(),
    flush: {} as StateFlush,
    meta: {} as never,
    disks: { of: () => this.disk } as unknown as DiskLevels,
    snapshots: { isSending: () => this.isSending },
    world: systemWorld(),
    config: {
      ...DEFAULTS.retention,
      checkIntervalMs: 1,
      checkpointBytes: CHECKPOINT_BYTES,
      slowReplicaGraceMs: GRACE_MS,
    },
    logger: pino({ level: 'warn' }, { write: () => void this.warnings++ }),
    onFatal: (error) => {
      this.fatal = error;
      this.#onPass();
    },
  });

  #host(): LocalShardHost {
    const host: Partial<LocalShardHost> = {
      isReady: () => true,
      propose: (_shard, head, _payload, _level, done) => {
        this.onPropose();
        const command = decodeMetaCommand(head);
        if (command.type === 'trim') this.trim = command.logTrim;
        this.applied++;
        done({ status: 'overloaded' });
      },
    };
    return host as LocalShardHost;
  }

  #driver(): RaftDriver {
    const driver = {
      shards: () => {
        this.#onPass();
        return this.isGone ? [] : [META_SHARD];
      },
      status: () => {
        if (this.isGone) throw new Error('the shard is not here');
        const { applied, durable = applied } = this;
        return { applied, durable, lastIndex: applied };
      },
      matchedByAll: (_shard: number, maxSilenceMs: number) => {
        expect(maxSilenceMs).toBe(GRACE_MS);
        return this.matched ?? this.applied;
      },
      logStart: () => ({ index: this.start, term: 1 }),
      membershipAt: () => ({}),
      setLogStart: (_shard: number, { index }: { index: number }) => {
        this.start = index;
        this.starts.push(index);
        this.heldBytes = 0;
      },
    };
    return driver as unknown as RaftDriver;
  }

  #machine(): ShardMachine {
    const machine: Partial<ShardMachine> = {
      logTrim: () => this.trim,
      logBytes: () => this.logBytes,
      resetLogBytes: () => {
        this.logBytes = 0;
      },
    };
    return machine as ShardMachine;
  }

  #storage(): NodeStorage {
    const log = {
      bytesHeldBy: () => this.heldBytes,
      bytesOnDisk: () => this.heldBytes,
      durableLogStart: () => this.durableStart ?? this.start,
    };
    const state = {
      appliedOf: () => ({ index: this.applied }),
      snapshotShard: () => this.#snapshot(this.applied),
    };
    return { log, state, checkpointDirectory: this.directory } as unknown as NodeStorage;
  }

  async #snapshot(index: number): Promise<ShardSnapshot> {
    return {
      applied: { shard: META_SHARD, index, term: 1, timeMs: 0 },
      rows: async function* () {},
      close: async () => undefined,
    };
  }

  async checkpointAt(index: number): Promise<string> {
    const taken = await takeCheckpoint({
      source: { snapshotShard: () => this.#snapshot(index) },
      directory: this.directory,
      shard: META_SHARD,
      membership: () => membershipOf([1]),
    });
    return taken!.file;
  }

  async checkpoints(): Promise<number[]> {
    return (await listCheckpoints(this.directory)).map(({ index }) => index);
  }

  /** Whole passes: each ends when the next one begins. */
  async passes(count: number): Promise<void> {
    this.#keeper.start();
    let left = count + 1;
    await new Promise<void>((resolve) => {
      this.#onPass = () => {
        left--;
        if (left === 0 || this.fatal !== undefined) resolve();
      };
    });
    this.#onPass = () => undefined;
    await this.#keeper.stop();
  }
}

let rig: KeeperRig;
afterEach(() => {
  expect(rig.fatal).toBeUndefined();
});

describe('a shard of few entries', () => {
  test('is left alone while it holds little log of others', async () => {
    rig = new KeeperRig();
    rig.heldBytes = CHECKPOINT_BYTES;
    await rig.passes(5);
    expect([rig.trim, rig.applied, await rig.checkpoints()]).toEqual([0, 5, []]);
  });

  test('lets go of the log that others wrote since, however few entries it has', async () => {
    rig = new KeeperRig();
    rig.heldBytes = 100 * CHECKPOINT_BYTES;
    expect(rig.applied).toBeLessThan(TRIM_ENTRIES_MIN);
    await rig.passes(12);
    expect(rig.starts).toHaveLength(1);
    expect(rig.start).toBeGreaterThanOrEqual(5);
    expect(await rig.checkpoints()).toContain(rig.start);
    // One trim to agree on, one that passes the checkpoint; then nothing is held any more.
    expect(rig.applied).toBeLessThanOrEqual(5 + 2);
  });
});

test('a damaged checkpoint is passed over: an older one will do', async () => {
  rig = new KeeperRig();
  rig.applied = 100;
  rig.trim = 90;
  await rig.checkpointAt(50);
  const damaged = await rig.checkpointAt(80);
  writeFileSync(damaged, readFileSync(damaged).subarray(1));
  await rig.passes(1);
  expect(rig.starts).toEqual([50]);
  expect(rig.warnings).toBeGreaterThan(0);
});

test('no checkpoint is deleted while the start that Raft holds is not durable', async () => {
  rig = new KeeperRig();
  rig.applied = 100;
  rig.trim = 71;
  rig.start = 10;
  rig.durableStart = 10;
  await rig.checkpointAt(10);
  for (let index = 70; index < 90; index++) await rig.checkpointAt(index);
  rig.logBytes = 10 * CHECKPOINT_BYTES;
  await rig.passes(2);
  expect(rig.starts).toEqual([71]);
  expect(await rig.checkpoints()).toEqual(expect.arrayContaining([10, 71, 100]));
});

describe('the start of the log stays', () => {
  async function withCheckpoint(): Promise<KeeperRig> {
    const made = new KeeperRig();
    made.applied = 100;
    made.trim = 90;
    await made.checkpointAt(80);
    return made;
  }

  test('while somebody is sent the snapshot that it rests on', async () => {
    rig = await withCheckpoint();
    rig.isSending = true;
    await rig.passes(2);
    expect(rig.starts).toEqual([]);
    rig = await withCheckpoint();
    await rig.passes(2);
    expect(rig.starts).toEqual([80]);
  });

  test('while the log is not durable up to a checkpoint that another node sent', async () => {
    rig = await withCheckpoint();
    rig.durable = 79;
    await rig.passes(2);
    expect(rig.starts).toEqual([]);
  });

  test('where a replica that is heard of has not got what comes after it', async () => {
    rig = await withCheckpoint();
    rig.matched = 79;
    await rig.passes(2);
    expect(rig.starts).toEqual([]);
  });
});

test('a shard that leaves the node in the middle of a pass is no failure', async () => {
  rig = new KeeperRig();
  rig.applied = 1000;
  const gone = rig;
  rig.onPropose = () => {
    gone.isGone = true;
  };
  await rig.passes(2);
  expect(rig.isGone).toBe(true);
});

test('a checkpoint of the replica that was here before moves no start', async () => {
  rig = new KeeperRig();
  rig.applied = 0;
  rig.trim = 90;
  rig.matched = 90;
  await rig.checkpointAt(80);
  await rig.passes(2);
  expect(rig.starts).toEqual([]);
});

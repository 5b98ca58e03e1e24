/**
 * The disk of one node of a test cluster: the commit log and the state store of production over
 * simulated files and a simulated LevelDB. A kill leaves what was written, a power cut what was
 * synced and a part of the rest.
 */
import { openCommitLog } from '../../storage/commit-log.ts';
import { openState } from '../../storage/open-state.ts';
import type { StartTimer } from '../clock.ts';
import { initialShardStates } from '../cluster/first-configuration.ts';
import type { Identity } from '../cluster/identity.ts';
import type { NodeStorage } from '../node-storage.ts';
import { AwaitedFiles } from '../sim/awaited-files.ts';
import { SimFiles } from '../sim/files.ts';
import { SimLevel } from '../sim/level.ts';
import type { Random } from '../sim/random.ts';
import type { Scheduler } from '../sim/scheduler.ts';

/** No time passes, whatever the disk does. */
const TIMING = { callMaxMs: 0, writeMaxMs: 0, syncMaxMs: 0 };
/** Small segments: what retention lets go is gone soon, and memory with it. */
const LOG_LIMITS = { segmentBytes: 1024 * 1024, preallocateBytes: 0 };
/** A batch fits into a write buffer. */
const LEVEL_LIMITS = { batchDelayMs: 0, maxBatchBytes: 262_144, writeBufferBytes: 524_288 };

/** The process that uses the disk, in one of its lives. */
export interface DiskUser {
  readonly startTimer: StartTimer;
  isAlive(): boolean;
  onFatal(error: Error): void;
}

export class TestDisk {
  readonly #scheduler: Scheduler;
  readonly #identity: Identity;
  readonly #files: SimFiles;
  readonly #level: SimLevel;
  #isBorn = false;
  #isOpen = false;

  constructor(scheduler: Scheduler, random: Random, identity: Identity) {
    this.#scheduler = scheduler;
    this.#identity = identity;
    const onFault = (): void => {};
    this.#files = new SimFiles({
      ...{ scheduler, random: random.fork(), timing: TIMING, onFault },
      deliver: (run) => this.#deliver(run),
      onCrashPoint: () => {},
    });
    this.#level = new SimLevel({
      ...{ scheduler, random: random.fork(), writeMaxMs: 0, onFault },
      deliver: (run) => run(),
      writeFails: () => false,
    });
  }

  /** Until the storage is open, promises wait for its files. */
  #deliver(run: () => void): void {
    if (!this.#isOpen) this.#scheduler.promised();
    run();
  }

  async open(user: DiskUser): Promise<NodeStorage> {
    const identity = this.#identity;
    const onFatal = (error: Error): void => user.onFatal(error);
    const log = await openCommitLog({
      directory: 'disk/log',
      files: this.#files,
      createShards: this.#isBorn
        ? []
        : [...initialShardStates(identity)].map(([shard, state]) => ({ shard, state })),
      onDamage: 'isolate',
      limits: LOG_LIMITS,
      timer: user.startTimer,
      onFatal,
    });
    this.#isBorn = true;
    const files = new AwaitedFiles(this.#files, this.#scheduler, () => user.isAlive());
    const checkpointDirectory = 'disk/checkpoints';
    const opened = await openState({
      directory: 'disk/state',
      identity: `${identity.clusterId}/${identity.node}/${identity.incarnation}`,
      logEnds: new Map(
        log.recovered.map(({ shard, state, lastIndex }) => {
          return [shard, { start: state.logStart.index, last: lastIndex }] as const;
        }),
      ),
      ...{ checkpointDirectory, files, onFatal, backend: this.#level, ...LEVEL_LIMITS },
    });
    this.#isOpen = true;
    const { state, shards: loaded, report } = opened;
    const { recovered } = log;
    // Nothing that is only memory has to be closed.
    const close = (): Promise<void> => Promise.resolve();
    return { log, state, recovered, loaded, checkpointDirectory, files, report, close };
  }

  /** The process is gone; with `power`, so is the page cache. */
  crash(power: boolean): void {
    this.#isOpen = false;
    this.#files.crash(power);
    this.#level.crash(power);
  }
}

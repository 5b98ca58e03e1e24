/**
 * Keeps the log from growing for ever. At a steady pace: where this node leads, it decides and
 * proposes what may go (retention.ts); for every shard it holds, it takes checkpoints and lets go
 * of the log that an agreed trim point has made needless.
 */
import type { Logger } from 'pino';
import type { RaftDriver } from '../../raft/driver.ts';
import type { LogIndex, ShardId } from '../../raft/types.ts';
import {
  type CheckpointFile,
  firstIntact,
  listCheckpoints,
  pruneCheckpoints,
  takeCheckpoint,
} from '../../storage/checkpoints.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { World } from '../clock.ts';
import type { MetaView } from '../cluster/api.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import type { RetentionConfig } from '../config.ts';
import type { NodeStorage } from '../node-storage.ts';
import { Compaction, type CompactionSource } from './compaction.ts';
import { copyForward, copyRowsForward } from './copy-forward.ts';
import type { DiskLevels } from './disk-levels.ts';
import { isNearlyFull } from './disk-meter.ts';
import { decideTrim, isGain, TRIM_ENTRIES_MIN, type TrimSource } from './retention.ts';
import { RetentionClock } from './retention-clock.ts';
import type { LocalShardHost } from './shard-host.ts';
import { META_SHARD, type ShardMachine } from './shard-machine.ts';
import type { CheckpointSnapshots } from './snapshot-store.ts';
import type { StateFlush } from './state-flush.ts';
import { trimRows } from './trim-rows.ts';

/** Checkpoints in a shard's part of the log: enough that the oldest goes in small steps. */
const CHECKPOINTS_WANTED = 8;
/**
 * An idle shard's entries must not pin old segments for ever: a checkpoint after so many passes.
 */
const IDLE_PASSES = 60;
/** While a disk with a replica of a shard that this node holds is nearly full. */
const PRESSED_INTERVAL_MS = 1000;
/** Between two parts that go before their time: then the space of the first one is back. */
const EARLY_STEP_MS = 5000;
/**
 * Segments are shared and go oldest first, so a few old entries of one shard hold all that others
 * wrote since. Worth doing something about once it is this part of the log and so many checkpoints'
 * worth; a leader proposes when there is twice as much.
 */
const HELD_PART = 8;
const HELD_CHECKPOINTS = 2;
/** Of one shard, in one pass. */
const COMPACTION_MS_MAX = 1000;
const NO_PAYLOAD = new Uint8Array(0);

export interface LogKeeperParts {
  readonly host: LocalShardHost;
  readonly driver: RaftDriver;
  readonly machine: ShardMachine;
  readonly flush: StateFlush;
  readonly meta: MetaView;
  readonly disks: DiskLevels;
  readonly storage: NodeStorage;
  readonly snapshots: Pick<CheckpointSnapshots, 'isSending'>;
  readonly world: Pick<World, 'clock' | 'startTimer'>;
  readonly config: RetentionConfig;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

interface Kept {
  /** Newest checkpoint of this shard. */
  newest: LogIndex;
  passesSince: number;
}

export class LogKeeper {
  readonly #parts: LogKeeperParts;
  readonly #kept = new Map<ShardId, Kept>();
  readonly #clock: RetentionClock;
  readonly #earlyAtMs = new Map<ShardId, number>();
  readonly #compactions = new Map<ShardId, Compaction>();
  #toldOfJump = false;
  #checkpointsTaken = 0;
  #stopTimer: (() => void) | undefined;
  #pass: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: LogKeeperParts) {
    this.#parts = parts;
    const { clock } = parts.world;
    this.#clock = new RetentionClock({ wallMs: clock.wallMs, monotonicMs: clock.nowMs });
  }

  /** Since this node was started. */
  get checkpointsTaken(): number {
    return this.#checkpointsTaken;
  }

  start(): void {
    this.#passAfter(this.#intervalMs());
  }

  /** A disk passed a mark: room is made at once. */
  hurry(): void {
    if (this.#stopTimer === undefined || this.#stopped) return;
    this.#stopTimer();
    this.#passAfter(0);
  }

  #passAfter(delayMs: number): void {
    this.#stopTimer = this.#parts.world.startTimer(delayMs, () => {
      this.#stopTimer = undefined;
      this.#pass = this.#runPass().then(
        () => {
          if (!this.#stopped) this.start();
        },
        (error: Error) => this.#parts.onFatal(error),
      );
    });
  }

  #intervalMs(): number {
    const { config, disks, driver } = this.#parts;
    const isPressed = driver.shards().some((shard) => isNearlyFull(disks.of(shard)));
    const { checkIntervalMs } = config;
    return isPressed ? Math.min(checkIntervalMs, PRESSED_INTERVAL_MS) : checkIntervalMs;
  }

  /** Resolves when the pass under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopTimer?.();
    await this.#pass;
  }

  async #runPass(): Promise<void> {
    const { driver, host } = this.#parts;
    for (const shard of driver.shards()) {
      if (this.#stopped) return;
      try {
        if (host.isReady(shard)) await this.#trim(shard);
        await this.#maybeCheckpoint(shard);
      } catch (error) {
        // One that left this node meanwhile could not be looked at to the end.
        if (driver.shards().includes(shard)) throw error;
        this.#kept.delete(shard);
      }
    }
  }

  async #trim(shard: ShardId): Promise<void> {
    if (shard === META_SHARD) {
      await this.#propose(shard, this.#metaTrim());
      return;
    }
    const { host, logger } = this.#parts;
    const source = this.#trimSource(shard);
    const { copies, rowCopies, trim } = await decideTrim(source);
    await this.#propose(shard, trim && encodeCommand({ type: 'trim', ...trim }));
    const onDamage = (error: Error, index: LogIndex): void =>
      logger.warn({ err: error, shard, index }, 'a body keeps the log before it');
    await copyForward(host, shard, copies, onDamage);
    await copyRowsForward(host, shard, rowCopies, onDamage);
    await this.#compact(source, onDamage);
  }

  /** Trims and checkpoints of other shards wait for it: for so long and no longer. */
  async #compact(source: TrimSource, onDamage: CompactionSource['onDamage']): Promise<void> {
    const { host, world } = this.#parts;
    const { shard } = source;
    const endsAtMs = world.clock.nowMs() + COMPACTION_MS_MAX;
    const mayGoOn = (): boolean =>
      !this.#stopped && host.isReady(shard) && world.clock.nowMs() < endsAtMs;
    const compaction = this.#compactions.get(shard) ?? new Compaction();
    this.#compactions.set(shard, compaction);
    await compaction.run({ ...source, host, mayGoOn, onDamage });
  }

  async #propose(shard: ShardId, head: Uint8Array | undefined): Promise<void> {
    const { driver, machine, host } = this.#parts;
    if (head === undefined) return;
    const trimmed = machine.logTrim(shard);
    await new Promise<void>((resolve) => {
      host.propose(shard, head, NO_PAYLOAD, 'majorityFsync', () => resolve());
    });
    const { logger } = this.#parts;
    const through = machine.logTrim(shard);
    if (through !== trimmed)
      logger.debug({ shard, through, of: driver.status(shard).lastIndex }, 'trimmed');
  }

  /** Metadata entries are needed by nothing once they are applied everywhere. */
  #metaTrim(): Uint8Array | undefined {
    const { driver, machine } = this.#parts;
    const { applied } = driver.status(META_SHARD);
    const logTrim = Math.min(applied, this.#matched(META_SHARD));
    const gain = logTrim - machine.logTrim(META_SHARD);
    if (!isGain(gain, this.#heldLog(META_SHARD) >= 2)) return undefined;
    return encodeMetaCommand({ type: 'trim', logTrim });
  }

  /** A replica that is silent for so long gets a snapshot when it comes back. */
  #matched(shard: ShardId): LogIndex {
    const { config, driver } = this.#parts;
    return driver.matchedByAll(shard, config.slowReplicaGraceMs);
  }

  #trimSource(shard: ShardId): TrimSource {
    const { driver, flush, host, logger, machine, meta } = this.#parts;
    return {
      shard,
      data: host.data(shard),
      compactedKeys: host.data(shard).compactedKeys,
      nowMs: this.#retentionNowMs(shard),
      matchedByAll: this.#matched(shard),
      applied: driver.status(shard).applied,
      logTrim: machine.logTrim(shard),
      isHoldingLog: this.#heldLog(shard) >= 2,
      mayGoEarly: this.#mayGoEarly(shard),
      onDamage: (error) => logger.warn({ err: error, shard }, 'nothing is trimmed'),
      topicConfig: (topicId) => meta.topicById(topicId)?.config,
      ...trimRows(flush, shard),
    };
  }

  #mayGoEarly(shard: ShardId): boolean {
    if (!isNearlyFull(this.#parts.disks.of(shard))) return false;
    const nowMs = this.#parts.world.clock.nowMs();
    if (nowMs - (this.#earlyAtMs.get(shard) ?? Number.NEGATIVE_INFINITY) < EARLY_STEP_MS)
      return false;
    this.#earlyAtMs.set(shard, nowMs);
    return true;
  }

  #retentionNowMs(shard: ShardId): number {
    const claimedMs = this.#parts.host.shardTimeMs(shard);
    const nowMs = this.#clock.nowMs(claimedMs);
    if (nowMs < claimedMs && !this.#toldOfJump) {
      this.#toldOfJump = true;
      const aheadMs = claimedMs - nowMs;
      this.#parts.logger.warn(
        { shard, aheadMs },
        'a clock was set far ahead: until this node is started again, messages grow old by its own',
      );
    }
    return nowMs;
  }

  async #maybeCheckpoint(shard: ShardId): Promise<void> {
    const kept = this.#kept.get(shard) ?? { newest: await this.#newest(shard), passesSince: 0 };
    this.#kept.set(shard, kept);
    kept.passesSince++;
    await this.#maybeDropLog(shard);
    if (!this.#isDue(shard, kept)) return;
    const { driver, machine, storage } = this.#parts;
    kept.passesSince = 0;
    machine.resetLogBytes(shard);
    const taken = await takeCheckpoint({
      source: storage.state,
      directory: storage.checkpointDirectory,
      shard,
      membership: ({ index }) => driver.membershipAt(shard, index),
      files: storage.files,
    });
    if (taken === undefined) return;
    kept.newest = taken.index;
    this.#checkpointsTaken += 1;
    // Until the start that Raft holds is durable a crash goes back to the one before: both stay.
    const start = storage.log.durableLogStart(shard);
    if (start !== driver.logStart(shard).index) return;
    await pruneCheckpoints(storage.checkpointDirectory, shard, start, storage.files);
  }

  /** How much of others' log this shard's own holds; from 1 on it is too much. */
  #heldLog(shard: ShardId): number {
    const { config, storage } = this.#parts;
    const tooMuch = Math.max(
      HELD_CHECKPOINTS * config.checkpointBytes,
      storage.log.bytesOnDisk() / HELD_PART,
    );
    return storage.log.bytesHeldBy(shard) / tooMuch;
  }

  #isDue(shard: ShardId, kept: Kept): boolean {
    const { driver, machine, storage, config } = this.#parts;
    const entries = (storage.state.appliedOf(shard)?.index ?? 0) - kept.newest;
    if (entries <= 0) return false;
    const spacing = storage.log.bytesOnDisk() / driver.shards().length / CHECKPOINTS_WANTED;
    if (machine.logBytes(shard) >= Math.max(config.checkpointBytes, spacing)) return true;
    const trim = machine.logTrim(shard);
    const start = driver.logStart(shard).index;
    // One at a time: the next trim that passes it lets the log go.
    if (trim > start && kept.newest <= trim && this.#heldLog(shard) >= 1) return true;
    const held = driver.status(shard).applied - start;
    return kept.passesSince >= IDLE_PASSES && held >= TRIM_ENTRIES_MIN;
  }

  async #newest(shard: ShardId): Promise<LogIndex> {
    const own = await this.#checkpoints(shard);
    return own.at(-1)?.index ?? 0;
  }

  async #checkpoints(shard: ShardId): Promise<CheckpointFile[]> {
    const { checkpointDirectory, files } = this.#parts.storage;
    const all = await listCheckpoints(checkpointDirectory, files);
    return all.filter((one) => one.shard === shard);
  }

  /** The log up to the newest checkpoint at or below the trim point is not needed any more. */
  async #maybeDropLog(shard: ShardId): Promise<void> {
    const { driver, machine, logger, storage } = this.#parts;
    const start = driver.logStart(shard).index;
    const trim = this.#mayDropTo(shard, machine.logTrim(shard));
    if (trim <= start) return;
    const usable = (await this.#checkpoints(shard)).filter(
      ({ index }) => index > start && index <= trim,
    );
    if (usable.length === 0) return;
    // Read back before anything rests on it: a damaged one must not become the only one.
    const { checkpoint, damaged } = await firstIntact(usable.reverse(), storage.files);
    for (const line of damaged) logger.warn(`checkpoint not used: ${line}`);
    if (checkpoint === undefined) return;
    const { index, term } = checkpoint.applied;
    // Somebody may have begun to need it while the file was read.
    if (index > this.#mayDropTo(shard, index) || driver.logStart(shard).index !== start) return;
    // Or the replica has made room for a new one, which has applied nothing of the kind; or it is a
    // checkpoint that another node sent, and what was applied of it is not on this disk yet.
    const { applied, durable } = driver.status(shard);
    if (index > Math.min(applied, durable)) return;
    driver.setLogStart(shard, { index, term });
    logger.debug({ shard, start: index }, 'log start moved');
  }

  /**
   * A replica that is being sent the snapshot at the log's start needs the log after it. The leader
   * also keeps what a replica that it hears of has not got: the agreed trim may be older than it.
   */
  #mayDropTo(shard: ShardId, trim: LogIndex): LogIndex {
    const { host, snapshots } = this.#parts;
    if (snapshots.isSending(shard)) return 0;
    return host.isReady(shard) ? Math.min(trim, this.#matched(shard)) : trim;
  }
}

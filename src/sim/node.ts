/** One simulated machine: the real driver, core and commit log over a simulated world. */
import { RaftDriver } from '../../raft/driver.ts';
import type { PeerMessage } from '../../raft/messages.ts';
import type { DriverEvents, LogRecord, LogStore, Transport } from '../../raft/ports.ts';
import type { LogIndex, NodeId, RecoveredShard, ShardId } from '../../raft/types.ts';
import { createDataShard } from '../broker/data-shard.ts';
import type { MetaCommand } from '../cluster/api.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { suspectsAmong } from '../cluster/report-suspects.ts';
import { LocalShards } from '../shards/local-shards.ts';
import { CheckpointSnapshots } from '../shards/snapshot-store.ts';
import { AwaitedFiles } from './awaited-files.ts';
import { SimClock } from './clock.ts';
import { LOG_DIRECTORY, SimDisk } from './disk.ts';
import { SimFailure } from './failure.ts';
import type { FileFaultKind } from './files.ts';
import { type FlippedPart, flipFile, flipRecord } from './flips.ts';
import { Housekeeping } from './housekeeping.ts';
import { CHECKPOINT_DIRECTORY, keepLog } from './keeper.ts';
import type { LevelFaultKind } from './level.ts';
import { SIM_LIMITS } from './limits.ts';
import { type MachineWatcher, SimMachine } from './machine.ts';
import type { MetaDone } from './metadata.ts';
import type { Swarm } from './options.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** How the simulated disk and LevelDB say that they refused. */
const DISK_ERROR = /EIO|ENOSPC|IO error|took nothing/;

/** cache: what the log can do without. */
export type FlipPart = FlippedPart | 'checkpoint' | 'row' | 'cache';

export interface NodeWorld {
  readonly scheduler: Scheduler;
  readonly swarm: Swarm;
  /** What the metadata begins with. */
  readonly birth: Birth;
  /** A command for the metadata; undefined = the cluster has none. */
  readonly callMeta?: (from: SimNode, command: MetaCommand, done: MetaDone) => void;
  /** For whoever reads the trace. */
  note(text: () => string): void;
  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void;
  readonly events: (node: NodeId) => DriverEvents;
  readonly watcher: (node: NodeId) => MachineWatcher;
  /** Storage is open, the driver runs. */
  onStarted(node: SimNode): void;
  /** The process ended by itself: a disk that failed, as `reason` says. */
  onDied(node: SimNode, reason: string): void;
  /** Its storage is damaged beyond what it can start with. */
  onRefused(node: SimNode, reason: string): void;
  /** The file operation named by `crashAtOperation` has begun. */
  onCrashPoint(node: SimNode): void;
  onFault(kind: FileFaultKind | LevelFaultKind | 'stateRebuilt'): void;
  /** Before records are handed to the node's disk. */
  onWrite(node: SimNode, records: readonly LogRecord[]): void;
}

export function firstIncarnation(node: NodeId): string {
  return `${node}.1`;
}

export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly machine: SimMachine;
  /** Of this machine's data directory: a new one for each directory. */
  incarnation: string;
  shards: LocalShards | undefined = undefined;
  #snapshots: CheckpointSnapshots | undefined = undefined;
  readonly clock: SimClock;
  readonly #world: NodeWorld;
  readonly #random: Random;
  driver: RaftDriver | undefined = undefined;
  #life = 0;
  #isRunning = false;
  #isPaused = false;
  #resumed: (() => void)[] = [];
  #isGone = false;
  #house: Housekeeping | undefined = undefined;
  /** A checkpoint is being made. */
  #isKeeping = false;

  constructor(id: NodeId, world: NodeWorld, random: Random) {
    this.id = id;
    this.incarnation = firstIncarnation(id);
    this.#world = world;
    this.#random = random;
    const { scheduler, swarm } = world;
    this.disk = new SimDisk({
      scheduler,
      random: random.fork(),
      timing: { writeMaxMs: swarm.writeMaxMs, syncMaxMs: swarm.syncMaxMs },
      limits: swarm.log,
      deliver: (run) => this.#deliver(run),
      timer: (delayMs, run) => this.#timer(delayMs, run),
      onCrashPoint: () => world.onCrashPoint(this),
      onFault: (kind) => world.onFault(kind),
      onFatal: (error) => this.#died(error),
    });
    this.machine = new SimMachine({
      scheduler,
      random: random.fork(),
      writeMaxMs: swarm.writeMaxMs,
      watcher: world.watcher(id),
      birth: world.birth,
      onApplied: (shard) => this.#house?.applied(shard),
      files: this.disk.files,
      maxPendingBytes: swarm.maxPendingStateBytes,
      maxRowsPerQueue: swarm.maxRowsPerQueue,
      deliver: (run) => this.alive(run)(),
      writeFails: () => this.disk.files.failsWrite(),
      durableIndex: (shard) => this.driver?.durableIndex(shard) ?? 0,
      durableLogStart: (shard) => this.disk.log.durableLogStart(shard),
      onRoom: () => this.driver?.applyMore(),
      onFatal: (error) => this.#died(error),
      onFault: (kind) => world.onFault(kind),
      onRebuilt: () => world.onFault('stateRebuilt'),
    });
    this.clock = new SimClock(scheduler, random.fork(), random.pick(swarm.clockRates));
  }

  /** Storage is open and the driver runs. */
  get isUp(): boolean {
    return this.driver !== undefined;
  }
  /** The process is there, if only to open its storage. */
  get isRunning(): boolean {
    return this.#isRunning;
  }
  /** Lost for ever, with its disk. */
  get isGone(): boolean {
    return this.#isGone;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }

  leads(shard: ShardId): boolean {
    return this.driver?.leaderOf(shard) === this.id;
  }

  start(): void {
    this.#life++;
    this.#isRunning = true;
    const life = this.#life;
    this.#world.scheduler.promised();
    this.#open()
      .then(
        (recovered) => {
          if (life === this.#life) this.#run(recovered);
        },
        (error: Error) => {
          if (life === this.#life) this.#notOpened(error);
        },
      )
      .catch((error: Error) => this.#world.scheduler.fail(error));
  }

  async #open(): Promise<readonly RecoveredShard[]> {
    const recovered = await this.disk.open();
    await this.machine.open(`sim/${this.id}/${this.incarnation}`, recovered);
    return recovered;
  }

  #run(recovered: readonly RecoveredShard[]): void {
    const { swarm } = this.#world;
    const random = this.#random.fork();
    const snapshots = this.#makeSnapshots();
    const driver = new RaftDriver({
      node: this.id,
      config: swarm.raft,
      store: this.#store(),
      transport: this.#transport(),
      clock: this.clock.port((run) => this.alive(run)),
      rng: () => random.next(),
      stateMachine: this.machine,
      snapshots,
      events: this.#events(),
      onFatal: (error) => this.#died(error),
    });
    this.#snapshots = snapshots;
    this.shards = this.#makeShards(driver, snapshots);
    this.shards.open(recovered, this.machine.life.loaded);
    this.driver = driver;
    this.#house = this.#makeHousekeeping(driver, this.shards, recovered);
    driver.start();
    this.#world.onStarted(this);
  }

  #makeHousekeeping(
    driver: RaftDriver,
    shards: LocalShards,
    recovered: readonly RecoveredShard[],
  ): Housekeeping | undefined {
    const { callMeta, note } = this.#world;
    if (callMeta === undefined) return undefined;
    return new Housekeeping({
      node: this.id,
      incarnation: this.incarnation,
      driver,
      meta: this.machine.life.meta,
      shards,
      suspects: suspectsAmong(recovered),
      nowMs: () => this.clock.nowMs,
      startTimer: (delayMs, fire) => this.#timer(delayMs, fire),
      propose: (command, done) => callMeta(this, command, done),
      log: (text) => note(() => `n${this.id} ${text}`),
    });
  }

  peerChanged(node: NodeId, isUp: boolean): void {
    if (isUp) this.driver?.peerUp(node);
    else this.driver?.peerReset(node);
    this.#house?.peerChanged(node, isUp);
  }

  #events(): DriverEvents {
    const { onLeader, onDeposed } = this.#world.events(this.id);
    return {
      onLeader: (shard, leader, term) => {
        onLeader?.(shard, leader, term);
        this.#house?.leadershipChanged(shard);
      },
      onReady: (shard) => this.#house?.leadershipChanged(shard),
      onDeposed: (shard) => {
        onDeposed?.(shard);
        this.#house?.leadershipChanged(shard);
      },
      onDurable: (shard, index) => this.machine.durable(shard, index),
      onInvite: (_from, invite) => this.shards?.invited(invite),
    };
  }

  #makeSnapshots(): CheckpointSnapshots {
    return new CheckpointSnapshots({
      directory: CHECKPOINT_DIRECTORY,
      files: this.#awaitedFiles(),
      machine: this.machine,
      logger: { warn: () => {} },
      onFatal: (error) => this.#died(error),
    });
  }

  #makeShards(driver: RaftDriver, snapshots: CheckpointSnapshots): LocalShards {
    return new LocalShards({
      incarnation: this.incarnation,
      driver,
      log: this.#store(),
      machine: this.machine,
      flush: this.machine.life.flush,
      snapshots,
      meta: this.machine.life.meta,
      newData: (shard) => createDataShard(shard, SIM_LIMITS),
      logger: { info: () => {} },
      tombstones: this.disk.log.tombstones,
      onLeft: (shard) => this.#house?.leadershipChanged(shard),
      onFatal: (error) => this.#died(error),
    });
  }

  #awaitedFiles(): AwaitedFiles {
    const life = this.#life;
    return new AwaitedFiles(this.disk.files, this.#world.scheduler, () => life === this.#life);
  }

  /** Only what the simulated disk was told to do may end a process. */
  #died(error: Error): void {
    const isOfTheDisk = this.disk.files.hasFailed && DISK_ERROR.test(error.message);
    if (error instanceof SimFailure || !(isOfTheDisk || this.#isDamage(error))) {
      this.#world.scheduler.fail(error);
      return;
    }
    const life = this.#life;
    this.#world.scheduler.after(0, () => {
      if (life === this.#life) this.#world.onDied(this, error.message);
    });
  }

  /** A start that is refused for damage: the operator has to replace the directory. */
  #notOpened(error: Error): void {
    if (this.#isDamage(error)) this.#world.onRefused(this, error.message);
    else this.#died(error);
  }

  #isDamage(error: Error): boolean {
    return this.disk.flips.isAny && 'code' in error && error.code === 'DATA_LOSS';
  }

  #store(): LogStore {
    const { disk } = this;
    return {
      write: (records, callbacks) => {
        this.#world.onWrite(this, records);
        disk.write(records, callbacks);
      },
      read: (...request) => disk.read(...request),
    };
  }

  #transport(): Transport {
    return { send: (to, _lane, messages) => this.#world.send(this.id, to, messages) };
  }

  #timer(delayMs: number, run: () => void): () => void {
    let isCancelled = false;
    this.#world.scheduler.after(
      this.clock.worldMs(delayMs),
      this.alive(() => {
        if (!isCancelled) run();
      }),
    );
    return () => {
      isCancelled = true;
    };
  }

  /** A file operation of this life has ended; until the storage is open, promises wait for it. */
  #deliver(run: () => void): void {
    this.alive(() => {
      if (this.driver === undefined) this.#world.scheduler.promised();
      run();
    })();
  }

  /** Runs only in this life of the process, and not while it is stopped. */
  alive(run: () => void): () => void {
    const life = this.#life;
    const guarded = (): void => {
      if (life !== this.#life) return;
      if (this.#isPaused) this.#resumed.push(guarded);
      else run();
    };
    return guarded;
  }

  receive(from: NodeId, messages: readonly PeerMessage[]): void {
    if (this.driver === undefined) return;
    const run = this.alive(() => this.driver?.receive(from, messages));
    run();
  }

  /** A client's request: it waits while the process is stopped, as in a socket. */
  request(run: (driver: RaftDriver) => void): void {
    this.alive(() => {
      if (this.driver !== undefined) run(this.driver);
    })();
  }

  /** SIGSTOP: everything waits; SIGCONT: everything that waited happens at once. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const waiting = this.#resumed;
    this.#resumed = [];
    for (const run of waiting) run();
  }

  crash(power: boolean): void {
    this.#life++;
    this.#isRunning = false;
    this.#isPaused = false;
    this.#resumed = [];
    this.driver = undefined;
    this.shards = undefined;
    this.#house = undefined;
    this.#snapshots = undefined;
    this.#isKeeping = false;
    this.disk.crash(power);
    this.machine.crash(power);
  }

  lose(): void {
    this.crash(true);
    this.#isGone = true;
  }

  /** A bit turns over at rest. False: there was nothing where it may. */
  flipBit(part: FlipPart, random: Random): boolean {
    const { files, flips } = this.disk;
    if (part === 'body' || part === 'header') {
      const hit = flipRecord(files, LOG_DIRECTORY, part, random);
      if (hit !== undefined) flips.hit(hit, part);
      return hit !== undefined;
    }
    const isHit =
      part === 'row'
        ? this.machine.flipRow(random)
        : part === 'checkpoint'
          ? flipFile(files, CHECKPOINT_DIRECTORY, () => true, random)
          : flipFile(files, LOG_DIRECTORY, (name) => !name.endsWith('.log'), random);
    if (isHit) flips.hitOther();
    return isHit;
  }

  /** The directory is gone; what starts here next is nobody that anybody knows. */
  wipe(): void {
    const [, generation] = this.incarnation.split('.');
    this.incarnation = `${this.id}.${Number(generation) + 1}`;
    this.disk.wipe();
    this.machine.wipe();
  }

  /** A checkpoint of the shard; the log then starts at the newest one that `through` allows. */
  keepLog(shard: ShardId, through: () => LogIndex): void {
    const { driver, disk, machine } = this;
    const snapshots = this.#snapshots;
    if (driver?.holds(shard) !== true || snapshots === undefined || this.#isPaused) return;
    // One at a time, as the keeper of a real node goes about it.
    if (this.#isKeeping) return;
    this.#isKeeping = true;
    const life = this.#life;
    const isAlive = (): boolean => life === this.#life;
    this.#world.scheduler.promised();
    keepLog(
      {
        files: this.#awaitedFiles(),
        state: machine.life.state,
        driver,
        isAlive,
        isSending: (about) => snapshots.isSending(about),
        durableLogStart: (about) => disk.log.durableLogStart(about),
        through,
      },
      shard,
    ).then(
      () => {
        if (isAlive()) this.#isKeeping = false;
      },
      (error: Error) => {
        if (isAlive()) this.#died(error);
      },
    );
  }
}

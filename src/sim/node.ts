/** One simulated machine: the real driver, core and commit log over a simulated world. */
import { RaftDriver } from '../../raft/driver.ts';
import type { PeerMessage } from '../../raft/messages.ts';
import type { DriverEvents, LogRecord, LogStore, Transport } from '../../raft/ports.ts';
import type { NodeId, RecoveredShard, ShardId } from '../../raft/types.ts';
import { type Checkpoint, SimCheckpoints } from './checkpoints.ts';
import { SimClock } from './clock.ts';
import { SimDisk } from './disk.ts';
import { SimFailure } from './failure.ts';
import type { FileFaultKind } from './files.ts';
import type { LevelFaultKind } from './level.ts';
import { type MachineWatcher, SimMachine } from './machine.ts';
import type { Swarm } from './options.ts';
import type { Random } from './random.ts';
import type { Opening, Scheduler } from './scheduler.ts';

export interface NodeWorld {
  readonly scheduler: Scheduler;
  readonly swarm: Swarm;
  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void;
  readonly events: (node: NodeId) => DriverEvents;
  readonly watcher: (node: NodeId) => MachineWatcher;
  /** Storage is open, the driver runs. */
  onStarted(node: SimNode): void;
  /** The process ended by itself: a disk that failed, as `reason` says. */
  onDied(node: SimNode, reason: string): void;
  /** The file operation named by `crashAtOperation` has begun. */
  onCrashPoint(node: SimNode): void;
  onFault(kind: FileFaultKind | LevelFaultKind | 'stateRebuilt'): void;
  /** Before records are handed to the node's disk. */
  onWrite(node: SimNode, records: readonly LogRecord[]): void;
}

export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly machine: SimMachine;
  readonly checkpoints = new SimCheckpoints();
  readonly clock: SimClock;
  readonly #world: NodeWorld;
  readonly #random: Random;
  driver: RaftDriver | undefined = undefined;
  #life = 0;
  #isRunning = false;
  #isPaused = false;
  #resumed: (() => void)[] = [];
  #isGone = false;
  #opening: Opening | undefined = undefined;

  constructor(id: NodeId, world: NodeWorld, random: Random) {
    this.id = id;
    this.#world = world;
    this.#random = random;
    const { scheduler, swarm } = world;
    this.disk = new SimDisk({
      scheduler,
      random: random.fork(),
      timing: { writeMaxMs: swarm.writeMaxMs, syncMaxMs: swarm.syncMaxMs },
      limits: swarm.log,
      deliver: (run) => this.alive(run)(),
      awaited: () => this.#awaited(),
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
      checkpoints: this.checkpoints,
      maxPendingBytes: swarm.maxPendingStateBytes,
      deliver: (run) => this.alive(run)(),
      awaited: () => this.#awaited(),
      writeFails: () => this.disk.files.failsWrite(),
      durableIndex: (shard) => this.driver?.durableIndex(shard) ?? 0,
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
    return this.driver?.status(shard).role === 'leader';
  }

  start(): void {
    this.#life++;
    this.#isRunning = true;
    const life = this.#life;
    const opening = this.#world.scheduler.opening();
    this.#opening = opening;
    this.#open()
      .then(
        (recovered) => {
          if (life === this.#life) this.#run(recovered);
        },
        (error: Error) => {
          if (life === this.#life) this.#died(error);
        },
      )
      .catch((error: Error) => this.#world.scheduler.fail(error))
      .finally(() => {
        opening.isOver = true;
      });
  }

  async #open(): Promise<readonly RecoveredShard[]> {
    const recovered = await this.disk.open();
    await this.machine.open(`sim/${this.id}`, recovered);
    return recovered;
  }

  #awaited(): () => void {
    return this.#opening?.isOver === false ? this.#opening.awaits() : () => {};
  }

  #run(recovered: readonly RecoveredShard[]): void {
    const { swarm, events } = this.#world;
    const random = this.#random.fork();
    const driver = new RaftDriver({
      node: this.id,
      config: swarm.raft,
      store: this.#store(),
      transport: this.#transport(),
      clock: this.clock.port((run) => this.alive(run)),
      rng: () => random.next(),
      stateMachine: this.machine,
      events: {
        ...events(this.id),
        onDurable: (shard, index) => this.machine.durable(shard, index),
      },
      onFatal: (error) => this.#died(error),
    });
    for (const shard of recovered) {
      const applied = this.machine.appliedMark(shard.shard);
      driver.addShard(shard, applied?.index ?? 0, applied?.timeMs ?? 0);
    }
    this.driver = driver;
    driver.start();
    this.#world.onStarted(this);
  }

  /** Only what the simulated disk was told to do may end a process. */
  #died(error: Error): void {
    if (error instanceof SimFailure || !this.disk.files.hasFailed) {
      this.#world.scheduler.fail(error);
      return;
    }
    const life = this.#life;
    this.#world.scheduler.after(0, () => {
      if (life === this.#life) this.#world.onDied(this, error.message);
    });
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
    if (this.#opening !== undefined) this.#opening.isOver = true;
    this.disk.crash(power);
    this.machine.crash(power);
  }

  lose(): void {
    this.crash(true);
    this.#isGone = true;
  }

  /** Writes a checkpoint of what LevelDB holds, which is durable after a while. */
  takeCheckpoint(shard: ShardId, done: () => void): void {
    const { driver, machine } = this;
    if (driver === undefined || this.#isPaused || !driver.shards().includes(shard)) return;
    const { scheduler, swarm } = this.#world;
    const life = this.#life;
    const membership = driver.membership(shard);
    const keep = (image: Pick<Checkpoint, 'applied' | 'rows'>): void => {
      this.checkpoints.add({ ...image, membership });
      done();
    };
    scheduler.promised();
    machine.image(shard).then(
      (image) => {
        if (life !== this.#life || image === undefined) return;
        const delayMs = this.#random.next() * (swarm.writeMaxMs + swarm.syncMaxMs);
        scheduler.after(
          delayMs,
          this.alive(() => keep(image)),
        );
      },
      (error: Error) => {
        if (life === this.#life) this.#died(error);
      },
    );
  }
}

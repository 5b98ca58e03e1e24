/** One simulated machine: the real driver and core over a simulated disk, network and clock. */
import { RaftDriver } from '../../raft/driver.ts';
import type { PeerMessage } from '../../raft/messages.ts';
import type { Clock, DriverEvents, Transport } from '../../raft/ports.ts';
import type { LogIndex, NodeId, ShardId } from '../../raft/types.ts';
import { SimDisk } from './disk.ts';
import { SimFailure } from './failure.ts';
import { type MachineWatcher, SimMachine } from './machine.ts';
import type { Swarm } from './options.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

export interface NodeWorld {
  readonly scheduler: Scheduler;
  readonly swarm: Swarm;
  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void;
  /** Shard time of a committed entry. */
  timeOf(shard: ShardId, index: LogIndex): number;
  readonly events: (node: NodeId) => DriverEvents;
  readonly watcher: (node: NodeId) => MachineWatcher;
}

/** The wall clocks of the machines start here, each with its own error. */
const WALL_EPOCH_MS = 1_700_000_000_000;

export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly machine: SimMachine;
  readonly #world: NodeWorld;
  readonly #random: Random;
  driver: RaftDriver | undefined = undefined;
  #life = 0;
  #isPaused = false;
  #resumed: (() => void)[] = [];
  wallOffsetMs: number;

  constructor(id: NodeId, world: NodeWorld, random: Random) {
    this.id = id;
    this.#world = world;
    this.#random = random;
    this.disk = new SimDisk(world.scheduler, random.fork(), world.swarm);
    this.machine = new SimMachine(world.watcher(id));
    this.wallOffsetMs = random.between(-5000, 5000);
  }

  get isUp(): boolean {
    return this.driver !== undefined;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }

  start(): void {
    this.#life++;
    const { swarm, events } = this.#world;
    const random = this.#random.fork();
    const driver = new RaftDriver({
      node: this.id,
      config: swarm.raft,
      store: this.disk,
      transport: this.#transport(),
      clock: this.#clock(),
      rng: () => random.next(),
      stateMachine: this.machine,
      events: events(this.id),
      onFatal: (error) => {
        throw new SimFailure('fatal', error.message);
      },
    });
    for (const [shard, image] of this.disk.synced) {
      const applied = this.machine.appliedIndex(shard);
      driver.addShard(image.recovered(shard), applied, this.#world.timeOf(shard, applied));
    }
    this.driver = driver;
    driver.start();
  }

  #transport(): Transport {
    return { send: (to, _lane, messages) => this.#world.send(this.id, to, messages) };
  }

  #clock(): Clock {
    const { scheduler } = this.#world;
    let wakeId = 0;
    return {
      nowMs: () => scheduler.nowMs,
      wallMs: () => WALL_EPOCH_MS + Math.floor(scheduler.nowMs) + this.wallOffsetMs,
      wakeAt: (atMs, wake) => {
        const id = ++wakeId;
        scheduler.at(
          atMs,
          this.alive(() => {
            if (id === wakeId) wake();
          }),
        );
      },
      cancelWake: () => {
        wakeId++;
      },
      defer: (run) => scheduler.after(this.#random.next() * 0.2, this.alive(run)),
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
    this.#isPaused = false;
    this.#resumed = [];
    this.driver = undefined;
    this.disk.crash(power);
    this.machine.crash();
  }

  /** The derived state of a shard reaches the disk. */
  persist(shard: ShardId): void {
    this.machine.persist(shard, this.disk.synced.get(shard)!.lastIndex);
  }
}

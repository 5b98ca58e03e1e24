/**
 * One node of a test cluster: put together as node.ts does it, over a simulated disk, simulated
 * connections and virtual time. Only its gRPC server is on a real port.
 */
import type { Logger } from 'pino';
import type { LogIndex, NodeId, ShardId } from '../../raft/types.ts';
import { formatAddress } from '../address.ts';
import type { World } from '../clock.ts';
import type { Identity } from '../cluster/identity.ts';
import { suspectsAmong } from '../cluster/report-suspects.ts';
import { DEFAULTS, type NodeConfig } from '../config.ts';
import { runClusterTasks } from '../node.ts';
import type { NodeStorage } from '../node-storage.ts';
import { serviceConfig } from '../service/config.ts';
import type { ServiceMeters } from '../service/meters.ts';
import { createService, type Service } from '../service/service.ts';
import type { ShardHost } from '../shards/api.ts';
import { createShards, type NodeShards } from '../shards/create-shards.ts';
import { DueSweeper } from '../shards/due-sweeper.ts';
import { LogKeeper } from '../shards/log-keeper.ts';
import { RetentionReports } from '../shards/retention-reports.ts';
import { SimClock, WALL_EPOCH_MS } from '../sim/clock.ts';
import type { Random } from '../sim/random.ts';
import type { Scheduler } from '../sim/scheduler.ts';
import { TestDisk } from './test-disk.ts';
import { TestDoor } from './test-door.ts';
import type { Ears, TestNetwork, TestPeers } from './test-network.ts';

/** What a test cluster may be told beside its size: as in the configuration of a node. */
export type NodeSettings = Pick<NodeConfig, 'limits' | 'raft' | 'retention' | 'transactions'>;

export interface NodeWorld {
  readonly scheduler: Scheduler;
  readonly network: TestNetwork;
  readonly settings: NodeSettings;
  /** When virtual time was 0. */
  readonly originMs: number;
  readonly logger: Logger;
  readonly meters: ServiceMeters;
  onApplied(): void;
  onFatal(error: Error): void;
}

/** One life of the process. */
interface Life {
  readonly shards: NodeShards;
  readonly service: Service;
  stop(): void;
}

export class TestNode {
  readonly id: NodeId;
  readonly #identity: Identity;
  readonly #world: NodeWorld;
  readonly #random: Random;
  readonly #clock: SimClock;
  readonly #disk: TestDisk;
  readonly #door = new TestDoor();
  #lives = 0;
  #life: Life | undefined;
  #starting: Promise<void> | undefined;

  constructor(identity: Identity, world: NodeWorld, random: Random) {
    const { originMs, scheduler } = world;
    this.id = identity.node;
    this.#identity = identity;
    this.#world = world;
    this.#random = random;
    this.#clock = new SimClock(scheduler, random.fork(), 1, 0);
    this.#clock.wallOffsetMs = originMs - WALL_EPOCH_MS;
    this.#disk = new TestDisk(scheduler, random.fork(), identity);
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  get address(): string {
    return formatAddress(this.#door);
  }

  /** Of the life under way. */
  get host(): ShardHost | undefined {
    return this.#life?.shards.host;
  }

  /** Calls of clients are under way here. */
  get hasClients(): boolean {
    const stats = this.#life?.service.stats();
    return stats !== undefined && stats.calls + stats.streams > 0;
  }

  /** How far this node has applied the shard; undefined = it has no replica of it. */
  applied(shard: ShardId): LogIndex | undefined {
    const driver = this.#life?.shards.driver;
    return driver?.holds(shard) === true ? driver.status(shard).applied : undefined;
  }

  /** Idempotent while it starts. */
  start(): Promise<void> {
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #start(): Promise<void> {
    this.#lives++;
    const life = this.#lives;
    const isAlive = (): boolean => life === this.#lives;
    const world = this.#worldOf(isAlive);
    const onFatal = (error: Error): void => {
      if (isAlive()) this.#world.onFatal(error);
    };
    this.#world.scheduler.promised();
    const storage = await this.#disk.open({ startTimer: world.startTimer, isAlive, onFatal });
    this.#life = await this.#run(storage, world, onFatal);
  }

  async #run(storage: NodeStorage, world: World, onFatal: (error: Error) => void): Promise<Life> {
    const { logger, meters, network, settings } = this.#world;
    const identity = this.#identity;
    const config = { ...settings, log: DEFAULTS.log };
    const shards = createShards(config, identity, storage, logger, onFatal, world);
    const { host, driver } = shards;
    const peers: TestPeers = this.#listen(shards, (call) => service.onPeerCall(call));
    shards.connect(peers);
    const { limits, transactions } = settings;
    const service = createService({
      ...{ host, peers, logger, meters, birth: identity, backups: shards.backups },
      retention: new RetentionReports({ ...shards, storage, config: settings.retention }),
      // A poll that one node answered does not wait for the others: their time stands still.
      config: serviceConfig({ ...limits, ...transactions, checksMergeMs: 0 }),
    });
    await service.start(this.#door);
    const advertise = { grpc: this.#door, peer: this.#door };
    const suspects = suspectsAmong(storage.recovered);
    const parts = { config: { advertise }, identity, shards, service, peers, suspects, logger };
    const tasks = runClusterTasks(parts);
    const keeping = { config: settings.retention, logger, onFatal };
    const keeper = new LogKeeper({ ...shards, storage, ...keeping });
    driver.start();
    network.connect(peers);
    keeper.start();
    const sweeper = new DueSweeper(host);
    return {
      ...{ shards, service },
      stop() {
        tasks.stop();
        sweeper.stop();
        // A pass under way never comes to an end: its files are gone.
        void keeper.stop();
        driver.stop();
      },
    };
  }

  #listen({ driver, host }: NodeShards, onCall: Ears['onCall']): TestPeers {
    const { network, onApplied, scheduler } = this.#world;
    const others = this.#identity.members
      .map(({ node }) => node)
      .filter((node) => node !== this.id);
    // Whoever waits for what was applied, or for a leader, goes on before the next event.
    host.onApplied(() => {
      scheduler.promised();
      onApplied();
    });
    host.onLeadership(() => scheduler.promised());
    return network.peersOf(this.id, others, {
      onMessages: (from, messages) => driver.receive(from, messages),
      onCall,
      onPeerUp: (node) => driver.peerUp(node),
      onPeerReset: (node) => driver.peerReset(node),
    });
  }

  /** The process ends at this moment; with `power`, the machine does. */
  async crash(power: boolean): Promise<void> {
    if (this.#starting !== undefined) await this.#starting.catch(() => undefined);
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.#lives++;
    // First of all: nobody is told anything any more.
    this.#door.shut();
    const stopped = life.service.stop(0);
    life.stop();
    this.#world.network.disconnect(this.id);
    this.#disk.crash(power);
    await stopped;
  }

  /** Never to be started again. */
  async remove(): Promise<void> {
    await this.crash(false);
    await this.#door.remove();
  }

  #worldOf(isAlive: () => boolean): World {
    const { scheduler } = this.#world;
    const random = this.#random.fork();
    const alive = (run: () => void) => () => {
      if (isAlive()) run();
    };
    const startTimer = (delayMs: number, fire: () => void): (() => void) => {
      let isCancelled = false;
      const run = alive(() => {
        if (isCancelled) return;
        scheduler.promised();
        fire();
      });
      // When the clock shows the very millisecond: who sleeps until then finds it due.
      scheduler.at(Math.floor(scheduler.nowMs) + delayMs, run);
      return () => {
        isCancelled = true;
      };
    };
    return { clock: this.#clock.port(alive), random: () => random.next(), startTimer };
  }
}

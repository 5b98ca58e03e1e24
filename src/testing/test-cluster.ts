/**
 * A cluster within the process of a test: nodes of production over simulated disks, connections and
 * clocks, behind real gRPC servers on loopback. Time stands still until the test advances it.
 */
import pino from 'pino';
import type { NodeId, ShardId } from '../../raft/types.ts';
import { connect, type Holdfast } from '../client/holdfast.ts';
import { mintIdentities } from '../cluster/birth.ts';
import { DEFAULTS } from '../config.ts';
import { NO_METERS, type ServiceMeters } from '../service/meters.ts';
import { Random } from '../sim/random.ts';
import { type Duration, durationMs } from './duration.ts';
import { TestNetwork } from './test-network.ts';
import { type NodeSettings, TestNode } from './test-node.ts';
import { VirtualTime } from './virtual-time.ts';

export interface TestClusterOptions {
  /** How many, numbered from 1. Default 3. */
  readonly nodes?: number;
  /** Raft groups that hold queues. Default 2: fewer start faster. */
  readonly dataShards?: number;
  /** Virtual time begins here. Default: 2026-01-01T00:00:00Z. */
  readonly startAt?: Date | number;
  /** Of everything that is drawn: elections, what a power cut leaves. Default 1. */
  readonly seed?: number;
  /** Parts of a node's configuration, field by field. */
  readonly settings?: { readonly [Part in keyof NodeSettings]?: Partial<NodeSettings[Part]> };
  /**
   * Real milliseconds: while time is advanced, a client that was told something has so long to
   * answer before time goes on. Default 20.
   */
  readonly patienceMs?: number;
}

const START_AT_MS = Date.UTC(2026, 0, 1);
/** Signs of life are most of what an idle cluster does, and nobody is in a hurry here. */
const RAFT = { heartbeatIntervalMs: 2000, electionTimeoutMs: 6000, quietRefreshMs: 600_000 };
/** Then every node knows the others' clocks, and shards have a time. */
const BIRTH_HEARTBEATS = 2;
/** A day of idling is 1,440 passes of each node. */
const RETENTION = { checkIntervalMs: 60_000 };
/** Elections that go wrong again and again included. */
const SETTLES_WITHIN_MS = 120_000;

export class TestCluster implements AsyncDisposable {
  readonly #time: VirtualTime;
  /** When virtual time was 0. */
  readonly #originMs: number;
  readonly #birthMs: number;
  readonly #network: TestNetwork;
  readonly #nodes: readonly TestNode[];
  readonly #shards: readonly ShardId[];
  readonly #clients = new Set<Holdfast>();
  /** How far each shard's nodes were when their leader last spoke for it. */
  readonly #spreadAt = new Map<ShardId, string>();
  #stopped: Promise<void> | undefined;

  /** Resolves when it is ready for calls. */
  static async start(options: TestClusterOptions): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    try {
      await cluster.#begin();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  private constructor(options: TestClusterOptions) {
    const { nodes = 3, dataShards = 2, seed = 1, startAt = START_AT_MS } = options;
    this.#time = new VirtualTime(options.patienceMs ?? 20);
    const settings = settingsWith(options.settings);
    this.#birthMs = BIRTH_HEARTBEATS * settings.raft.heartbeatIntervalMs;
    this.#originMs = Number(startAt) - this.#birthMs;
    this.#shards = Array.from({ length: dataShards + 1 }, (_, shard) => shard);
    const { scheduler } = this.#time;
    const random = new Random(seed);
    this.#network = new TestNetwork(scheduler, random.fork());
    const world = {
      ...{ scheduler, network: this.#network, originMs: this.#originMs, settings },
      logger: pino({ level: 'silent' }),
      meters: heardBy(this.#time),
      onApplied: () => this.#applied(),
      onFatal: (error: Error) => scheduler.fail(error),
    };
    this.#time.onRest = () => this.#spread();
    const numbers = Array.from({ length: nodes }, (_, at) => at + 1);
    const birth = { dataShards, replicationFactor: Math.min(3, nodes) };
    this.#nodes = mintIdentities(numbers, birth, this.#originMs).map(
      (identity) => new TestNode(identity, world, random.fork()),
    );
  }

  /** Of all nodes, whether they are up or not: for clients in any language. */
  get servers(): readonly string[] {
    return this.#nodes.map(({ address }) => address);
  }

  /** Virtual Unix milliseconds: what nodes take for the time. */
  now(): number {
    return this.#originMs + Math.floor(this.#time.nowMs);
  }

  /** A client of all nodes, or of some; closed with the cluster. */
  connect({ nodes }: { readonly nodes?: readonly NodeId[] } = {}): Holdfast {
    const servers = nodes?.map((id) => this.#node(id).address) ?? this.servers;
    const client = connect({ servers });
    this.#clients.add(client);
    return client;
  }

  /**
   * Lets so much time pass. Resolves when everything that falls due by then was done: messages
   * delivered, checks asked, leases ended, retention applied, leaders elected.
   */
  advance(by: Duration): Promise<void> {
    return this.#time.advance(durationMs(by));
  }

  /** Advances until every shard has one leader, whom the majority follows. */
  async settle(): Promise<void> {
    const leaderless = (): ShardId[] => this.#shards.filter((one) => !this.#isLed(one));
    const isSettled = () => leaderless().length === 0;
    if (await this.#time.advanceUntil(isSettled, SETTLES_WITHIN_MS)) return;
    const up = this.#nodes.filter(({ isUp }) => isUp).map(({ id }) => id);
    throw new Error(
      `no leader of shard ${leaderless().join(', ')} after ${SETTLES_WITHIN_MS / 1000} s of ` +
        `virtual time: of ${this.#nodes.length} nodes ${up.join(', ') || 'none'} are up, and a ` +
        'majority must be, and connected',
    );
  }

  /** The process of the node ends, as by kill -9: what it wrote to its disk is there. */
  async kill(node: NodeId): Promise<void> {
    await this.#node(node).crash(false);
  }

  /** Its machine loses power: what was synced is there, and what was not may be or not. */
  async powerCut(node?: NodeId): Promise<void> {
    const nodes = node === undefined ? this.#nodes : [this.#node(node)];
    await Promise.all(nodes.map((one) => one.crash(true)));
  }

  /** Starts the node again, if it is down, on its old port. Without a number: all that are down. */
  async restart(node?: NodeId): Promise<void> {
    const nodes = node === undefined ? this.#nodes : [this.#node(node)];
    await Promise.all(nodes.filter(({ isUp }) => !isUp).map((one) => one.start()));
  }

  /**
   * Nodes of different groups cannot reach each other; those that are not named are one group.
   * Clients still reach all of them, and one without a majority keeps them waiting.
   */
  partition(...groups: readonly (readonly NodeId[])[]): void {
    for (const node of groups.flat()) this.#node(node);
    this.#network.partition(
      groups,
      this.#nodes.map(({ id }) => id),
    );
  }

  /** Ends every partition. */
  heal(): void {
    this.#network.heal();
  }

  /** The node that leads the queue's shard; undefined = nobody does. */
  leaderOf(topic: string, queue: number): NodeId | undefined {
    const hosts = this.#nodes.flatMap(({ host }) => host ?? []);
    const found = hosts
      .map((host) => host.meta().topic(topic)?.queues[queue])
      .find((one) => one !== undefined);
    if (found === undefined) throw new Error(`there is no queue ${queue} of a topic ${topic}`);
    return this.#leader(found.shard);
  }

  async #begin(): Promise<void> {
    await this.restart();
    await this.settle();
    await this.#time.advance(Math.max(0, this.#birthMs - this.#time.nowMs));
  }

  /** Closes the clients that it connected, then ends everything. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()));
    await Promise.all(this.#nodes.map((node) => node.remove()));
  }

  /** Clients that wait may be told of it. */
  #applied(): void {
    if (this.#nodes.some((node) => node.hasClients)) this.#time.heard();
  }

  /**
   * Followers hear with the next sign of life how far they may apply, and that comes when time
   * passes. What asks for one at once is a read.
   */
  #spread(): void {
    for (const shard of this.#shards) {
      const id = this.#leader(shard);
      if (id === undefined) continue;
      const leader = this.#node(id);
      const applied = this.#nodes.map((node) => {
        return this.#network.areConnected(id, node.id) ? node.applied(shard) : undefined;
      });
      const most = leader.applied(shard)!;
      const seen = `${id} ${most} ${applied}`;
      const isBehind = applied.some((one) => one !== undefined && one < most);
      if (!isBehind || this.#spreadAt.get(shard) === seen) continue;
      this.#spreadAt.set(shard, seen);
      leader.host!.readIndex(shard, () => {});
    }
  }

  #node(id: NodeId): TestNode {
    const node = this.#nodes[id - 1];
    if (node === undefined) throw new TypeError(`there is no node ${id}`);
    return node;
  }

  #leader(shard: ShardId): NodeId | undefined {
    return this.#nodes.find(({ host, id }) => host?.isReady(shard) && this.#isFollowed(id))?.id;
  }

  /** Among those that reach each other it is with the majority. */
  #isFollowed(node: NodeId): boolean {
    const reached = this.#nodes.filter(
      ({ id }) => id === node || this.#network.areConnected(node, id),
    );
    return reached.length > this.#nodes.length / 2;
  }

  /** Every node of the majority knows the leader, and nobody else takes himself for it. */
  #isLed(shard: ShardId): boolean {
    const leader = this.#leader(shard);
    if (leader === undefined) return false;
    return this.#nodes.every(({ host, id }) => {
      if (host === undefined || id === leader || !host.holds(shard)) return true;
      const known = host.leaderOf(shard);
      return this.#network.areConnected(leader, id) ? known === leader : known !== id;
    });
  }
}

/** A cluster that is ready for calls. */
export function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  return TestCluster.start(options);
}

function settingsWith(given: TestClusterOptions['settings'] = {}): NodeSettings {
  const { limits, raft, retention, transactions } = DEFAULTS;
  return {
    limits: { ...limits, ...given.limits },
    raft: { ...raft, ...RAFT, ...given.raft },
    retention: { ...retention, ...RETENTION, ...given.retention },
    transactions: { ...transactions, ...given.transactions },
  };
}

/** Time waits for clients that were told something. */
function heardBy(time: VirtualTime): ServiceMeters {
  const heard = (): void => time.heard();
  return { ...NO_METERS, of: () => ({ answered: heard }), pushed: heard, checked: heard };
}

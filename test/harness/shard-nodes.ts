/**
 * The shards of three nodes in one process: real logs, LevelDBs, checkpoints and drivers, with a
 * network that delivers or does not. A node can be ended as a crash would, and opened again from
 * what its directory held at that moment.
 */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { onTestFinished } from 'vitest';
import type { PeerMessage } from '../../raft/messages.ts';
import { encodeCommand } from '../../src/broker/command-codec.ts';
import type { Command } from '../../src/broker/commands.ts';
import { mintIdentities } from '../../src/cluster/birth.ts';
import { type Identity, writeIdentity } from '../../src/cluster/identity.ts';
import type { NodeConfig } from '../../src/config.ts';
import { DEFAULTS } from '../../src/config.ts';
import { type NodeStorage, openNodeStorage } from '../../src/node-storage.ts';
import type { FetchedBatch, FetchOutcome } from '../../src/shards/api.ts';
import { createShards, type NodeShards } from '../../src/shards/create-shards.ts';
import { stateRows } from '../../src/shards/tables.ts';
import { takeCheckpoint } from '../../storage/checkpoints.ts';
import { MemoryRows } from './state-rows.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export const SHARD = 1;
const NODES = [1, 2, 3];
const RAFT = {
  heartbeatIntervalMs: 50,
  electionTimeoutMs: 250,
  snapshotChunkBytes: 2048,
  maxTailBytes: 4096,
};
const WAIT_MS = 15_000;

export class ShardNode {
  readonly id: number;
  readonly directory: string;
  readonly storage: NodeStorage;
  readonly shards: NodeShards;
  isOver = false;

  private constructor(id: number, directory: string, storage: NodeStorage, shards: NodeShards) {
    this.id = id;
    this.directory = directory;
    this.storage = storage;
    this.shards = shards;
  }

  static async open(identity: Identity, directory: string): Promise<ShardNode> {
    const onFatal = (error: Error): void => {
      throw error;
    };
    const config = { ...DEFAULTS, raft: RAFT, data: directory } as unknown as NodeConfig;
    const storage = await openNodeStorage(config, identity, onFatal);
    const logger = pino({ level: 'silent' });
    const shards = createShards(config, identity, storage, logger, onFatal);
    return new ShardNode(identity.node, directory, storage, shards);
  }

  /** Out of Raft; what the process would still have done on the disk does not count any more. */
  async end(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    this.shards.driver.stop();
    await this.shards.snapshots.close();
    await this.storage.close();
  }

  get applied(): number {
    return this.shards.driver.status(SHARD).applied;
  }

  get isLeading(): boolean {
    return !this.isOver && this.shards.driver.isReady(SHARD);
  }

  propose(command: Command, payload: Uint8Array): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const head = encodeCommand(command);
      this.shards.host.propose(SHARD, head, payload, 'majorityFsync', (outcome) => {
        if (outcome.status === 'applied') resolve(outcome.result);
        else reject(new Error(outcome.status));
      });
    });
  }

  async checkpoint(): Promise<number> {
    await until(() => this.storage.state.appliedOf(SHARD)?.index === this.applied);
    const taken = await takeCheckpoint({
      source: this.storage.state,
      directory: this.storage.checkpointDirectory,
      shard: SHARD,
      membership: ({ index }) => this.shards.driver.membershipAt(SHARD, index),
    });
    return taken!.index;
  }

  /** Everything that the replica holds in LevelDB but the queue index; waits until it is there. */
  async rows(): Promise<string[]> {
    await until(() => this.storage.state.appliedOf(SHARD)?.index === this.applied);
    const rows = new MemoryRows();
    const loaded = await this.storage.state.loadShard(SHARD);
    for (const { table, key, value } of stateRows(loaded.rows)) rows.put(table, key, value);
    return rows.dump();
  }

  /** All that a consumer of every queue would be given. Only of the leader. */
  async messages(): Promise<string[]> {
    const found: string[] = [];
    for (const { queueId, startOffset, endOffset } of this.shards.host.data(SHARD).queues()) {
      let offset = startOffset;
      while (offset < endOffset) {
        const batches = await this.#fetch(queueId, offset);
        for (const { baseOffset, count, messages } of batches) {
          found.push(`${queueId}/${baseOffset}+${count} ${Buffer.from(messages).toString('hex')}`);
          offset = baseOffset + count;
        }
      }
    }
    return found.sort();
  }

  #fetch(queueId: number, offset: number): Promise<readonly FetchedBatch[]> {
    const limits = { maxBytes: 10_000, maxMessages: 0, waitMs: 0, linearizable: true };
    return new Promise((resolve, reject) => {
      const done = (outcome: FetchOutcome): void => {
        if (outcome.status === 'ok') resolve(outcome.batches);
        else reject(new Error(`queue ${queueId} at ${offset}: ${JSON.stringify(outcome)}`));
      };
      this.shards.host.fetch({ shard: SHARD, queueId, offset, ...limits }, done);
    });
  }
}

export class ShardCluster {
  readonly nodes = new Map<number, ShardNode>();
  readonly #identities: readonly Identity[];
  readonly #cut = new Set<number>();
  /** Called before a message is delivered. */
  onDeliver: (to: number, message: PeerMessage) => void = () => undefined;

  /** Of all directories of this cluster: gone only when the cluster has ended. */
  readonly #top: string;
  #copies = 0;

  private constructor(identities: readonly Identity[], top: string) {
    this.#identities = identities;
    this.#top = top;
  }

  /** Whoever made `top` ends the cluster before it goes. */
  static async born(top: string): Promise<ShardCluster> {
    const birth = { dataShards: 1, replicationFactor: 3 };
    const cluster = new ShardCluster(mintIdentities(NODES, birth, 1), top);
    for (const node of NODES) {
      const directory = join(cluster.#top, `node-${node}`);
      mkdirSync(directory);
      writeIdentity(directory, cluster.#identities[node - 1]!);
      await cluster.start(node, directory);
    }
    return cluster;
  }

  /** Goes on from copies of what an ended cluster left, for the length of a test. */
  async twin(): Promise<ShardCluster> {
    const twin = new ShardCluster(this.#identities, temporaryDirectory());
    onTestFinished(() => twin.end());
    for (const { id, directory } of this.nodes.values())
      await twin.start(id, twin.#copyOf(directory));
    return twin;
  }

  async start(id: number, directory: string): Promise<ShardNode> {
    const node = await ShardNode.open(this.#identities[id - 1]!, directory);
    this.nodes.set(id, node);
    node.shards.connect({
      setSilent: () => undefined,
      send: (to, _lane, messages) => void setImmediate(() => this.#deliver(node, to, messages)),
    });
    node.shards.driver.start();
    this.#connected(id);
    return node;
  }

  /** As a crash at this moment: its directory as it is now is what the next start finds. */
  async crash(id: number): Promise<string> {
    const node = this.node(id);
    const left = this.#copyOf(node.directory);
    await node.end();
    return left;
  }

  node(id: number): ShardNode {
    return this.nodes.get(id)!;
  }

  cut(id: number): void {
    this.#cut.add(id);
  }

  heal(id: number): void {
    this.#cut.delete(id);
    this.#connected(id);
  }

  async leader(): Promise<ShardNode> {
    const leading = () =>
      [...this.nodes.values()].find((node) => node.isLeading && !this.#cut.has(node.id));
    await until(() => leading() !== undefined);
    return leading()!;
  }

  /** Every node has applied what the leader has. */
  async settled(): Promise<void> {
    const leader = await this.leader();
    const running = [...this.nodes.values()].filter(({ isOver }) => !isOver);
    const isSettled = (): boolean => running.every(({ applied }) => applied === leader.applied);
    await until(isSettled, () => running.map((one) => one.shards.driver.status(SHARD)));
  }

  async end(): Promise<void> {
    for (const node of this.nodes.values()) await node.end();
  }

  #copyOf(directory: string): string {
    const copy = join(this.#top, `copy-${this.#copies++}`);
    cpSync(directory, copy, { recursive: true });
    return copy;
  }

  #connected(id: number): void {
    for (const { id: other, shards, isOver } of this.nodes.values()) {
      if (other === id || isOver) continue;
      shards.driver.peerUp(id);
      this.node(id).shards.driver.peerUp(other);
    }
  }

  #deliver(from: ShardNode, to: number, messages: readonly PeerMessage[]): void {
    if (from.isOver || this.#cut.has(from.id) || this.#cut.has(to)) return;
    for (const message of messages) {
      this.onDeliver(to, message);
      const target = this.nodes.get(to);
      if (target !== undefined && !target.isOver) target.shards.driver.receive(from.id, [message]);
    }
  }
}

/** `show`: what to tell when it never came true. */
export async function until(holds: () => boolean, show: () => unknown = String): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!holds()) {
    if (performance.now() > end) {
      throw new Error(`never came true: ${holds.toString()}: ${JSON.stringify(show())}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** All machines, the network between them, and the invariants that watch every event. */
import { isJoint } from '../../raft/membership.ts';
import { decodeMembership } from '../../raft/membership-codec.ts';
import type { PeerMessage } from '../../raft/messages.ts';
import type { DriverEvents, LogRecord } from '../../raft/ports.ts';
import {
  type EntryId,
  EntryType,
  type Membership,
  type NodeId,
  type ReplicaAddress,
  type ReplicaId,
  type ShardId,
} from '../../raft/types.ts';
import type { MetaCommand, ShardPlacement } from '../cluster/api.ts';
import { type Birth, birthPlacements, META_SHARD } from '../cluster/birth-placement.ts';
import { Judge } from './check/judge.ts';
import { FaultCounts } from './faults.ts';
import type { Committed } from './invariants/state-machine-safety.ts';
import type { Applied } from './machine.ts';
import { type MetaDone, Metadata, membershipOf } from './metadata.ts';
import { SimNetwork } from './network.ts';
import { firstIncarnation, SimNode } from './node.ts';
import type { Swarm } from './options.ts';
import { hasQuorum, Placements } from './placements.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { describeMessage, Trace } from './trace.ts';
import { Wire } from './wire.ts';

/** From the committed removal to the news of it. */
const DROP_MAX_MS = 2000;
const RECONNECT_MAX_MS = 200;
/** Comparing whole logs is dear: only every so many events. */
const LOOK_EVERY_EVENTS = 2000;

export class SimCluster {
  readonly nodes: readonly SimNode[];
  /** The metadata among them, where there is one. */
  readonly shards: readonly ShardId[];
  readonly dataShards: readonly ShardId[];
  readonly metadata: Metadata | undefined;
  readonly network: SimNetwork;
  readonly scheduler: Scheduler;
  readonly swarm: Swarm;
  readonly trace: Trace;
  readonly judge: Judge;
  readonly faults = new FaultCounts();
  readonly placements = new Placements();
  /** A node went down by itself; whoever watches over it may start it again. */
  onDown: (node: SimNode) => void = () => {};
  /** The node writes an entry by which the shard's configuration becomes joint. */
  onJoint: (node: SimNode, shard: ShardId) => void = () => {};
  /** Clients that know of no other node: so many proposals at once. */
  onFlood: (node: SimNode, shard: ShardId, count: number) => void = () => {};
  readonly #power: Random;

  constructor(scheduler: Scheduler, random: Random, swarm: Swarm) {
    this.scheduler = scheduler;
    this.trace = new Trace(() => scheduler.nowMs);
    this.swarm = swarm;
    this.#power = random.fork();
    this.dataShards = Array.from({ length: swarm.shards }, (_, at) => at + 1);
    this.shards = swarm.metadata ? [META_SHARD, ...this.dataShards] : this.dataShards;
    const birth = drawBirth(swarm, random);
    const metadata = swarm.metadata ? new Metadata(this, random.fork(), birth) : undefined;
    this.metadata = metadata;
    this.network = new SimNetwork(
      {
        scheduler,
        random: random.fork(),
        deliver: (from, to, messages) => this.#receive(from, to, messages),
        onBroken: (from, to) => this.#breakConnection(from, to),
        onFault: (kind) => this.faults.count(kind),
      },
      { ...swarm },
      swarm.encodesFrames ? new Wire(random.fork()) : undefined,
    );
    const world = {
      scheduler,
      swarm,
      birth,
      ...(metadata === undefined ? {} : { callMeta: callsTo(metadata) }),
      note: (text: () => string) => this.trace.note(text),
      send: (from: NodeId, to: NodeId, messages: readonly PeerMessage[]) =>
        this.#send(from, to, messages),
      onStarted: (node: SimNode) => this.#connect(node),
      onDied: (node: SimNode, reason: string) => {
        this.trace.add(`${node.id} died ${reason}`);
        this.#wentDown(node, false);
      },
      onRefused: (node: SimNode, reason: string) => this.#refused(node, reason),
      onCrashPoint: (node: SimNode) => {
        scheduler.after(
          0,
          node.alive(() => this.#wentDown(node, this.#power.chance(0.5))),
        );
      },
      onFault: (kind: string) => this.faults.count(kind),
      events: (node: NodeId) => this.#events(node),
      watcher: (node: NodeId) => ({
        onApply: (shard: ShardId, applied: Applied) => this.#applied(shard, applied),
        onRelease: (shard: ShardId) => this.judge.left(this.node(node), shard),
        onRestore: (shard: ShardId, { index }: EntryId, stateHash: number) => {
          this.trace.add(`${node} restored ${shard} ${index}`);
          this.faults.count('snapshotInstalled');
          this.judge.restored(shard, index, stateHash);
        },
        onPass: (shard: ShardId) => this.judge.passed(this.node(node), shard),
      }),
      onWrite: (node: SimNode, records: readonly LogRecord[]) => this.#writes(node, records),
    };
    const { electionTimeoutMs } = swarm.raft;
    this.judge = new Judge(() => ({
      nodes: this.nodes,
      shards: this.shards,
      electionTimeoutMs,
      nowMs: () => scheduler.nowMs,
    }));
    this.nodes = Array.from(
      { length: swarm.nodes },
      (_, at) => new SimNode(at + 1, world, random.fork()),
    );
    if (swarm.metadata) for (const one of birthPlacements(birth)) this.#formatAs(one);
    else for (const shard of this.shards) this.#format(shard, random);
  }

  /** Every entry that was applied anywhere. */
  get committed(): Committed {
    return this.judge.committed;
  }

  /** The shard is born on some of the nodes. */
  #format(shard: ShardId, random: Random): void {
    const first = random.between(0, this.nodes.length - 1);
    const count = Math.min(this.swarm.replicas, this.nodes.length);
    const homes = Array.from(
      { length: count },
      (_, at) => this.nodes[(first + at) % this.nodes.length]!,
    );
    this.#formatWith(shard, this.placements.born(shard, homes));
  }

  #formatAs(placement: ShardPlacement): void {
    const membership = membershipOf(placement);
    this.placements.bornAs(placement.shard, membership, placement.nextReplica);
    this.#formatWith(placement.shard, membership);
  }

  #formatWith(shard: ShardId, membership: Membership): void {
    this.judge.born(shard, membership);
    for (const { node, replica } of membership.replicas) {
      this.node(node).disk.format(shard, {
        hardState: { term: 0, vote: 0, commit: 0 },
        replica,
        logStart: { index: 0, term: 0 },
        membership,
      });
    }
  }

  #writes(node: SimNode, records: readonly LogRecord[]): void {
    this.judge.writes(node, records);
    for (const record of records) {
      if (record.kind !== 'entry' || record.entry.type !== EntryType.config) continue;
      if (isJoint(decodeMembership(record.entry.head).config)) this.onJoint(node, record.shard);
    }
  }

  #applied(shard: ShardId, applied: Applied): void {
    const isNews = applied.entry.index > this.committed.of(shard).length;
    this.judge.applied(shard, applied);
    const { entry } = applied;
    if (shard === META_SHARD && isNews) this.metadata?.committed(entry);
    if (entry.type !== EntryType.config) return;
    const left = this.placements.committed(shard, entry, decodeMembership(entry.head));
    // With metadata, it is the nodes that see what is retired.
    if (this.metadata !== undefined) return;
    for (const { node, replica } of left) this.#dropLater(shard, this.node(node), replica);
  }

  /** The metadata tells the node that the replica is nobody any more, if it is there to hear. */
  #dropLater(shard: ShardId, node: SimNode, replica: ReplicaId): void {
    this.scheduler.after(
      this.#power.next() * DROP_MAX_MS,
      node.alive(() => node.shards?.drop(shard, replica, () => this.faults.count('dropped'))),
    );
  }

  /** The directory that the replica was put into is still there. */
  isWhole(address: Pick<ReplicaAddress, 'node' | 'incarnation'> | undefined): boolean {
    if (address === undefined) return false;
    const { isGone, incarnation } = this.node(address.node);
    return !isGone && incarnation === address.incarnation;
  }

  /** Besides, no bit in it ever turned over: what it holds counts in a quorum of intact copies. */
  isSound(address: Pick<ReplicaAddress, 'node' | 'incarnation'> | undefined): boolean {
    return this.isWhole(address) && !this.node(address!.node).disk.flips.isAny;
  }

  /** It knew itself that it must be replaced, or was already. */
  isSuspect(shard: ShardId, { node, replica }: ReplicaAddress): boolean {
    return this.node(node).disk.isSuspect(shard, replica);
  }

  /** Does every configuration that anybody may count by have a quorum without these machines? */
  canLose(machines: readonly SimNode[]): boolean {
    const lost = new Set(machines.map(({ id }) => id));
    if (this.metadata?.mayLose(lost) === false) return machines.length === 0;
    const memberships = this.shards.flatMap((shard) => this.#memberships(shard));
    return [...memberships, ...(this.metadata?.wanted() ?? [])].every(({ config, replicas }) => {
      const homes = new Map(replicas.map((address) => [address.replica, address]));
      return hasQuorum(config, (replica) => {
        const home = homes.get(replica);
        return home !== undefined && !lost.has(home.node) && this.isSound(home);
      });
    });
  }

  /** The committed one, and those in logs that may still be committed. */
  #memberships(shard: ShardId): readonly Membership[] {
    const found = [this.placements.of(shard)];
    const committed = this.committed.of(shard).length;
    for (const { disk } of this.nodes) {
      const log = disk.written.get(shard);
      for (let index = committed + 1; index <= (log?.lastIndex ?? 0); index++) {
        const entry = log!.entry(index);
        if (entry?.type === EntryType.config) found.push(decodeMembership(entry.head));
      }
    }
    return found;
  }

  node(id: NodeId): SimNode {
    return this.nodes[id - 1]!;
  }

  #send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    for (const message of messages) {
      this.judge.sent(this.node(from), message);
      const about = message.type === 'alive' ? '' : ` ${message.shard} ${message.term}`;
      const readable = () => `n${from}>n${to} ${describeMessage(message)}`;
      this.trace.add(`${from}>${to} ${message.type}${about}`, readable);
    }
    this.network.send(from, to, messages);
  }

  #receive(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    const node = this.node(to);
    if (node.isUp && !node.isPaused) for (const message of messages) this.judge.received(message);
    node.receive(from, messages);
  }

  #events(node: NodeId): DriverEvents {
    return {
      onLeader: (shard, leader, term) => {
        const readable = () => `n${node} leader s${shard} n${leader ?? '?'} t${term}`;
        this.trace.add(`${node} leader ${shard} ${leader} ${term}`, readable);
        if (leader === node) this.judge.leads(this.node(node), shard, term);
      },
      onDeposed: (shard) => this.judge.deposed(this.node(node), shard),
    };
  }

  start(node: SimNode): void {
    this.trace.add(`${node.id} start`, () => `n${node.id} start`);
    node.start();
  }

  #wentDown(node: SimNode, power: boolean): void {
    this.crash(node, power);
    this.onDown(node);
  }

  /** An operator sees to it. */
  #refused(node: SimNode, reason: string): void {
    this.trace.add(`${node.id} refused ${reason}`);
    this.faults.count('startRefused');
    this.crash(node, false);
    node.wipe();
    this.onDown(node);
  }

  #connect(node: SimNode): void {
    for (const peer of this.nodes) {
      if (peer !== node && !this.network.isCut(peer.id, node.id)) this.#connectPair(peer, node);
    }
  }

  #connectPair(left: SimNode, right: SimNode): void {
    if (!left.isUp || !right.isUp) return;
    this.#notice(left, () => left.peerChanged(right.id, true));
    this.#notice(right, () => right.peerChanged(left.id, true));
  }

  #notice(node: SimNode, run: () => void): void {
    this.scheduler.after(this.swarm.delayMaxMs, node.alive(run));
  }

  crash(node: SimNode, power: boolean): void {
    this.trace.add(`${node.id} crash ${power}`, () => `n${node.id} crash ${power}`);
    this.judge.crashes(node);
    node.crash(power);
    this.resetConnections(node);
  }

  /** A machine that will never come back. */
  lose(node: SimNode): void {
    this.trace.add(`${node.id} lost`);
    node.lose();
    this.resetConnections(node);
  }

  /** Peers see the connection break. */
  resetConnections(node: SimNode): void {
    for (const peer of this.nodes) this.resetConnection(node.id, peer.id);
  }

  /** `to` sees its connection with `from` break. */
  resetConnection(from: NodeId, to: NodeId): void {
    const peer = this.node(to);
    if (from === to || !peer.isUp) return;
    this.#notice(peer, () => peer.peerChanged(from, false));
  }

  #breakConnection(from: NodeId, to: NodeId): void {
    this.resetConnection(from, to);
    this.resetConnection(to, from);
    this.scheduler.after(this.#power.next() * RECONNECT_MAX_MS, () => {
      if (!this.network.isCut(from, to)) this.#connectPair(this.node(from), this.node(to));
    });
  }

  reconnect(node: SimNode): void {
    if (node.isUp) this.#connect(node);
  }

  /** After each event. */
  check(): void {
    if (this.scheduler.events % LOOK_EVERY_EVENTS === 0) this.judge.look();
  }

  leaderOf(shard: ShardId): SimNode | undefined {
    return this.nodes.find(({ driver }) => driver?.isReady(shard));
  }
}

/** Some machines belong to it from the beginning, the others may be added. */
function drawBirth({ nodes, replicas, shards }: Swarm, random: Random): Birth {
  const founders = random.between((nodes + 1) >> 1, nodes);
  const members = Array.from({ length: founders }, (_, at) => ({
    node: at + 1,
    incarnation: firstIncarnation(at + 1),
  }));
  return { dataShards: shards, replicationFactor: replicas, members };
}

function callsTo(metadata: Metadata) {
  return (from: SimNode, command: MetaCommand, done: MetaDone): void =>
    metadata.call(from, command, done);
}

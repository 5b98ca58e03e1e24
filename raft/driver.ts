/**
 * Runs the cores of all shards of a node against the ports. Inputs of one event-loop turn are
 * gathered: each marks its shard dirty, and one deferred flush makes one store write for all shards
 * and one send per node and lane. No promise, no periodic tick (internals rule 14).
 *
 * The order inside a flush is the contract: write handed over, then messages that may leave, then
 * apply and answers. Messages that promise durability are in the write and leave with it.
 */
import { strict as assert } from 'node:assert';
import { validateRaftConfig } from './config.ts';
import { RaftCore } from './core.ts';
import type { DriverContext } from './driver-context.ts';
import { Exchange, isExchanged } from './driver-exchange.ts';
import { NodeLiveness } from './driver-liveness.ts';
import { PacedLoads } from './driver-loads.ts';
import { Outbox } from './driver-outbox.ts';
import { ShardRunner } from './driver-shard.ts';
import type {
  ChangeDone,
  DriverOptions,
  ProposalDone,
  ProposalLevel,
  ReadDone,
  ShardStatus,
  TransferDone,
} from './driver-types.ts';
import type { MatchDone } from './driver-watches.ts';
import { ShardWrites } from './driver-writes.ts';
import type { Invite, PeerMessage } from './messages.ts';
import type { Ready } from './ready.ts';
import type { MembershipRequest } from './reconfigure.ts';
import type { CommandBody } from './replication.ts';
import type { Instant } from './state.ts';
import type {
  Entry,
  EntryId,
  LogIndex,
  Membership,
  MonotonicMs,
  NodeId,
  RecoveredShard,
  ReplicaId,
  ShardId,
  ShardTimeMs,
} from './types.ts';

export type * from './driver-types.ts';

export class RaftDriver {
  readonly #options: DriverOptions;
  readonly #shards = new Map<ShardId, ShardRunner>();
  readonly #outbox = new Outbox();
  readonly #context: DriverContext;
  readonly #exchange: Exchange;
  readonly #writes: ShardWrites;
  readonly #loads: PacedLoads;
  #dirty: ShardRunner[] = [];
  #isFlushDeferred = false;
  #isRunning = false;
  #isStopped = false;
  /** Read once per turn: the inputs of one turn count as simultaneous. */
  #instant: Instant | undefined = undefined;
  readonly #liveness: NodeLiveness;
  #armedAtMs: MonotonicMs = Number.POSITIVE_INFINITY;

  constructor(options: DriverOptions) {
    validateRaftConfig(options.config);
    this.#liveness = new NodeLiveness(options.node, options.config);
    this.#loads = new PacedLoads(options.config.maxCatchUpBytes);
    this.#options = {
      ...options,
      onFatal: (error) => {
        if (this.#isStopped) return;
        this.stop();
        options.onFatal(error);
      },
    };
    this.#context = {
      options: this.#options,
      now: () => this.#now(),
      markDirty: (runner) => this.#markDirty(runner),
      noticed: (runner, error, at) => this.#exchange.noticed(runner, error, at),
      say: (to, message) => {
        this.#outbox.add(to, message);
        this.#deferFlush();
      },
    };
    this.#exchange = new Exchange(this.#context);
    this.#writes = new ShardWrites(this.#context, (runner) => this.#durable(runner));
  }

  /**
   * `appliedTimeMs` is the shard time of the last applied entry, for a log emptied by retention.
   */
  addShard(recovered: RecoveredShard, applied: LogIndex, appliedTimeMs: ShardTimeMs = 0): void {
    const { shard } = recovered;
    assert(!this.#shards.has(shard), 'a shard is added once');
    const { config, rng } = this.#options;
    const { clocks } = this.#liveness;
    const core = new RaftCore({ recovered, applied, config, rng, clocks });
    if (recovered.lastIndex === recovered.state.logStart.index) core.lastTimeWas(appliedTimeMs);
    const runner = new ShardRunner(core, this.#context);
    runner.appliedTimeMs = appliedTimeMs;
    this.#shards.set(shard, runner);
    if (this.#isRunning) runner.start();
  }

  /**
   * The replica leaves this node: whoever waits gets `unknown`, and nothing that was under way for
   * it has an effect any more. What it wrote stays until a `drop` record voids it.
   */
  removeShard(shard: ShardId): void {
    const runner = this.#shard(shard);
    runner.stop();
    this.#exchange.look(runner);
    this.#shards.delete(shard);
    this.#dirty = this.#dirty.filter(({ isStopped }) => !isStopped);
  }

  start(): void {
    assert(!this.#isRunning && !this.#isStopped, 'a driver starts once');
    this.#isRunning = true;
    this.#liveness.start(this.#now().nowMs);
    for (const runner of this.#shards.values()) runner.start();
    this.#deferFlush();
  }

  /** Whoever waits gets `unknown`; nothing is sent or written any more. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#options.clock.cancelWake();
    for (const runner of this.#shards.values()) runner.stop();
    this.#exchange.stop();
  }

  /** `done` is called exactly once; refusals call it before this returns. */
  propose(
    shard: ShardId,
    command: CommandBody,
    level: ProposalLevel,
    done: ProposalDone,
  ): EntryId | undefined {
    const runner = this.#shards.get(shard);
    if (runner === undefined || !this.#isLive) {
      done({ status: 'notLeader' });
      return undefined;
    }
    const outcome = runner.core.propose(command, level !== 'majorityFsync', this.#now());
    if (outcome === 'notLeader') done(runner.notLeader());
    else if (outcome === 'overloaded') done({ status: 'overloaded' });
    else {
      runner.proposals.add(level, outcome, done);
      this.#markDirty(runner);
      return outcome;
    }
    return undefined;
  }

  /** One at a time; `done` as for proposals, once the new configuration is committed. */
  changeMembership(shard: ShardId, request: MembershipRequest, done: ChangeDone): void {
    const runner = this.#shards.get(shard);
    if (runner === undefined || !this.#isLive) done({ status: 'notLeader' });
    else runner.changeMembership(request, done);
  }

  /** Takes no proposals until the voter on `node` leads, at most for an election timeout. */
  transferLeadership(shard: ShardId, node: NodeId, done: TransferDone): void {
    const runner = this.#shards.get(shard);
    if (runner === undefined || !this.#isLive) done({ status: 'notLeader' });
    else runner.transferTo(node, done);
  }

  /** Calls back once a fresh quorum round is done and applied >= its index. */
  readIndex(shard: ShardId, done: ReadDone): void {
    const runner = this.#shards.get(shard);
    if (runner === undefined || !this.#isLive) done({ status: 'notLeader' });
    else runner.readIndex(done);
  }

  /**
   * Calls back, once and not before this returns, when the other replica is known to have the log
   * through `index`; with false when this one leads no more or the other left the configuration.
   */
  whenMatched(shard: ShardId, replica: ReplicaId, index: LogIndex, done: MatchDone): void {
    const runner = this.#shard(shard);
    runner.watches.add(replica, index, done);
    this.#markDirty(runner);
  }

  receive(from: NodeId, messages: readonly PeerMessage[]): void {
    if (!this.#isLive) return;
    // Not what an earlier event saw, perhaps before a pause: the clock in a message is of now.
    this.#instant = undefined;
    this.#heard(from);
    for (const message of messages) {
      if (message.type === 'alive') {
        this.#liveness.clocks.heard(from, message.wallMs, this.#options.clock.nowMs());
        continue;
      }
      if (message.type === 'invite') {
        this.#invited(from, message);
        continue;
      }
      const runner = this.#shards.get(message.shard);
      if (runner === undefined || !runner.admits(message.from, from)) continue;
      if (isExchanged(message)) this.#exchange.received(runner, message);
      else runner.core.step(message, this.#now());
      this.#markDirty(runner);
    }
  }

  #heard(node: NodeId): void {
    const { clock, events } = this.#options;
    if (this.#liveness.heard(node, clock.nowMs())) events.onLiveness?.(node, true);
  }

  /** The host decides, and comes back with `addShard` when the replica exists. */
  #invited(from: NodeId, invite: Invite): void {
    const held = this.#shards.get(invite.shard);
    const givesWay =
      held !== undefined && held.core.self < invite.to && (invite.replaces || held.core.isSuspect);
    if (held === undefined || givesWay) this.#options.events.onInvite?.(from, invite);
  }

  /** The control connection to `node` came up: a sign of life. */
  peerUp(node: NodeId): void {
    this.#heard(node);
    this.#forPeer(node, (runner, replica) => runner.core.peerUp(replica, this.#now()));
  }

  /** The control connection from or to `node` was reset. */
  peerReset(node: NodeId): void {
    this.#forPeer(node, (runner, replica) => runner.core.peerReset(replica, this.#now()));
  }

  #forPeer(node: NodeId, act: (runner: ShardRunner, replica: number) => void): void {
    if (!this.#isLive) return;
    for (const runner of this.#shards.values()) {
      for (const replica of runner.core.membership.replicasOn(node)) {
        if (replica === runner.core.self) continue;
        act(runner, replica);
        this.#markDirty(runner);
      }
    }
  }

  get #isLive(): boolean {
    return this.#isRunning && !this.#isStopped;
  }

  #now(): Instant {
    const { clock } = this.#options;
    this.#instant ??= { nowMs: clock.nowMs(), wallMs: clock.wallMs() };
    return this.#instant;
  }

  #markDirty(runner: ShardRunner): void {
    if (runner.isStopped) return;
    if (!runner.isDirty) {
      runner.isDirty = true;
      this.#dirty.push(runner);
    }
    this.#deferFlush();
  }

  #deferFlush(): void {
    if (this.#isFlushDeferred || !this.#isLive) return;
    this.#isFlushDeferred = true;
    this.#options.clock.defer(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushDeferred = false;
    if (this.#isStopped) return;
    this.#instant = undefined;
    this.#tickAlive();
    this.#tickDue();
    const batch = this.#dirty;
    this.#dirty = [];
    const readies = batch.map((runner) => {
      runner.isDirty = false;
      return runner.core.ready();
    });
    this.#writes.hand(batch, readies);
    this.#send(batch, readies);
    this.#settle(batch, readies);
    this.#armWake();
    this.#instant = undefined;
  }

  /**
   * Deadlines are looked at here and not in the timer's own callback: after a pause the messages
   * that already wait are handled first, so that a living leader is not suspected.
   */
  #tickDue(): void {
    const now = this.#now();
    for (const runner of this.#shards.values()) {
      if (this.#deadlineOf(runner) > now.nowMs) continue;
      runner.core.tick(now);
      this.#markDirtyInFlush(runner);
    }
  }

  #deadlineOf(runner: ShardRunner): MonotonicMs {
    return Math.min(runner.core.nextDeadlineMs, this.#exchange.deadlineOf(runner));
  }

  /** In step with the heartbeats of all leaders: what they say stands for the sign of life. */
  #tickAlive(): void {
    const now = this.#now();
    for (const { node, heardMs } of this.#liveness.tick(now, this.#shards.values())) {
      this.#forPeer(node, ({ core }, replica) => core.peerSilent(replica, heardMs, now));
      this.#options.events.onLiveness?.(node, false);
    }
  }

  #markDirtyInFlush(runner: ShardRunner): void {
    if (runner.isDirty) return;
    runner.isDirty = true;
    this.#dirty.push(runner);
  }

  #durable(runner: ShardRunner): void {
    this.#exchange.durable(runner);
    this.#options.events.onDurable?.(runner.shard, runner.core.log.durable);
  }

  #send(batch: readonly ShardRunner[], readies: readonly Ready[]): void {
    readies.forEach(({ messages, loads }, at) => {
      const runner = batch[at]!;
      for (const message of messages) {
        const node = runner.nodeOf(message.to);
        if (node !== undefined) this.#outbox.add(node, message);
      }
      for (const load of loads) this.#loads.ask(runner, load);
    });
    this.#loads.start(this.#shards.values());
    this.#liveness.speak(this.#outbox, this.#now().wallMs);
    this.#outbox.flush(this.#options.transport);
  }

  #settle(batch: readonly ShardRunner[], readies: readonly Ready[]): void {
    readies.forEach((ready, at) => {
      const runner = batch[at]!;
      if (runner.isStopped) return;
      runner.settle(ready);
      this.#exchange.look(runner);
    });
  }

  /** One timer for all shards, moved only when it would be late: hearing a leader costs nothing. */
  #armWake(): void {
    let earliestMs = this.#liveness.dueAtMs;
    for (const runner of this.#shards.values()) {
      earliestMs = Math.min(earliestMs, this.#deadlineOf(runner));
    }
    if (this.#isStopped || earliestMs >= this.#armedAtMs) return;
    this.#armedAtMs = earliestMs;
    this.#options.clock.wakeAt(earliestMs, () => {
      this.#armedAtMs = Number.POSITIVE_INFINITY;
      this.#deferFlush();
    });
  }

  holds(shard: ShardId): boolean {
    return this.#shards.has(shard);
  }

  shards(): ShardId[] {
    return [...this.#shards.keys()];
  }

  /**
   * Somebody else read the shard's log in vain. A damaged entry is asked for at the other replicas;
   * once it is repaired, the same read succeeds.
   */
  readFailed(shard: ShardId, error: Error, at: LogIndex): void {
    const runner = this.#shards.get(shard);
    if (runner !== undefined && this.#isLive) this.#exchange.noticed(runner, error, at);
  }

  /** The state machine has room again (`StateMachine.hasRoom`). */
  applyMore(): void {
    if (!this.#isLive) return;
    for (const runner of this.#shards.values()) if (runner.canApply) this.#markDirty(runner);
  }

  #shard(shard: ShardId): ShardRunner {
    const runner = this.#shards.get(shard);
    assert(runner !== undefined, 'the shard lives on this node');
    return runner;
  }

  status(shard: ShardId): ShardStatus {
    return this.#shard(shard).status();
  }

  leaderOf(shard: ShardId): NodeId | undefined {
    return this.#shards.get(shard)?.leaderNode;
  }

  /** As an entry that this replica proposed now would carry it. */
  shardTimeMs(shard: ShardId): ShardTimeMs {
    const { clock } = this.#options;
    return this.#shard(shard).core.shardTimeMs({ nowMs: clock.nowMs(), wallMs: clock.wallMs() });
  }

  isReady(shard: ShardId): boolean {
    return this.#shards.get(shard)?.isReady ?? false;
  }

  /** The hot tail, without I/O; undefined when `from` is not in memory. */
  cachedEntries(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
  ): readonly Entry[] | undefined {
    const entries = this.#shards.get(shard)?.core.log.slice(from, to, maxBytes) ?? [];
    return entries.length === 0 ? undefined : entries;
  }

  /**
   * While leading: nobody needs entries at or below this one, apart from replicas that were silent
   * for longer than `maxSilenceMs`, wait for a snapshot, or are suspect.
   */
  matchedByAll(shard: ShardId, maxSilenceMs = Number.POSITIVE_INFINITY): LogIndex {
    return this.#shard(shard).matchedByAll(maxSilenceMs);
  }

  /** This node's own log of the shard is durable through here. A truncation lowers it. */
  durableIndex(shard: ShardId): LogIndex {
    return this.#shard(shard).core.log.durable;
  }

  /** Entries up to and including this one are gone from the log. */
  logStart(shard: ShardId): EntryId {
    return this.#shard(shard).core.log.start;
  }

  membership(shard: ShardId): Membership {
    return this.#shard(shard).core.currentMembership;
  }

  /** `membership` is known committed. Before, another leader may still take it back. */
  isMembershipSettled(shard: ShardId): boolean {
    const { log, membership } = this.#shard(shard).core;
    return membership.lastIndex <= log.commit;
  }

  /**
   * As of an entry that this node's replica has applied and whose log is still here; undefined when
   * there is no such replica (any more): nothing can be said of another one's past.
   */
  membershipAt(shard: ShardId, index: LogIndex): Membership | undefined {
    return this.#shards.get(shard)?.membershipAt(index);
  }

  /** Retention: entries up to `start` may leave the log (the caller's checkpoint is synced). */
  setLogStart(shard: ShardId, start: EntryId): void {
    const runner = this.#shard(shard);
    runner.core.setLogStart(start);
    this.#markDirty(runner);
  }
}

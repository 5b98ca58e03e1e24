/** One shard under the driver: its core, whoever waits for it, and what was last said about it. */
import { strict as assert } from 'node:assert';
import type { RaftCore } from './core.ts';
import type { DriverContext } from './driver-context.ts';
import { ReadWaiters } from './driver-reads.ts';
import type {
  ChangeDone,
  DriverOptions,
  ReadDone,
  ReadOutcome,
  ReplicaStatus,
  ShardStatus,
  TransferDone,
} from './driver-types.ts';
import { ProposalWaiters } from './driver-waiters.ts';
import { MatchWatches } from './driver-watches.ts';
import { errorCode, RaftErrorCode } from './errors.ts';
import { membersOf } from './membership.ts';
import type { RestoredShard } from './ports.ts';
import type { LoadRequest, Ready } from './ready.ts';
import type { MembershipRequest } from './reconfigure.ts';
import type { TransferOutcome } from './transfer.ts';
import type {
  Entry,
  EntryId,
  LogIndex,
  Membership,
  NodeId,
  ReplicaId,
  ShardId,
  ShardTimeMs,
  Term,
} from './types.ts';

/** Senders without a configuration entry that are remembered per shard. */
const MAX_STRANGERS = 16;

export class ShardRunner {
  readonly core: RaftCore;
  readonly shard: ShardId;
  readonly proposals = new ProposalWaiters();
  readonly reads = new ReadWaiters();
  readonly watches = new MatchWatches();
  isDirty = false;
  /** Shard time of the last applied entry. */
  appliedTimeMs: ShardTimeMs = 0;
  readonly #context: DriverContext;
  readonly #options: DriverOptions;
  /** Committed entries below the window are on their way from the store. */
  #isLoading = false;
  #isReadingTime = false;
  #isStopped = false;
  /** Who sent something before its configuration entry came, by the node that it spoke from. */
  readonly #strangers = new Map<ReplicaId, NodeId>();
  #transferDone: TransferDone | undefined;
  #saidLeader: ReplicaId = 0;
  #saidTerm: Term = 0;
  /** The term that this replica leads in, as far as was said. 0 = none. */
  #leadsIn: Term = 0;
  #readyIn: Term = 0;

  constructor(core: RaftCore, context: DriverContext) {
    this.core = core;
    this.shard = core.shard;
    this.#context = context;
    this.#options = context.options;
  }

  /** Boot. The time of the last entry is read from the store: without it nobody campaigns. */
  start(): void {
    const { core } = this;
    core.start(this.#context.now());
    this.#context.markDirty(this);
    this.#readLastTime();
  }

  #readLastTime(): void {
    const { core, shard } = this;
    if (core.log.lastTimeMs !== undefined || this.#isReadingTime) return;
    this.#isReadingTime = true;
    const { lastIndex: last, lastTerm: term } = core.log;
    this.#options.store.read(shard, last, last, 1, (error, entries) => {
      this.#isReadingTime = false;
      if (this.#isStopped) return;
      const { log } = core;
      const isStillThere = last > log.start.index && log.matches(last, term);
      if (error !== undefined && isStillThere) this.#failed(error, last);
      // Gone or replaced meanwhile: apply or the leader's entries tell the time instead.
      else core.lastTimeWas(entries[0]?.timeMs ?? this.appliedTimeMs);
    });
  }

  /** A damaged entry is asked for elsewhere; without anybody to ask, the process ends. */
  #failed(error: Error, at: LogIndex): void {
    if (!this.#context.noticed(this, error, at)) this.#options.onFatal(error);
  }

  /** Entries for a follower that only the store still has. `ended` is called exactly once. */
  load(request: LoadRequest, ended: () => void): void {
    const { store } = this.#options;
    const { from, to, maxBytes } = request;
    store.read(this.shard, from, to, maxBytes, (error, entries) => {
      ended();
      if (this.#isStopped) return;
      const { core } = this;
      const isCompacted = error !== undefined && errorCode(error) === RaftErrorCode.compacted;
      // Whoever was deposed meanwhile may have lost the entries to another leader: no damage.
      const isLeading = core.role === 'leader' && core.term === request.term;
      if (error !== undefined && !isCompacted && isLeading) {
        this.#failed(error, from);
        return;
      }
      core.loaded(request, error === undefined ? entries : [], this.#context.now());
      this.#context.markDirty(this);
    });
  }

  /** Leads, and the no-op of the own term is applied (internals rule 12). */
  get isReady(): boolean {
    const { core } = this;
    const first = core.reignFirstIndex;
    return first !== undefined && core.log.applied >= first;
  }

  get leaderNode(): NodeId | undefined {
    const { core } = this;
    return core.leader === 0 ? undefined : this.nodeOf(core.leader);
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  nodeOf(replica: ReplicaId): NodeId | undefined {
    return this.core.membership.nodeOf(replica) ?? this.#strangers.get(replica);
  }

  /**
   * Internals rule 8: a sender that the membership places on another node is an impostor. One that
   * it does not know may be a member by an entry that is still on its way (thesis 4.1).
   */
  admits(sender: ReplicaId, from: NodeId): boolean {
    const known = this.core.membership.nodeOf(sender);
    if (known !== undefined) return known === from;
    const [oldest] = this.#strangers.keys();
    const isFull = this.#strangers.size >= MAX_STRANGERS && !this.#strangers.has(sender);
    if (isFull && oldest !== undefined) this.#strangers.delete(oldest);
    this.#strangers.set(sender, from);
    return true;
  }

  changeMembership(request: MembershipRequest, done: ChangeDone): void {
    const outcome = this.core.changeMembership(request, this.#context.now());
    if (!('refused' in outcome)) {
      this.proposals.add('majorityFsync', outcome, done);
      this.#context.markDirty(this);
    } else if (outcome.refused === 'notLeader') done(this.notLeader());
    else if (outcome.refused === 'busy') done({ status: 'busy' });
    else done({ status: 'invalid', reason: outcome.reason });
  }

  readIndex(done: ReadDone): void {
    const result = this.core.readIndex(this.reads.nextId, this.#context.now());
    if (result === 'notLeader') done(this.notLeader());
    else if (result === 'overloaded') done({ status: 'overloaded' });
    else {
      this.reads.add(done);
      this.#context.markDirty(this);
    }
  }

  transferTo(node: NodeId, done: TransferDone): void {
    const { voters } = this.core.currentMembership.config;
    const replica = this.core.membership.replicasOn(node).find((id) => voters.includes(id));
    if (replica === undefined) {
      done({ status: 'refused', reason: `node ${node} has no voter of shard ${this.shard}` });
      return;
    }
    const outcome = this.core.transferTo(replica, this.#context.now());
    if (outcome !== undefined) {
      done(outcome);
      return;
    }
    this.#transferDone = done;
    this.#context.markDirty(this);
  }

  /** After the flush has left: apply, answer whoever waits, tell what changed. */
  settle(ready: Ready): void {
    // Only if that entry was damaged: otherwise it is being read, or was.
    if (this.core.log.lastTimeMs === undefined && !this.core.isDamaged(this.core.log.lastIndex)) {
      this.#readLastTime();
    }
    for (const { id, index } of ready.confirmedReads) this.reads.confirmed(id, index);
    this.#applyCommitted();
    this.#answerWritten();
    if (ready.failedReads.length > 0) this.#failReads(ready.failedReads);
    this.#sayDeposed();
    this.reads.applied(this.core.log.applied);
    this.#sayLeader();
    this.#sayReady();
    if (ready.transferred !== undefined) this.#sayTransferred(ready.transferred);
    this.watches.settle(this.core);
  }

  #applyCommitted(): void {
    const { log } = this.core;
    const before = log.applied;
    let left = this.#options.config.maxApplyEntries;
    while (!this.#isStopped && this.canApply && left-- > 0) {
      const entry = log.entry(log.applied + 1);
      if (entry === undefined) this.#loadCommitted();
      else this.#apply(entry);
    }
    this.#afterApply(before);
    if (this.canApply) this.#context.markDirty(this);
  }

  /** Committed entries are here or in the store, and their effects find room. */
  get canApply(): boolean {
    const { log } = this.core;
    if (this.#isLoading || log.applied === log.commit) return false;
    if (this.core.isDamaged(log.applied + 1)) return false;
    return this.#options.stateMachine.hasRoom?.() ?? true;
  }

  #apply(entry: Entry): void {
    const { core, proposals, shard } = this;
    assert(entry.index === core.log.applied + 1, 'entries are applied in order, each once');
    assert(core.log.matches(entry.index, entry.term), 'only entries of this log are applied');
    const result = this.#options.stateMachine.apply(shard, entry);
    core.appliedTo(entry.index);
    this.appliedTimeMs = entry.timeMs;
    if (!proposals.isWaitedFor(entry.index)) return;
    proposals.applied(entry, result, core.replicasWith(entry.index, 'durable'));
  }

  #afterApply(before: LogIndex): void {
    const { log } = this.core;
    if (log.applied === before) return;
    const through: EntryId = { index: log.applied, term: log.term(log.applied)! };
    this.#options.stateMachine.applied(this.shard, through);
  }

  /** After a restart committed entries are only in the store. */
  #loadCommitted(): void {
    const { core, shard } = this;
    const { store, config } = this.#options;
    this.#isLoading = true;
    const from = core.log.applied + 1;
    const to = Math.min(core.log.commit, core.log.windowFirst - 1);
    store.read(shard, from, to, config.maxApplyLoadBytes, (error, entries) => {
      if (this.#isStopped) return;
      this.#isLoading = false;
      // A snapshot took the place of what was asked for.
      if (core.log.applied + 1 !== from) {
        this.#context.markDirty(this);
        return;
      }
      if (error !== undefined) {
        this.#failed(error, from);
        return;
      }
      const before = core.log.applied;
      assert(entries[0]?.index === before + 1, 'the store has every committed entry');
      for (const entry of entries) this.#apply(entry);
      this.#afterApply(before);
      this.#context.markDirty(this);
    });
  }

  #sayTransferred(outcome: TransferOutcome): void {
    const done = this.#transferDone;
    this.#transferDone = undefined;
    done?.(outcome);
    const { core } = this;
    // Whoever was refused a proposal meanwhile waits to hear of a leader: it is the old one.
    if (core.role !== 'leader') return;
    this.#options.events.onLeader?.(this.shard, this.leaderNode, core.term);
  }

  /** False: the snapshot is of no use any more. */
  restore(restored: RestoredShard): boolean {
    const outcome = this.core.restore(restored, this.#context.now());
    if (outcome === 'useless') return false;
    if (outcome === 'restored') {
      this.appliedTimeMs = restored.timeMs;
      this.#options.stateMachine.restore(this.shard, restored.id);
    }
    this.#context.markDirty(this);
    return true;
  }

  #answerWritten(): void {
    const { core, proposals } = this;
    if (!proposals.hasWeaker || core.role !== 'leader') return;
    const replicasWith = (index: LogIndex) => core.replicasWith(index, 'written');
    proposals.writtenHere(core.ownWritten, replicasWith);
    proposals.writtenOnMajority(core.majorityWritten, replicasWith);
  }

  notLeader(): { status: 'notLeader'; leader?: NodeId } {
    const leader = this.core.role === 'leader' ? undefined : this.leaderNode;
    return leader === undefined ? { status: 'notLeader' } : { status: 'notLeader', leader };
  }

  #failReads(ids: readonly number[]): void {
    // A read has no effect, so the refusal is definite even after the fact.
    const outcome: ReadOutcome = this.notLeader();
    for (const id of ids) this.reads.failed(id, outcome);
  }

  #sayDeposed(): void {
    const { core } = this;
    const leadsIn = core.role === 'leader' ? core.term : 0;
    const hadLed = this.#leadsIn;
    if (leadsIn !== 0 && leadsIn === hadLed) return;
    // Also without `hadLed`: a reign may begin and end between two flushes, and have proposals.
    this.proposals.abandonBefore(leadsIn === 0 ? core.term + 1 : leadsIn, 'deposed');
    this.#leadsIn = leadsIn;
    if (hadLed === 0) return;
    this.#options.events.onDeposed?.(this.shard);
  }

  #sayLeader(): void {
    const { core } = this;
    if (core.leader === this.#saidLeader && core.term === this.#saidTerm) return;
    this.#saidLeader = core.leader;
    this.#saidTerm = core.term;
    this.#options.events.onLeader?.(this.shard, this.leaderNode, core.term);
  }

  #sayReady(): void {
    const { core } = this;
    if (this.#readyIn === core.term || !this.isReady) return;
    this.#readyIn = core.term;
    this.#options.events.onReady?.(this.shard, core.term);
  }

  stop(): void {
    this.#isStopped = true;
    this.proposals.abandonBefore(Number.POSITIVE_INFINITY, 'stopped');
    this.reads.abandonAll({ status: 'unknown' });
    this.watches.abandonAll();
    this.#transferDone?.({ status: 'timedOut' });
    this.#transferDone = undefined;
  }

  status(): ShardStatus {
    const { core } = this;
    const { log } = core;
    const leader = this.leaderNode;
    return {
      role: core.role,
      term: core.term,
      ...(leader === undefined ? {} : { leader }),
      commit: log.commit,
      applied: log.applied,
      lastIndex: log.lastIndex,
      durable: log.durable,
      ready: this.isReady,
      ...(core.isSuspect ? { suspect: true } : {}),
      ...(core.isIntact ? {} : { damaged: core.damagedEntries().length }),
      replicas: this.#replicas(),
    };
  }

  #replicas(): ReplicaStatus[] {
    const { core } = this;
    const { config, replicas } = core.currentMembership;
    const members = new Set(membersOf(config));
    const roleOf = (replica: ReplicaId): ReplicaStatus['role'] => {
      if (replica === core.leader) return 'leader';
      return config.learners.includes(replica) ? 'learner' : 'voter';
    };
    return replicas
      .filter(({ replica }) => members.has(replica))
      .map(({ replica, node }) => ({
        replica,
        node,
        matchIndex: core.matchOf(replica),
        role: roleOf(replica),
      }));
  }

  membershipAt(index: LogIndex): Membership | undefined {
    const { log, membership } = this.core;
    const isKnown = index >= log.start.index && index <= log.applied;
    return isKnown ? membership.asOf(index) : undefined;
  }

  /** The smallest match of any replica that needs the log and is heard of. */
  matchedByAll(maxSilenceMs: number): LogIndex {
    const { core } = this;
    const waiting = membersOf(core.currentMembership.config).filter((id) =>
      core.needsLog(id, maxSilenceMs),
    );
    return Math.min(...waiting.map((id) => core.matchOf(id)), core.log.durable);
  }
}

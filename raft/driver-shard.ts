/** One shard under the driver: its core, whoever waits for it, and what was last said about it. */
import { strict as assert } from 'node:assert';
import type { RaftCore } from './core.ts';
import { ReadWaiters } from './driver-reads.ts';
import type { DriverOptions, ReadOutcome, ReplicaStatus, ShardStatus } from './driver-types.ts';
import { ProposalWaiters } from './driver-waiters.ts';
import { MatchWatches } from './driver-watches.ts';
import { membersOf } from './membership.ts';
import type { Ready } from './ready.ts';
import type {
  Entry,
  EntryId,
  LogIndex,
  NodeId,
  ReplicaId,
  ShardId,
  ShardTimeMs,
  Term,
} from './types.ts';

/** Asks the driver for another pass over this shard. */
export type MarkDirty = (shard: ShardRunner) => void;

export class ShardRunner {
  readonly core: RaftCore;
  readonly shard: ShardId;
  readonly proposals = new ProposalWaiters();
  readonly reads = new ReadWaiters();
  readonly watches = new MatchWatches();
  isDirty = false;
  /** Shard time of the last applied entry. */
  appliedTimeMs: ShardTimeMs = 0;
  readonly #options: DriverOptions;
  readonly #markDirty: MarkDirty;
  /** Committed entries below the window are on their way from the store. */
  #isLoading = false;
  #isStopped = false;
  #saidLeader: ReplicaId = 0;
  #saidTerm: Term = 0;
  /** The term that this replica leads in, as far as was said. 0 = none. */
  #leadsIn: Term = 0;
  #readyIn: Term = 0;

  constructor(core: RaftCore, options: DriverOptions, markDirty: MarkDirty) {
    this.core = core;
    this.shard = core.shard;
    this.#options = options;
    this.#markDirty = markDirty;
  }

  /** Leads, and the no-op of the own term is applied (internals rule 12). */
  get isReady(): boolean {
    const { core } = this;
    const first = core.reignFirstIndex;
    return first !== undefined && core.log.applied >= first;
  }

  get leaderNode(): NodeId | undefined {
    const { core } = this;
    return core.leader === 0 ? undefined : core.membership.nodeOf(core.leader);
  }

  /** After the flush has left: apply, answer whoever waits, tell what changed. */
  settle(ready: Ready): void {
    for (const { id, index } of ready.confirmedReads) this.reads.confirmed(id, index);
    this.#applyCommitted();
    this.#answerWritten();
    if (ready.failedReads.length > 0) this.#failReads(ready.failedReads);
    this.#sayDeposed();
    this.reads.applied(this.core.log.applied);
    this.#sayLeader();
    this.#sayReady();
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
    if (this.canApply) this.#markDirty(this);
  }

  /** Committed entries are here or in the store, and their effects find room. */
  get canApply(): boolean {
    const { log } = this.core;
    if (this.#isLoading || log.applied === log.commit) return false;
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
    const { store, config, onFatal } = this.#options;
    this.#isLoading = true;
    const from = core.log.applied + 1;
    const to = Math.min(core.log.commit, core.log.windowFirst - 1);
    store.read(shard, from, to, config.maxApplyLoadBytes, (error, entries) => {
      if (this.#isStopped) return;
      this.#isLoading = false;
      if (error !== undefined) {
        onFatal(error);
        return;
      }
      const before = core.log.applied;
      assert(entries[0]?.index === before + 1, 'the store has every committed entry');
      for (const entry of entries) this.#apply(entry);
      this.#afterApply(before);
      this.#markDirty(this);
    });
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
    if (leadsIn === this.#leadsIn) return;
    const hadLed = this.#leadsIn;
    this.#leadsIn = leadsIn;
    if (hadLed === 0) return;
    this.proposals.abandonBefore(hadLed + 1, 'deposed');
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

  /** The smallest match of any replica: nobody needs entries at or below it from this node. */
  matchedByAll(): LogIndex {
    const { core } = this;
    const matches = membersOf(core.currentMembership.config).map((id) => core.matchOf(id));
    return Math.min(...matches);
  }
}

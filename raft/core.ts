/**
 * One replica of one shard as a pure function of its inputs: `step`, `propose`, `readIndex`,
 * `tick`, `durable`, ... change the state, `ready()` says what is to be done. No clock, no
 * randomness of its own, no I/O, no waiting. Whoever runs it must
 *
 * 1. give `write.records` to the store, in the order of the `ready()` calls, and send `messages`;
 * 2. call `written(write)` and `durable(write)` when the store says so, in order;
 * 3. apply entries up to `commit`, in order, and report `appliedTo`;
 * 4. call `tick` at or after `wakeAt`.
 */
import { strict as assert } from 'node:assert';
import { stepCandidate, tickElection } from './candidate.ts';
import { forgetGone, isDamagedUpTo, noteDamage, repair, repaired } from './damage.ts';
import {
  becomeFollower,
  giveLeaderTime,
  handlePreVote,
  handleVote,
  isSticky,
  ownVoteDurable,
  replyVote,
  requestVote,
  restartElectionTimer,
  scheduleBootCampaign,
  suspectLeader,
} from './election.ts';
import { stepFollower } from './follower.ts';
import { sendHeartbeat } from './heartbeat.ts';
import { assertReplica } from './invariants.ts';
import { stepLeader, tickLeader } from './leader.ts';
import type { RaftLog } from './log.ts';
import type { MembershipHistory } from './membership.ts';
import type { CoreMessage, VoteRequest } from './messages.ts';
import type { RestoredShard } from './ports.ts';
import {
  noticeConnection,
  noticeSilence,
  noticeVoteRequest,
  wakeAndSpeak,
  wakeLeader,
} from './quiet.ts';
import { committedIndex } from './quorum.ts';
import { startReads } from './read-index.ts';
import type { LoadRequest, PendingWrite, Ready } from './ready.ts';
import {
  type ChangeRefusal,
  finishChange,
  type MembershipRequest,
  proposeChange,
} from './reconfigure.ts';
import { type CoreOptions, recoveredState } from './recovered.ts';
import {
  appendOwn,
  type CommandBody,
  handleLoaded,
  loadedBytesTo,
  markWritten,
  maybeCommit,
  probeAgain,
  replicateToAll,
} from './replication.ts';
import { lacks, type Restoration, restore } from './restore.ts';
import type { Instant, RaftState, Role } from './state.ts';
import {
  startTransfer,
  type TransferOutcome,
  takeTransferOutcome,
  urgeTarget,
} from './transfer.ts';
import {
  type Entry,
  type EntryId,
  EntryType,
  type LogIndex,
  type Membership,
  type MonotonicMs,
  type NodeId,
  type ReplicaId,
  type ShardTimeMs,
  type Term,
} from './types.ts';
import { nextTimeMs } from './voter-clocks.ts';
import { takeWrite } from './writes.ts';

/** While leadership is being handed over, there is no leader for proposals: `notLeader`. */
export type ProposeResult = Entry | 'notLeader' | 'overloaded';
export type ReadResult = 'accepted' | 'notLeader' | 'overloaded';

export type { CoreOptions } from './recovered.ts';

export class RaftCore {
  readonly #state: RaftState;

  constructor(options: CoreOptions) {
    this.#state = recoveredState(options);
  }

  get shard(): number {
    return this.#state.shard;
  }
  get self(): ReplicaId {
    return this.#state.self;
  }
  get role(): Role {
    return this.#state.role;
  }
  get term(): Term {
    return this.#state.term;
  }
  get leader(): ReplicaId {
    return this.#state.leader;
  }
  get log(): RaftLog {
    return this.#state.log;
  }
  get membership(): MembershipHistory {
    return this.#state.membership;
  }
  /** First index of the own term while leading. */
  get reignFirstIndex(): LogIndex | undefined {
    return this.#state.reign?.firstIndex;
  }

  #at(now: Instant): void {
    // A clock that seems to run backwards would only disturb timers: hold the last value.
    this.#state.nowMs = Math.max(this.#state.nowMs, now.nowMs);
    this.#state.wallMs = now.wallMs;
  }

  /** Boot: arms the first election timer. */
  start(now: Instant): void {
    this.#at(now);
    restartElectionTimer(this.#state);
    scheduleBootCampaign(this.#state, this.#state.settings.bootDelayMs);
  }

  /** The time of the last recovered entry, read by the driver. No campaign happens before. */
  lastTimeWas(timeMs: ShardTimeMs): void {
    this.#state.log.lastTimeWas(timeMs);
  }

  step(message: CoreMessage, now: Instant): void {
    const state = this.#state;
    this.#at(now);
    if (message.to !== state.self || message.shard !== state.shard) return;
    if (message.type === 'preVote' || message.type === 'vote') noticeVoteRequest(state, message);
    if (message.type === 'preVote') {
      handlePreVote(state, message);
      return;
    }
    if (message.term > state.term && !this.#stepUp(message)) return;
    if (message.term < state.term) {
      this.#answerOldTerm(message);
      return;
    }
    if (message.type === 'vote') handleVote(state, message);
    else this.#dispatch(message);
  }

  /** What drivers say to each other carries terms, too (paper 5.1). */
  observeTerm(term: Term, now: Instant): void {
    this.#at(now);
    if (term > this.#state.term) becomeFollower(this.#state, term, 0);
  }

  /** A newer term (paper 5.1). False: the message is to be ignored. */
  #stepUp(message: CoreMessage): boolean {
    const state = this.#state;
    if (message.type === 'preVoteReply' && message.granted) {
      if (state.role === 'preCandidate') stepCandidate(state, message);
      return false;
    }
    if (message.type === 'vote' && isSticky(state) && !message.transfer) return false;
    const isLeader = message.type === 'append' || message.type === 'heartbeat';
    becomeFollower(state, message.term, isLeader ? message.from : 0);
    return true;
  }

  /** Tells a sender of an older term about ours: a stranded leader or candidate must learn it. */
  #answerOldTerm(message: CoreMessage): void {
    const state = this.#state;
    const { shard, self: from, term } = state;
    if (state.reign !== undefined) wakeAndSpeak(state, state.reign);
    if (message.type === 'vote') replyVote(state, message as VoteRequest, false);
    if (message.type !== 'append' && message.type !== 'heartbeat') return;
    const reply = { shard, from, to: message.from, term, round: 0, wallMs: state.wallMs };
    const { isSuspect: suspect } = state;
    state.out.send({ ...reply, type: 'heartbeatReply', suspect, quiet: false });
  }

  #dispatch(message: CoreMessage): void {
    const state = this.#state;
    switch (state.role) {
      case 'follower':
        stepFollower(state, message);
        break;
      case 'preCandidate':
      case 'candidate':
        stepCandidate(state, message);
        break;
      case 'leader':
        stepLeader(state, message);
        break;
      default: {
        const unknown: never = state.role;
        assert.fail(unknown);
      }
    }
  }

  /** The entry is appended in memory at once; it leaves with the next `ready()`. */
  propose(command: CommandBody, wantsWritten: boolean, now: Instant): ProposeResult {
    const state = this.#state;
    const { reign, log, settings } = state;
    this.#at(now);
    if (reign === undefined || this.#state.transfer !== undefined) return 'notLeader';
    const bytes = command.head.length + command.payload.length;
    const isOver =
      log.lastIndex - log.commit >= settings.maxUncommittedEntries ||
      reign.uncommittedBytes + bytes > settings.maxUncommittedBytes;
    // One command larger than the bound still passes when nothing else waits.
    if (isOver && log.lastIndex > log.commit) return 'overloaded';
    wakeLeader(state, reign);
    const entry = appendOwn(state, EntryType.command, command);
    if (wantsWritten) {
      state.wantsWritten = true;
      reign.wantsWrittenTo = entry.index;
    }
    return entry;
  }

  changeMembership(request: MembershipRequest, now: Instant): Entry | ChangeRefusal {
    this.#at(now);
    return proposeChange(this.#state, request);
  }

  /** Undefined: under way; the outcome comes with a later `ready()`. */
  transferTo(replica: ReplicaId, now: Instant): TransferOutcome | undefined {
    this.#at(now);
    return startTransfer(this.#state, replica);
  }

  readIndex(id: number, now: Instant): ReadResult {
    const { reign, settings } = this.#state;
    this.#at(now);
    if (reign === undefined) return 'notLeader';
    if (reign.reads.count >= settings.maxPendingReads) return 'overloaded';
    wakeLeader(this.#state, reign);
    reign.reads.request(id);
    return 'accepted';
  }

  get nextDeadlineMs(): MonotonicMs {
    const state = this.#state;
    const { reign, transfer } = state;
    const dueMs =
      reign === undefined
        ? Math.min(state.electionAtMs, state.stickyRetryAtMs)
        : reign.heartbeatAtMs;
    return Math.min(dueMs, transfer?.deadlineMs ?? dueMs);
  }

  tick(now: Instant): void {
    this.#at(now);
    if (this.#state.role === 'leader') tickLeader(this.#state);
    else tickElection(this.#state);
  }

  /** The store has `write` in its page cache. */
  written(write: PendingWrite): void {
    const state = this.#state;
    if (write.isWritten) return;
    write.isWritten = true;
    state.log.writtenTo(write.lastIndex);
    if (state.reign !== undefined) markWritten(state.reign, state.self, state.log.written);
    state.out.release(write.afterWritten);
  }

  /** The store has `write` on the disk; called in the order of the writes. */
  durable(write: PendingWrite, now: Instant): void {
    const state = this.#state;
    this.#at(now);
    assert(state.pendingWrites.shift() === write, 'writes become durable in order');
    this.written(write);
    state.log.durableTo(write.lastIndex);
    state.out.release(write.afterDurable);
    repaired(state, write.repaired);
    if (write.hardState !== undefined) state.durableState = write.hardState;
    if (state.reign !== undefined) {
      state.reign.matched.set(state.self, state.log.durable);
      maybeCommit(state, state.reign);
    }
    ownVoteDurable(state);
  }

  loaded(request: LoadRequest, entries: readonly Entry[], now: Instant): void {
    this.#at(now);
    handleLoaded(this.#state, request, entries);
  }

  /** While leading: read from the store for replicas on `node`, and not acknowledged yet. */
  loadedBytesTo(node: NodeId): number {
    return loadedBytesTo(this.#state, node);
  }

  /** Of an entry that was proposed now. */
  shardTimeMs(now: Instant): ShardTimeMs {
    this.#at(now);
    return nextTimeMs(this.#state);
  }

  appliedTo(index: LogIndex): void {
    this.#state.log.appliedTo(index);
  }

  /** The control connection to a replica's node is (again) up: what was under way is lost. */
  peerUp(replica: ReplicaId, now: Instant): void {
    const state = this.#state;
    this.#at(now);
    noticeConnection(state, replica);
    const progress = state.reign?.progress.get(replica);
    if (state.reign !== undefined && progress !== undefined) {
      probeAgain(progress);
      sendHeartbeat(state, state.reign, replica);
    } else if (state.role === 'preCandidate' && state.votes.get(replica) !== true) {
      requestVote(state, 'preVote', replica);
    } else if (state.role === 'candidate' && !state.votes.has(replica)) {
      requestVote(state, 'vote', replica);
    } else if (state.role === 'follower') {
      if (replica === state.leader) giveLeaderTime(state);
      else scheduleBootCampaign(state, 0);
    }
  }

  peerReset(replica: ReplicaId, now: Instant): void {
    this.#at(now);
    noticeConnection(this.#state, replica);
    if (replica === this.#state.leader) suspectLeader(this.#state);
  }

  /** The replica's node gave no sign of life for an election timeout; `heardMs` was its last. */
  peerSilent(replica: ReplicaId, heardMs: MonotonicMs, now: Instant): void {
    this.#at(now);
    noticeSilence(this.#state, replica, heardMs);
  }

  /** Records of it are lost: only a replica with a new id can take its place. */
  get isSuspect(): boolean {
    return this.#state.isSuspect;
  }

  /** False: it is known already, or of no interest. A leader hands over. */
  noteDamage(id: EntryId): boolean {
    return noteDamage(this.#state, id);
  }

  isDamaged(index: LogIndex): boolean {
    return this.#state.damaged.has(index);
  }

  /** Up to there something is damaged: a checkpoint from there on would be of use. */
  isDamagedUpTo(index: LogIndex): boolean {
    return isDamagedUpTo(this.#state, index);
  }

  get isIntact(): boolean {
    return this.#state.damaged.size === 0;
  }

  damagedEntries(): EntryId[] {
    return [...this.#state.damaged].map(([index, term]) => ({ index, term }));
  }

  /** Goes to the store with the next `ready()`. */
  repair(entry: Entry): void {
    repair(this.#state, entry);
  }

  /** Nothing goes on, and no timer of this shard runs but the safety net. */
  get isQuiet(): boolean {
    const { reign, isQuiet } = this.#state;
    return reign === undefined ? isQuiet : reign.isQuiet;
  }

  /** `restored`: the caller swaps the state to the one as of `id`, now. */
  restore(restored: RestoredShard, now: Instant): Restoration {
    this.#at(now);
    return restore(this.#state, restored);
  }

  /** While leading: who needs what is gone from this log, and lives: a dead one blocks others. */
  snapshotTargets(): readonly ReplicaId[] {
    const { reign, nowMs, settings } = this.#state;
    if (reign === undefined) return [];
    const targets: ReplicaId[] = [];
    for (const { replica, state, contactMs, isSuspect } of reign.progress.values()) {
      const isHeard = nowMs - contactMs < settings.electionTimeoutMs;
      if (state === 'snapshot' && isHeard && !isSuspect) targets.push(replica);
    }
    return targets;
  }

  lacks(index: LogIndex): boolean {
    return lacks(this.#state, index);
  }

  snapshotDone(replica: ReplicaId, id: EntryId): void {
    this.#state.reign?.progress.get(replica)?.snapshotDone(id.index);
  }

  /** Retention: everything up to `start` may leave the log; recorded with the next write. */
  setLogStart(start: EntryId): void {
    const state = this.#state;
    // A snapshot that is not durable yet may have brought it here already.
    if (start.index === state.log.start.index) return;
    state.log.setStart(start);
    state.membership.startAt(start.index);
    state.mustWriteState = true;
  }

  ready(): Ready {
    const state = this.#state;
    const { log } = state;
    if (state.damaged.size > 0) forgetGone(state);
    if (state.reign !== undefined) finishChange(state, state.reign);
    const { reign } = state;
    if (reign !== undefined) {
      startReads(state, reign);
      replicateToAll(state, reign);
      urgeTarget(state, reign);
    }
    const write = takeWrite(state);
    assertReplica(state);
    state.evict();
    const failedReads = state.failedReads;
    state.failedReads = [];
    return {
      write,
      messages: state.out.takeMessages(),
      loads: state.out.takeLoads(),
      confirmedReads: reign === undefined ? [] : reign.reads.takeConfirmed(),
      failedReads,
      transferred: takeTransferOutcome(state),
      commit: log.commit,
      wakeAt: this.nextDeadlineMs,
    };
  }

  /** In the page cache of a quorum through here (own term's entries only while leading). */
  get majorityWritten(): LogIndex {
    const { reign, config } = this.#state;
    if (reign === undefined) return 0;
    const index = committedIndex(config, reign.writtenMarks);
    return index >= reign.firstIndex ? index : 0;
  }

  get ownWritten(): LogIndex {
    return this.#state.log.written;
  }

  /** How many replicas have `index` durable (or, weaker, in the page cache). */
  replicasWith(index: LogIndex, level: 'durable' | 'written'): number {
    const { reign } = this.#state;
    if (reign === undefined) return 0;
    let count = 0;
    for (const reached of (level === 'durable' ? reign.matched : reign.writtenMarks).values()) {
      if (reached >= index) count++;
    }
    return count;
  }

  /** What is known to be durable at `replica`; for others than itself only while leading. */
  matchOf(replica: ReplicaId): LogIndex {
    const state = this.#state;
    if (replica === state.self) return state.log.durable;
    return state.reign?.matched.get(replica) ?? 0;
  }

  /**
   * While leading: it takes part, and goes on with the log as it is. One that waits for a snapshot
   * or for its end does not.
   */
  needsLog(replica: ReplicaId, maxSilenceMs: number): boolean {
    const progress = this.#state.reign?.progress.get(replica);
    if (progress === undefined) return true;
    if (progress.isSuspect || progress.state === 'snapshot') return false;
    return this.#state.nowMs - progress.contactMs <= maxSilenceMs;
  }

  get currentMembership(): Membership {
    return this.#state.membership.current;
  }
}

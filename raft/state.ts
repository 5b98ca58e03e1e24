/**
 * All of one replica's volatile and durable facts as plain fields; the role files are functions
 * over it. Nothing here decides.
 */
import type { RaftConfig } from './config.ts';
import type { RaftLog } from './log.ts';
import type { MembershipHistory } from './membership.ts';
import type { VoteRequest } from './messages.ts';
import type { Rng } from './ports.ts';
import type { Progress } from './progress.ts';
import type { ReadQueue } from './read-index.ts';
import { Outputs, type PendingWrite } from './ready.ts';
import { ShardTime, type WallClocks } from './shard-time.ts';
import type { Transfer } from './transfer.ts';
import type {
  Configuration,
  Entry,
  EntryId,
  HardState,
  LogIndex,
  MonotonicMs,
  ReplicaId,
  ShardId,
  ShardTimeMs,
  Term,
} from './types.ts';

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** The time of an input, from outside: the core has no clock. */
export interface Instant {
  readonly nowMs: MonotonicMs;
  readonly wallMs: ShardTimeMs;
}

/** What exists only while leading, from election to step-down. */
export interface Reign {
  readonly progress: Map<ReplicaId, Progress>;
  /** Durable match per replica, this one included: the only thing that commits. */
  readonly matched: Map<ReplicaId, LogIndex>;
  /** Page-cache marks: serve the level MAJORITY only, never commit. */
  readonly writtenMarks: Map<ReplicaId, LogIndex>;
  /** Last round each replica confirmed. */
  readonly rounds: Map<ReplicaId, number>;
  readonly reads: ReadQueue;
  /** First entry of this term: the no-op. */
  readonly firstIndex: LogIndex;
  round: number;
  heartbeatAtMs: MonotonicMs;
  /** No heartbeats are sent: all members rest (quiet.ts). */
  isQuiet: boolean;
  /** The round in which the members were told that they may rest; 0 = they were not. */
  quietRound: number;
  readonly quietReplies: Set<ReplicaId>;
  /** The heartbeat round in which the target of a transfer was last told to campaign. */
  urgedRound: number;
  uncommittedBytes: number;
  /** Somebody waits for page cache on a majority up to here. */
  wantsWrittenTo: LogIndex;
}

export interface StateOrigin {
  readonly shard: ShardId;
  readonly self: ReplicaId;
  readonly settings: RaftConfig;
  readonly rng: Rng;
  readonly log: RaftLog;
  readonly membership: MembershipHistory;
  readonly clocks: WallClocks;
  readonly hardState: HardState;
  readonly isSuspect: boolean;
  readonly damaged: readonly EntryId[];
}

/** So many times its bound may the window hold with entries that are not applied yet. */
const UNAPPLIED_FACTOR = 2;

export class RaftState {
  readonly shard: ShardId;
  readonly self: ReplicaId;
  readonly settings: RaftConfig;
  readonly rng: Rng;
  readonly log: RaftLog;
  readonly membership: MembershipHistory;
  readonly clocks: WallClocks;
  readonly time = new ShardTime();
  readonly out = new Outputs();
  /** Never votes, campaigns or acknowledges (types.ts, `ShardState.suspect`). */
  readonly isSuspect: boolean;
  /** Entries without an intact body on this disk: index to term (damage.ts). */
  readonly damaged: Map<LogIndex, Term>;
  /** Intact bodies on their way to the store. */
  readonly repairs = new Map<LogIndex, Entry>();

  nowMs: MonotonicMs = 0;
  wallMs: ShardTimeMs = 0;

  role: Role = 'follower';
  term: Term;
  vote: ReplicaId;
  /** 0 = none known in this term. */
  leader: ReplicaId = 0;

  /** Last heartbeat or append of the leader of this term: the source of stickiness. */
  heardMs: MonotonicMs = Number.NEGATIVE_INFINITY;
  /** The leader's control connection was reset and no heartbeat came since: no stickiness. */
  isLeaderSuspect = false;
  /** This follower's timer does not run its full draw, but by rank. */
  isCampaignEarly = false;
  /** Follows a quiet leader: the election timer rests (quiet.ts). */
  isQuiet = false;
  /** This follower's place in the queue for an early campaign. */
  rank = 0;
  /** When to campaign next, and the draw behind it (renewed per attempt). */
  electionAtMs: MonotonicMs = Number.POSITIVE_INFINITY;
  electionDrawMs = 0;
  /** Booted and never heard of a leader. */
  isFresh = true;
  readonly votes = new Map<ReplicaId, boolean>();
  stickyRetriesLeft = 0;
  stickyRetryAtMs: MonotonicMs = Number.POSITIVE_INFINITY;
  /** Refused for stickiness: answered again if the stickiness ends. */
  refusedPreVote: VoteRequest | undefined = undefined;
  isTransfer = false;

  /** Last entry that appends of this term's leader proved equal to the leader's log. */
  verifiedIndex: LogIndex = 0;

  /** The leader's last append said that more is committed than it brought. */
  isBehind = false;

  reign: Reign | undefined = undefined;
  transfer: Transfer | undefined = undefined;
  failedReads: number[] = [];

  /** What the last state record handed to the store said, and what is known durable. */
  handedState: HardState;
  durableState: HardState;
  mustWriteState = false;
  /** The next state record voids all earlier entries of the shard. */
  mustReset = false;
  readonly pendingWrites: PendingWrite[] = [];
  /** Own page-cache wish, or a leader's: the next write asks for `onWritten`. */
  wantsWritten = false;

  constructor(origin: StateOrigin) {
    this.shard = origin.shard;
    this.self = origin.self;
    this.settings = origin.settings;
    this.rng = origin.rng;
    this.log = origin.log;
    this.membership = origin.membership;
    this.clocks = origin.clocks;
    this.isSuspect = origin.isSuspect;
    this.damaged = new Map(origin.damaged.map(({ index, term }) => [index, term]));
    this.term = origin.hardState.term;
    this.vote = origin.hardState.vote;
    this.handedState = origin.hardState;
    this.durableState = origin.hardState;
  }

  /**
   * Recent entries stay in memory for whoever reads along. Nobody reads along with a follower that
   * is far behind: what it has applied and made durable goes at once.
   */
  evict(): void {
    const { maxTailBytes } = this.settings;
    const isFar = this.role === 'follower' && this.isBehind;
    this.log.evict(isFar ? 0 : maxTailBytes, UNAPPLIED_FACTOR * maxTailBytes);
  }

  /** Appended is in force, committed or not (thesis 4.1). */
  get config(): Configuration {
    return this.membership.current.config;
  }
}

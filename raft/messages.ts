/**
 * The closed union of what replicas of one shard say to each other. Every message carries both
 * ends' replica ids; a receiver drops one whose `to` is not its own id or whose `from` is not the
 * id that its membership gives to the sending node (internals rule 8).
 */
import type { Entry, LogIndex, ReplicaId, ShardId, ShardTimeMs, Term } from './types.ts';

interface Addressed {
  readonly shard: ShardId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The sender's term; in `preVote` the term that it would campaign in. */
  readonly term: Term;
}

/** RequestVote (paper, 5.2), or its rehearsal that changes no term and no vote (thesis, 9.6). */
export interface VoteRequest extends Addressed {
  readonly type: 'preVote' | 'vote';
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Set on a leadership transfer: overrides leader stickiness. */
  readonly transfer: boolean;
}

export interface VoteReply extends Addressed {
  readonly type: 'preVoteReply' | 'voteReply';
  readonly granted: boolean;
  /** Refused only because a leader was heard of within the election timeout: worth another try. */
  readonly sticky: boolean;
}

/** AppendEntries with entries (or an empty probe). Entries are contiguous from `prevIndex + 1`. */
export interface Append extends Addressed {
  readonly type: 'append';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly commit: LogIndex;
  /** Some proposer waits for page cache on a majority: answer with `written` too. */
  readonly wantsWritten: boolean;
  readonly entries: readonly Entry[];
}

/**
 * Durable through `matchIndex` (only entries that this leader's appends verified), or a conflict.
 */
export interface AppendReply extends Addressed {
  readonly type: 'appendReply';
  readonly success: boolean;
  /** success: durable and matching through here. Otherwise the `prevIndex` that did not match. */
  readonly matchIndex: LogIndex;
  /** Conflict: the term found at `prevIndex` (0 = the log is shorter) and its first index here. */
  readonly conflictTerm: Term;
  readonly conflictIndex: LogIndex;
  /** The follower's last index. */
  readonly lastIndex: LogIndex;
}

/**
 * In the follower's page cache through (term, index): serves the durability level MAJORITY only.
 */
export interface Written extends Addressed {
  readonly type: 'written';
  readonly index: LogIndex;
}

/** Leadership kept alive; `round` numbers confirm quorum contact and reads (thesis, 6.4). */
export interface Heartbeat extends Addressed {
  readonly type: 'heartbeat';
  /** min(the follower's match index, the leader's commit index). */
  readonly commit: LogIndex;
  readonly round: number;
  /** 0 = the best-placed follower: who may campaign first if the leader's connection resets. */
  readonly rank: number;
}

export interface HeartbeatReply extends Addressed {
  readonly type: 'heartbeatReply';
  readonly round: number;
  /** The follower's wall clock: one sample for shard time (internals rule 10). */
  readonly wallMs: ShardTimeMs;
}

/** Leadership transfer: campaign at once (thesis, 3.10). */
export interface TimeoutNow extends Addressed {
  readonly type: 'timeoutNow';
}

export type PeerMessage =
  | VoteRequest
  | VoteReply
  | Append
  | AppendReply
  | Written
  | Heartbeat
  | HeartbeatReply
  | TimeoutNow;

export type PeerMessageType = PeerMessage['type'];

/**
 * Messages that promise something durable: they leave only after everything that was handed to the
 * store before them is on the disk. A `vote` request promises the candidate's own vote.
 */
export type PromisingMessage =
  | (VoteRequest & { readonly type: 'vote' })
  | (VoteReply & { readonly type: 'voteReply' })
  | AppendReply;
/** Messages that promise nothing durable. `Written` has its own moment and is in neither class. */
export type FreeMessage =
  | (VoteRequest & { readonly type: 'preVote' })
  | (VoteReply & { readonly type: 'preVoteReply' })
  | Append
  | Heartbeat
  | HeartbeatReply
  | TimeoutNow;

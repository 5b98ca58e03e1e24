/**
 * The closed union of what replicas of one shard say to each other. Every message carries both
 * ends' replica ids; a receiver drops one whose `to` is not its own id or whose `from` lives on
 * another node than the sender, as far as its membership knows (internals rule 8).
 */
import type {
  Entry,
  EntryId,
  LogIndex,
  Membership,
  ReplicaId,
  ShardId,
  ShardTimeMs,
  Term,
} from './types.ts';

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
  /** The voter's wall clock: whoever is elected knows those of a quorum (internals rule 10). */
  readonly wallMs: ShardTimeMs;
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
  /** Nothing goes on; `commit` is the last index: whoever has just that log may go quiet. */
  readonly quiet: boolean;
}

export interface HeartbeatReply extends Addressed {
  readonly type: 'heartbeatReply';
  readonly round: number;
  /** The follower's wall clock: one sample for shard time (internals rule 10). */
  readonly wallMs: ShardTimeMs;
  /** Records of the follower are lost: it takes nothing, and waits to be replaced. */
  readonly suspect: boolean;
  /** The follower went quiet: it expects no heartbeat until its leader's node falls silent. */
  readonly quiet: boolean;
}

/** Leadership transfer: campaign at once (thesis, 3.10). */
export interface TimeoutNow extends Addressed {
  readonly type: 'timeoutNow';
}

/**
 * To a learner that this leader has never heard of in its reign: its node may not hold the replica
 * yet. The node creates it only if the incarnation is its own and the id is higher than any that it
 * ever held for the shard.
 */
export interface Invite extends Addressed {
  readonly type: 'invite';
  readonly incarnation: string;
  /** Where the leader's log starts, and the membership as of there. */
  readonly logStart: EntryId;
  readonly membership: Membership;
  /** The leader's committed configuration names no other replica there: it may be dropped. */
  readonly replaces: boolean;
}

/** A piece of the checkpoint at the leader's log start. An empty one at offset 0 is the offer. */
export interface SnapshotChunk extends Addressed {
  readonly type: 'snapshotChunk';
  readonly id: EntryId;
  readonly totalBytes: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

export interface SnapshotReply extends Addressed {
  readonly type: 'snapshotReply';
  readonly id: EntryId;
  /** The receiver has everything before this: the sender goes on (or back) to here. */
  readonly nextOffset: number;
  /** The receiver's log is durable from `id` on: ordinary appends may follow. */
  readonly done: boolean;
}

/**
 * Asks any replica, whoever leads, for the checkpoint at its log's start, if that is not before
 * `through`. A log that was never trimmed needs none: the answer is that one at 0 is done.
 */
export interface SnapshotRequest extends Addressed {
  readonly type: 'snapshotRequest';
  readonly through: LogIndex;
}

/** Asks any replica for an entry whose body is damaged here (internals rule 2). */
export interface RepairRequest extends Addressed {
  readonly type: 'repairRequest';
  readonly id: EntryId;
}

export interface RepairReply extends Addressed {
  readonly type: 'repairReply';
  readonly id: EntryId;
  /** Absent: not held here, or damaged too. */
  readonly entry?: Entry;
  /** Gone from this log: the checkpoint at its start covers it. */
  readonly trimmed: boolean;
}

/**
 * From node to node, once per heartbeat interval: it stands for the heartbeats of all quiet shards
 * between the two, and tells what the sender's wall clock shows.
 */
export interface Alive {
  readonly type: 'alive';
  readonly wallMs: ShardTimeMs;
}

/** What the core understands. The other messages are between drivers. */
export type CoreMessage =
  | VoteRequest
  | VoteReply
  | Append
  | AppendReply
  | Written
  | Heartbeat
  | HeartbeatReply
  | TimeoutNow;

export type ShardMessage =
  | CoreMessage
  | Invite
  | SnapshotChunk
  | SnapshotReply
  | SnapshotRequest
  | RepairRequest
  | RepairReply;

export type PeerMessage = ShardMessage | Alive;

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
  | TimeoutNow
  | Invite;

/**
 * The words of the Raft paper as types. Plain data only: everything here can be printed, compared
 * and sent.
 *
 * Ids are *flavoured* numbers: a plain number may be used as any of them, but a `Term` is not
 * accepted where a `LogIndex` is expected.
 */
declare const flavour: unique symbol;
type Flavoured<Base, Name extends string> = Base & { readonly [flavour]?: Name };

/** A Raft term. 0 = before any election. At most 2^48 - 1 (the record format's field). */
export type Term = Flavoured<number, 'Term'>;
/** Position in a shard's log. The first entry is 1; 0 = "before the log". */
export type LogIndex = Flavoured<number, 'LogIndex'>;
/** A Raft group. 0 is the metadata shard, 1…N hold queues. */
export type ShardId = Flavoured<number, 'ShardId'>;
/** A machine (process and data directory), from 1. */
export type NodeId = Flavoured<number, 'NodeId'>;
/**
 * A member of one shard's Raft group: issued by the metadata shard, one per (shard, placement),
 * never reused (internals rule 8). From 1; 0 = none (no vote cast, no leader known).
 */
export type ReplicaId = Flavoured<number, 'ReplicaId'>;
/** Milliseconds on an arbitrary monotonic clock: for timeouts only, never stored. */
export type MonotonicMs = Flavoured<number, 'MonotonicMs'>;
/** Unix milliseconds of *shard time* (internals rule 10): stored in entries, never falls. */
export type ShardTimeMs = Flavoured<number, 'ShardTimeMs'>;

/** What an entry is for. The numbers are on disk and on the wire: never renumber. */
export const EntryType = {
  /**
   * Appended by a new leader so that it can commit entries of older terms (paper, section 5.4.2).
   */
  noop: 0,
  /** A command for the state machine. */
  command: 1,
  /** A membership configuration (`head` = encoded `Membership`). */
  config: 2,
} as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/**
 * One entry of a shard's log. The body is `head` followed by `payload`; Raft looks into neither.
 * They are kept apart so that payload bytes travel from the producer's request to disks and
 * consumers as one untouched slice.
 */
export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly type: EntryType;
  /** Shard time given by the leader that appended the entry. */
  readonly timeMs: ShardTimeMs;
  /** The command's own bytes. */
  readonly head: Uint8Array;
  /** Opaque bytes carried along (empty for most commands). */
  readonly payload: Uint8Array;
  /** CRC-32 (IEEE, zlib) over head then payload: computed once by the leader, never recomputed. */
  readonly bodyCrc: number;
}

/** Position and term of an entry: names it uniquely in a shard for ever. */
export interface EntryId {
  readonly index: LogIndex;
  readonly term: Term;
}

/** What must be durable before it is revealed (paper, figure 2, "persistent state"). */
export interface HardState {
  readonly term: Term;
  readonly vote: ReplicaId;
  /** A lower bound of the commit index, only to speed up a restart; never relied on for safety. */
  readonly commit: LogIndex;
}

/** A Raft configuration as sets of replica ids; `votersOutgoing` non-empty = joint consensus. */
export interface Configuration {
  readonly voters: readonly ReplicaId[];
  readonly votersOutgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  /** Voters being demoted by the joint step under way: they become learners when it is left. */
  readonly learnersNext: readonly ReplicaId[];
  /** Joint only: the leader leaves the joint configuration by itself. Absent = false. */
  readonly autoLeave?: true;
}

/** Who a replica id is: the node and the incarnation (random id) of its data directory. */
export interface ReplicaAddress {
  readonly replica: ReplicaId;
  readonly node: NodeId;
  readonly incarnation: string;
}

/** The content of a configuration entry. */
export interface Membership {
  readonly config: Configuration;
  readonly replicas: readonly ReplicaAddress[];
}

/**
 * A shard's durable facts apart from its entries: written to the shared log when they change and
 * again at the head of every new segment (internals rule 4).
 */
export interface ShardState {
  readonly hardState: HardState;
  /** This node's own id in the shard. */
  readonly replica: ReplicaId;
  /** Entries up to and including this one are gone from the log (0/0 = none is). */
  readonly logStart: EntryId;
  /** The membership as of `logStart`; configuration entries after it follow in the log. */
  readonly membership: Membership;
  /**
   * Records of this directory are lost, nobody knows which: the replica keeps what it has but never
   * votes, campaigns or acknowledges again. Only a new replica id ends it.
   */
  readonly suspect?: true;
}

/** From `index` on (until the next mark) the log's entries have this term. */
export interface TermStart {
  readonly term: Term;
  readonly index: LogIndex;
}

/** What the store found for one shard when it was opened. */
export interface RecoveredShard {
  readonly shard: ShardId;
  readonly state: ShardState;
  /** Index of the last intact entry; equals `state.logStart.index` when the log is empty. */
  readonly lastIndex: LogIndex;
  /** Ascending; covers logStart.index + 1 … lastIndex. */
  readonly termStarts: readonly TermStart[];
  /** The configuration entries after `logStart`, ascending. */
  readonly configEntries: readonly Entry[];
  /**
   * Entries whose header is intact and whose body is not, ascending. Until a peer has sent them
   * again the replica votes and follows, but neither campaigns nor leads. Absent = none.
   */
  readonly damaged?: readonly EntryId[];
}

export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

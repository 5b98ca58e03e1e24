/**
 * The shards that this node holds, as the service sees them. Everything here is local: which node
 * to go to is the router's question. Callbacks, not promises; each is called exactly once.
 */
import type { ProposalOutcome, ReadOutcome } from '../../raft/driver.ts';
import type {
  Entry,
  LogIndex,
  NodeId,
  ReplicaId,
  ShardId,
  ShardTimeMs,
  Term,
} from '../../raft/types.ts';
import type { DataShard, StateCounts } from '../broker/api.ts';
import type { QueueId } from '../broker/commands.ts';
import type { QueueIndexRow } from '../broker/state-port.ts';
import type { MetaView } from '../cluster/api.ts';
import type { MessageFilter } from '../filter/filter.ts';

/** One stored batch, trimmed to what was asked for. */
export interface FetchedBatch {
  readonly baseOffset: number;
  readonly count: number;
  readonly row: QueueIndexRow;
  /** The encoded `repeated Message messages = 1000` fields: a slice of what the producer sent. */
  readonly messages: Uint8Array;
  /** For message ids: the entry that first held them, and the first one's position there. */
  readonly firstIndex: LogIndex;
  readonly firstPosition: number;
}

export type FetchOutcome =
  | {
      readonly status: 'ok';
      readonly batches: readonly FetchedBatch[];
      /** Past what was read, and past what a filter left out. */
      readonly nextOffset: number;
      readonly startOffset: number;
      readonly endOffset: number;
    }
  /** Definite: below the start, or past the end (confirmed by a quorum round). */
  | {
      readonly status: 'outOfRange';
      readonly startOffset: number;
      readonly endOffset: number;
    }
  | { readonly status: 'queueNotOpen' }
  | { readonly status: 'notLeader'; readonly leader: NodeId | undefined }
  | { readonly status: 'damaged'; readonly message: string }
  /** Cancelled by the caller. */
  | { readonly status: 'cancelled' };

export interface FetchArguments {
  readonly shard: ShardId;
  readonly queueId: QueueId;
  readonly offset: number;
  readonly maxBytes: number;
  /** 0 = no limit but maxBytes. */
  readonly maxMessages: number;
  /** How long to wait at the end of the queue; 0 = answer at once. */
  readonly waitMs: number;
  readonly linearizable: boolean;
  /** What does not match is left out; `maxMessages` counts what does. */
  readonly filter?: MessageFilter | undefined;
}

export interface Cancellable {
  cancel(): void;
}

export interface ShardStatus {
  readonly shard: ShardId;
  readonly leader: NodeId | undefined;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** This node's own replica lost records: it takes part in nothing any more. */
  readonly suspect: boolean;
  /** As this node's replica has them; absent in the metadata shard. */
  readonly counts?: StateCounts;
  readonly replicas: readonly {
    readonly node: NodeId;
    readonly replica: ReplicaId;
    readonly matchIndex: LogIndex;
    readonly role: string;
  }[];
}

export interface ShardHost {
  readonly node: NodeId;
  /** All shards of the cluster, this node's or not, ascending; 0 is the metadata shard. */
  shards(): readonly ShardId[];
  /** This node has a replica of the shard. Told by `onLeadership` when it changes. */
  holds(shard: ShardId): boolean;
  leaderOf(shard: ShardId): NodeId | undefined;
  /** This node leads the shard and may speak about its content (internals rule 12). */
  isReady(shard: ShardId): boolean;
  /** Called on every change of leader or readiness of any shard; returns the unsubscriber. */
  onLeadership(listener: (shard: ShardId) => void): () => void;
  /** Shard time as a new entry of this shard would carry it. */
  shardTimeMs(shard: ShardId): ShardTimeMs;
  /** For whoever sleeps until a shard time; returns how to wake up for nothing. */
  startTimer(delayMs: number, fire: () => void): () => void;
  /**
   * `head` from the broker's command codec. The result of `applied` is an ApplyResult / MetaResult.
   */
  propose(
    shard: ShardId,
    head: Uint8Array,
    payload: Uint8Array,
    level: 'majorityFsync' | 'majority' | 'leader',
    done: (outcome: ProposalOutcome) => void,
  ): void;
  readIndex(shard: ShardId, done: (outcome: ReadOutcome) => void): void;
  /** A node with a replica of the shard whose disk has no room for new messages. */
  fullDisk(shard: ShardId): NodeId | undefined;
  /** Applied state, to read only. */
  data(shard: ShardId): DataShard;
  meta(): MetaView;
  fetch(args: FetchArguments, done: (outcome: FetchOutcome) => void): Cancellable;
  /** First offset stored at or after `atMs`; the end offset when nothing is that new. */
  offsetAtTime(
    shard: ShardId,
    queueId: QueueId,
    atMs: ShardTimeMs,
    done: (error: Error | undefined, offset: number) => void,
  ): void;
  readEntry(
    shard: ShardId,
    index: LogIndex,
    done: (error: Error | undefined, entry: Entry | undefined) => void,
  ): void;
  /** Called after entries of a data shard were applied (checks may have become due). */
  onApplied(listener: (shard: ShardId) => void): () => void;
  status(): readonly ShardStatus[];
}

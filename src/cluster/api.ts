/** The metadata shard's state as every node sees its own replica of it. */
import type {
  Entry,
  LogIndex,
  NodeId,
  ReplicaAddress,
  ReplicaId,
  ShardId,
  ShardTimeMs,
} from '../../raft/types.ts';
import type { Durability, QueueCompaction, QueueId } from '../broker/commands.ts';
import type { StateRow, StateWriter } from '../broker/state-port.ts';
import type { AccessRule, AccessView } from './access-api.ts';
import type { Quota, QuotaView } from './quota-api.ts';

export interface TopicConfig {
  /** 0 = keep for ever. */
  readonly retentionMs: number;
  /** Per queue; 0 = no limit. */
  readonly retentionBytes: number;
  readonly durability: Durability;
  /** How long dedup keys are remembered; 0 = not at all, absent = DEFAULT_DEDUP_WINDOW_MS. */
  readonly dedupWindowMs?: number;
  /** strict: more queues only when the topic is drained. Absent = normal. */
  readonly order?: 'normal' | 'strict';
  /** Absent = accepted. */
  readonly writes?: 'accepted' | 'refused';
  /** When disks are nearly full: keep every message, or go on taking new ones. Absent = data. */
  readonly diskPolicy?: 'data' | 'availability';
  /** Settled when the topic is created. Absent = it is not compacted. */
  readonly compaction?: QueueCompaction;
}

/**
 * How full a node's disk is, by the marks of its configuration. From high on what is past its
 * retention goes at once, from critical on the oldest of topics that prefer availability, and at
 * full nothing new is stored.
 */
export const DISK_LEVELS = ['low', 'high', 'critical', 'full'] as const;
export type DiskLevel = (typeof DISK_LEVELS)[number];

export const DEFAULT_DEDUP_WINDOW_MS = 600_000;

export interface TopicQueue {
  readonly queue: number;
  readonly queueId: QueueId;
  readonly shard: ShardId;
}

export interface TopicView {
  readonly name: string;
  readonly topicId: string;
  readonly queueEpoch: number;
  /**
   * Writes of an earlier queue epoch are refused by the queues; 0 = none ever were. One more than
   * `queueEpoch` while the topic refuses all writes.
   */
  readonly minQueueEpoch: number;
  /** Every queue knows `minQueueEpoch`. */
  readonly isFenced: boolean;
  readonly config: TopicConfig;
  readonly createdAtMs: ShardTimeMs;
  /** Whose quota of topics it counts against; absent = nobody's. */
  readonly owner?: string;
  /** creating: queues are being opened; active; deleting: queues are being closed. */
  readonly state: 'creating' | 'active' | 'deleting';
  /** Ascending by number. While a topic grows, only the open ones. */
  readonly queues: readonly TopicQueue[];
}

/** What the reconciler has to bring about in the data shards. */
export type PendingTopic =
  | {
      readonly phase: 'open';
      readonly topicId: string;
      /** Of the topic. */
      readonly compaction?: QueueCompaction | undefined;
      /** How many queues the topic will have once these are open. */
      readonly queueCount: number;
      /** Those still to be opened. */
      readonly queues: readonly TopicQueue[];
    }
  | {
      readonly phase: 'fence';
      readonly topicId: string;
      readonly minQueueEpoch: number;
      readonly queues: readonly TopicQueue[];
    }
  | {
      readonly phase: 'close';
      readonly topicId: string;
      readonly queues: readonly TopicQueue[];
    };

/** A machine that belongs to the cluster. */
export interface MemberView {
  readonly node: NodeId;
  /** Of its data directory: another directory under this number is kept out. */
  readonly incarnation: string;
  /** host:port as the node registered them; '' = it never did. */
  readonly grpcAddress: string;
  readonly peerAddress: string;
  /** leaving: its replicas are being moved away; then it is no member any more. */
  readonly state: 'member' | 'leaving';
  /** As the node said last; absent = low. */
  readonly disk?: DiskLevel;
}

/** Which replicas a shard shall have. Its leader brings that about and reports `placed`. */
export interface ShardPlacement {
  readonly shard: ShardId;
  /** 0 at birth; one more with each change of the replicas. */
  readonly version: number;
  /** Ascending by node. */
  readonly voters: readonly ReplicaAddress[];
  readonly learners: readonly ReplicaAddress[];
  /** One of the voters' nodes: who should lead. */
  readonly leader: NodeId;
  /** Ids from here on were never given to anybody. */
  readonly nextReplica: ReplicaId;
  /** The newest version that was reported as brought about. */
  readonly placedVersion: number;
  /** Replicas of older versions that may still be in the shard's configuration. */
  readonly leaving: readonly ReplicaAddress[];
}

export type MetaCommand =
  | {
      readonly type: 'createTopic';
      readonly name: string;
      readonly queueCount: number;
      readonly config: TopicConfig;
      /** Whose quota of topics it counts against; absent = nobody's. */
      readonly owner?: string;
    }
  /** Unset fields stay. */
  | {
      readonly type: 'updateTopic';
      readonly name: string;
      readonly topicId: string;
      readonly queueCount: number | undefined;
      readonly config: Partial<Omit<TopicConfig, 'compaction'>>;
      /** Behind this fence nothing is left to be read or decided; absent = nobody looked. */
      readonly drainedAtEpoch?: number;
    }
  | { readonly type: 'deleteTopic'; readonly name: string; readonly topicId: string }
  /** Said by the reconciler when every queue of the topic is open. */
  | { readonly type: 'topicOpened'; readonly topicId: string; readonly queueCount: number }
  /** Said by the reconciler when every queue of the topic has the fence. */
  | { readonly type: 'topicFenced'; readonly topicId: string; readonly minQueueEpoch: number }
  /** Said by the reconciler when every queue of the topic is closed. */
  | { readonly type: 'topicClosed'; readonly topicId: string }
  /** A member says where it is reached. Ignored from a directory that is not the member's. */
  | {
      readonly type: 'registerNode';
      readonly node: NodeId;
      readonly incarnation: string;
      readonly grpcAddress: string;
      readonly peerAddress: string;
    }
  /** A member's disk passed a mark. Ignored from a directory that is not the member's. */
  | {
      readonly type: 'reportDisk';
      readonly node: NodeId;
      readonly incarnation: string;
      readonly level: DiskLevel;
    }
  | {
      readonly type: 'addMember';
      readonly node: NodeId;
      readonly incarnation: string;
      readonly grpcAddress: string;
      readonly peerAddress: string;
    }
  | { readonly type: 'removeMember'; readonly node: NodeId }
  /** Spreads replicas and leaders evenly again. */
  | { readonly type: 'rebalance' }
  | { readonly type: 'setLeader'; readonly shard: ShardId; readonly node: NodeId }
  /** The replica lost what it promised: another one, on the same node, takes its place. */
  | { readonly type: 'replaceReplica'; readonly shard: ShardId; readonly replica: ReplicaId }
  /** Asked by the shard's leader before its first change: `stale` when there is a newer version. */
  | { readonly type: 'confirmVersion'; readonly shard: ShardId; readonly version: number }
  /** Said by the shard's leader: its committed configuration is that of the version. */
  | { readonly type: 'placed'; readonly shard: ShardId; readonly version: number }
  /** Asked by an operator once every member runs a build that knows the level. */
  | { readonly type: 'raiseLevel'; readonly level: number }
  /** Verbs are added to those that the principal has there, or taken away from them. */
  | { readonly type: 'grantAccess' | 'revokeAccess'; readonly rule: AccessRule }
  /** What was issued to it until then is worth nothing. */
  | {
      readonly type: 'revokePrincipal';
      readonly principal: string;
      readonly issuedUntilMs: number;
    }
  | { readonly type: 'revokeToken'; readonly tokenId: string }
  /** In the place of the one that the principal had. */
  | { readonly type: 'setQuota'; readonly quota: Quota }
  | { readonly type: 'removeQuota'; readonly principal: string }
  /** Entries up to `logTrim` are applied on every replica. */
  | { readonly type: 'trim'; readonly logTrim: LogIndex };

export type MetaResult =
  | { readonly type: 'topic'; readonly topic: TopicView }
  | { readonly type: 'trimmed'; readonly logTrim: LogIndex }
  | { readonly type: 'done' }
  /** `placed` or `confirmVersion` of one that is not the newest: nothing changed. */
  | { readonly type: 'stale' }
  | {
      readonly type: 'refused';
      readonly reason:
        | 'TOPIC_EXISTS'
        | 'TOPIC_NOT_FOUND'
        | 'TOPIC_RECREATED'
        | 'TOPIC_BUSY'
        | 'QUEUES_ONLY_GROW'
        | 'TOPIC_STRICT'
        | 'TOPIC_COMPACTED'
        | 'TOO_MANY_TOPICS'
        | 'MEMBER_EXISTS'
        | 'MEMBER_LEAVING'
        | 'MEMBER_REMOVED'
        | 'MEMBER_NOT_FOUND'
        | 'LAST_MEMBER'
        | 'TOO_MANY_MEMBERS'
        | 'NOT_A_VOTER'
        | 'SHARD_NOT_FOUND'
        | 'TOO_MANY_ACCESS_RULES'
        | 'QUOTA_FULL';
      readonly detail: string;
    };

export interface MetaView {
  /** What the metadata may hold, and the data shards are raised to (broker/feature-level.ts). */
  featureLevel(): number;
  /** undefined also for a topic that is being deleted. */
  topic(name: string): TopicView | undefined;
  topicById(topicId: string): TopicView | undefined;
  /** By name, ascending, after `after` ('' = from the first). */
  topics(after: string, limit: number): readonly TopicView[];
  topicCount(): number;
  /** Ascending by node. */
  members(): readonly MemberView[];
  member(node: NodeId): MemberView | undefined;
  /** The directory was that of a member, which was removed for good. */
  wasRemoved(node: NodeId, incarnation: string): boolean;
  /** The number is, or once was, a member's: false may only mean that this replica is behind. */
  isKnownNode(node: NodeId): boolean;
  /** Of every shard, ascending. */
  placements(): readonly ShardPlacement[];
  placement(shard: ShardId): ShardPlacement | undefined;
  /** No present or future configuration of the shard has this replica: its data may be dropped. */
  isRetired(shard: ShardId, replica: ReplicaId): boolean;
  access(): AccessView;
  quotas(): QuotaView;
  /** Which shard keeps a group's offsets and a caller's hash: published hash, data shards 1…N. */
  shardOfGroup(group: string): ShardId;
}

/** The metadata shard's replicated state: deterministic, synchronous, all in memory. */
export interface MetaState extends MetaView {
  /** Replaces the whole state: at open, and when a snapshot is installed. */
  load(rows: Iterable<StateRow>): void;
  apply(entry: Entry, out: StateWriter): MetaResult;
  /** Topics whose queues are to be opened or closed, oldest first. */
  pendingTopics(): readonly PendingTopic[];
}

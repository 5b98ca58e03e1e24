/** The metadata shard's state as every node sees its own replica of it. */
import type { Entry, LogIndex, NodeId, ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { Durability, QueueId } from '../broker/commands.ts';
import type { StateRow, StateWriter } from '../broker/state-port.ts';

export interface TopicConfig {
  /** 0 = keep for ever. */
  readonly retentionMs: number;
  /** Per queue; 0 = no limit. */
  readonly retentionBytes: number;
  readonly durability: Durability;
}

export interface TopicQueue {
  readonly queue: number;
  readonly queueId: QueueId;
  readonly shard: ShardId;
}

export interface TopicView {
  readonly name: string;
  readonly topicId: string;
  readonly queueEpoch: number;
  readonly config: TopicConfig;
  readonly createdAtMs: ShardTimeMs;
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
      /** How many queues the topic will have once these are open. */
      readonly queueCount: number;
      /** Those still to be opened. */
      readonly queues: readonly TopicQueue[];
    }
  | {
      readonly phase: 'close';
      readonly topicId: string;
      readonly queues: readonly TopicQueue[];
    };

export type MetaCommand =
  | {
      readonly type: 'createTopic';
      readonly name: string;
      readonly queueCount: number;
      readonly config: TopicConfig;
    }
  /** Unset fields stay. */
  | {
      readonly type: 'updateTopic';
      readonly name: string;
      readonly topicId: string;
      readonly queueCount: number | undefined;
      readonly config: Partial<TopicConfig>;
    }
  | { readonly type: 'deleteTopic'; readonly name: string; readonly topicId: string }
  /** Said by the reconciler when every queue of the topic is open. */
  | { readonly type: 'topicOpened'; readonly topicId: string; readonly queueCount: number }
  /** Said by the reconciler when every queue of the topic is closed. */
  | { readonly type: 'topicClosed'; readonly topicId: string }
  | { readonly type: 'registerNode'; readonly node: NodeId; readonly address: string }
  /** Entries up to `logTrim` are applied on every replica. */
  | { readonly type: 'trim'; readonly logTrim: LogIndex };

export type MetaResult =
  | { readonly type: 'topic'; readonly topic: TopicView }
  | { readonly type: 'trimmed'; readonly logTrim: LogIndex }
  | { readonly type: 'done' }
  | {
      readonly type: 'refused';
      readonly reason:
        | 'TOPIC_EXISTS'
        | 'TOPIC_NOT_FOUND'
        | 'TOPIC_RECREATED'
        | 'TOPIC_BUSY'
        | 'QUEUES_ONLY_GROW'
        | 'TOO_MANY_TOPICS';
      readonly detail: string;
    };

export interface MetaView {
  /** undefined also for a topic that is being deleted. */
  topic(name: string): TopicView | undefined;
  topicById(topicId: string): TopicView | undefined;
  /** By name, ascending, after `after` ('' = from the first). */
  topics(after: string, limit: number): readonly TopicView[];
  topicCount(): number;
  /** gRPC addresses as the nodes registered them. */
  nodes(): readonly { node: NodeId; address: string }[];
  /** Which shard keeps a group's offsets and a caller's hash: published hash, data shards 1…N. */
  shardOfGroup(group: string): ShardId;
}

/** The metadata shard's replicated state: deterministic, synchronous, all in memory. */
export interface MetaState extends MetaView {
  load(rows: Iterable<StateRow>): void;
  apply(entry: Entry, out: StateWriter): MetaResult;
  /** Topics whose queues are to be opened or closed, oldest first. */
  pendingTopics(): readonly PendingTopic[];
}

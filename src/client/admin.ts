import type { Calls } from './calls.ts';
import { members, shard } from './cluster-convert.ts';
import { int, list, optionalInt, topic, topicConfigOut } from './convert.ts';
import type { Proto, WireObject } from './proto.ts';
import {
  type NodeLog,
  nodeLog,
  type QueueRetention,
  queueRetention,
  type RetentionDescription,
  type RetentionQuery,
  retentionOut,
} from './retention.ts';
import { ServiceCalls } from './service-calls.ts';
import { traceIn, traceOut } from './trace-convert.ts';
import type {
  CallOptions,
  ClusterDescription,
  ClusterMember,
  GroupOffset,
  Limit,
  MembersDescription,
  MessageTrace,
  QueueOffset,
  QueueOffsets,
  Topic,
  TopicDescription,
  TopicSettings,
  TraceTarget,
} from './types.ts';

export interface CreateTopic extends TopicSettings {
  readonly name: string;
  /** Default 3. */
  readonly queueCount?: number | undefined;
}

export interface UpdateTopic extends Omit<TopicSettings, 'compaction'> {
  readonly name: string;
  /** Only grows. */
  readonly queueCount?: number | undefined;
  /** Guards against a topic deleted and created again under this name. */
  readonly topicId?: string | undefined;
}

export interface OffsetsQuery {
  readonly topic: string;
  /** Default: all. */
  readonly queues?: readonly number[] | undefined;
  /** Also find the first offset stored at or after this time (Unix milliseconds). */
  readonly atMs?: number | undefined;
}

export interface CommitOffsets {
  readonly group: string;
  readonly topic: string;
  readonly topicId?: string | undefined;
  /** The next offset to read, per queue; all or none are committed. */
  readonly offsets: readonly QueueOffset[];
  /** Who commits, where the group has members. */
  readonly member?: { readonly memberId: string; readonly generation: number } | undefined;
}

export interface GroupOffsetsQuery {
  readonly group: string;
  readonly topic: string;
  /** Default: all. */
  readonly queues?: readonly number[] | undefined;
  /** Whose, in a BROADCAST group; members of others share theirs. */
  readonly memberId?: string | undefined;
}

export interface ResetOffsets {
  readonly group: string;
  readonly topic: string;
  /** Default: all. Not with a list of offsets. */
  readonly queues?: readonly number[] | undefined;
  readonly to: 'earliest' | 'latest' | Date | readonly QueueOffset[];
}

export interface ShardCut {
  readonly index: number;
  readonly timeMs: number;
  /** The last entry that is no more in the leader's log; 0 = it has all of them. */
  readonly start: { readonly index: number; readonly term: number };
}

/** Of the checkpoint at `start` from `offset` on, or entries from `from` to `to`. */
export interface ShardPiece extends Pick<ShardCut, 'start'> {
  readonly shard: number;
  readonly offset?: number;
  readonly from?: number;
  readonly to?: number;
}

export interface ShardBytes {
  readonly data: Uint8Array;
  /** Of the whole checkpoint. */
  readonly totalBytes: number;
}

/** Topics, offsets, and what the cluster says about itself. */
export class Admin {
  readonly #admin: ServiceCalls;
  readonly #log: ServiceCalls;

  constructor(calls: Calls, proto: Proto) {
    this.#admin = new ServiceCalls(calls, proto, 'Admin');
    this.#log = new ServiceCalls(calls, proto, 'Log');
  }

  /** Done when every queue is open. */
  async createTopic(create: CreateTopic, options?: CallOptions): Promise<Topic> {
    const { name, queueCount = 0 } = create;
    const request = { name, queue_count: queueCount, config: topicConfigOut(create) };
    return topic((await this.#admin.call('CreateTopic', request, 'once', options)).topic);
  }

  async updateTopic(update: UpdateTopic, options?: CallOptions): Promise<Topic> {
    const { name, queueCount = 0, topicId = '' } = update;
    const config = topicConfigOut(update);
    const request = { name, topic_id: topicId, queue_count: queueCount, config };
    const answer = await this.#admin.call('UpdateTopic', request, 'idempotent', options);
    return topic(answer.topic);
  }

  /** Done when every queue is closed. The messages are gone. */
  async deleteTopic(name: string, options?: CallOptions & { topicId?: string }): Promise<void> {
    const request = { name, topic_id: options?.topicId ?? '' };
    await this.#admin.call('DeleteTopic', request, 'once', options);
  }

  /** All topics, by name. */
  async listTopics(options?: CallOptions): Promise<Topic[]> {
    const topics: Topic[] = [];
    for await (const page of this.#admin.pages('ListTopics', {}, options)) {
      topics.push(...list(page.topics).map(topic));
    }
    return topics;
  }

  async describeTopic(name: string, options?: CallOptions): Promise<TopicDescription> {
    const answer = await this.#admin.call('DescribeTopic', { name }, 'read', options);
    const queues = list(answer.queues).map((queue) => ({
      queue: int(queue.queue),
      shard: int(queue.shard),
      leader: int(queue.leader),
      startOffset: int(queue.start_offset),
      endOffset: int(queue.end_offset),
    }));
    return { topic: topic(answer.topic), queues };
  }

  /** What retention keeps and would take, and why the nodes' logs are as long as they are. */
  async describeRetention(
    query: RetentionQuery = {},
    options?: CallOptions,
  ): Promise<RetentionDescription> {
    const queues: QueueRetention[] = [];
    const nodes: NodeLog[] = [];
    const asked = retentionOut(query);
    for await (const page of this.#admin.pages('DescribeRetention', asked, options)) {
      queues.push(...list(page.queues).map(queueRetention));
      nodes.push(...list(page.nodes).map(nodeLog));
    }
    return { queues, nodes };
  }

  async describeCluster(options?: CallOptions): Promise<ClusterDescription> {
    const answer = await this.#admin.call('DescribeCluster', {}, 'read', options);
    const nodes = list(answer.nodes).map((node) => ({
      id: int(node.id),
      address: String(node.address),
      pid: int(node.pid),
      up: node.up === true,
      state: String(node.state),
      disk: String(node.disk) || 'low',
      version: String(node.version ?? ''),
      newestLevel: int(node.newest_level ?? 0),
    }));
    const shards = list(answer.shards).map(shard);
    // A server that knew no levels yet says none.
    const featureLevel = int(answer.feature_level ?? 0) || 1;
    const clusterId = String(answer.cluster_id);
    return { clusterId, node: int(answer.node), nodes, featureLevel, shards };
  }

  async describeMembers(options?: CallOptions): Promise<MembersDescription> {
    return members(await this.#admin.call('DescribeMembers', {}, 'read', options));
  }

  /** Done when the node is a member; describeCluster shows how its share of the shards moves. */
  async addMember(member: Omit<ClusterMember, 'state'>, options?: CallOptions): Promise<void> {
    const { node, incarnation, grpcAddress, peerAddress } = member;
    const addresses = { grpc_address: grpcAddress, peer_address: peerAddress };
    const request = { node, incarnation, ...addresses };
    await this.#admin.call('AddMember', request, 'idempotent', options);
  }

  /** Done when it is decided; describeCluster lists the node until its replicas have moved away. */
  async removeMember(node: number, options?: CallOptions): Promise<void> {
    await this.#admin.call('RemoveMember', { node }, 'idempotent', options);
  }

  /** Says who should lead a shard; describeCluster shows when it does. */
  async transferLeader(shardId: number, node: number, options?: CallOptions): Promise<void> {
    const request = { shard: shardId, node };
    await this.#admin.call('TransferLeader', request, 'idempotent', options);
  }

  /** Spreads replicas and leaders evenly over the nodes again. */
  async rebalance(options?: CallOptions): Promise<void> {
    await this.#admin.call('Rebalance', {}, 'idempotent', options);
  }

  /** Ends an upgrade; default: the newest level that all members know. Answers the level. */
  async raiseFeatureLevel(level = 0, options?: CallOptions): Promise<number> {
    const answer = await this.#admin.call('RaiseFeatureLevel', { level }, 'idempotent', options);
    return int(answer.level);
  }

  /** The life of one message, in order. Rejects with MESSAGE_NOT_FOUND. */
  async trace(target: TraceTarget, options?: CallOptions): Promise<MessageTrace> {
    return traceIn(await this.#admin.call('Trace', traceOut(target), 'read', options));
  }

  /** How far a shard is: all that was acknowledged before lies at or below `index`. */
  async cutShard(shardId: number, options?: CallOptions): Promise<ShardCut> {
    const answer = await this.#admin.call('CutShard', { shard: shardId }, 'read', options);
    const start = { index: int(answer.start_index), term: int(answer.start_term) };
    return { index: int(answer.index), timeMs: int(answer.time_ms), start };
  }

  /** A piece of a shard's checkpoint or log. Rejects with BACKUP_MOVED: cut and read it anew. */
  async readShard(piece: ShardPiece, options?: CallOptions): Promise<ShardBytes> {
    const { shard: shardId, start, offset = 0, from = 0, to = 0 } = piece;
    const request = {
      ...{ shard: shardId, start_index: String(start.index), start_term: String(start.term) },
      ...{ offset: String(offset), from_index: String(from), to_index: String(to) },
    };
    const answer = await this.#admin.call('ReadShard', request, 'read', options);
    return { data: answer.data as Uint8Array, totalBytes: int(answer.total_bytes) };
  }

  /** Every limit that a call can run into. */
  async limits(options?: CallOptions): Promise<Limit[]> {
    const answer = await this.#admin.call('DescribeLimits', {}, 'read', options);
    return list(answer.limits).map((limit) => ({
      name: String(limit.name),
      value: int(limit.value),
      unit: String(limit.unit),
      meaning: String(limit.meaning),
    }));
  }

  async listOffsets(query: OffsetsQuery, options?: CallOptions): Promise<QueueOffsets[]> {
    const time = query.atMs === undefined ? {} : { at_ms: String(query.atMs) };
    const request = { topic: query.topic, queues: query.queues ?? [], ...time };
    const answer = await this.#log.call('ListOffsets', request, 'read', options);
    return list(answer.queues).map((queue) => ({
      queue: int(queue.queue),
      startOffset: int(queue.start_offset),
      endOffset: int(queue.end_offset),
      offsetAtTime: optionalInt(queue, 'offset_at_time'),
    }));
  }

  async groupOffsets(query: GroupOffsetsQuery, options?: CallOptions): Promise<GroupOffset[]> {
    const { group, topic: name, queues = [], memberId = '' } = query;
    const request = { group, topic: name, queues, member_id: memberId };
    const answer = await this.#log.call('GetOffset', request, 'read', options);
    return list(answer.queues).map((queue) => ({
      queue: int(queue.queue),
      offset: optionalInt(queue, 'offset'),
      startOffset: int(queue.start_offset),
      endOffset: int(queue.end_offset),
      lag: int(queue.lag),
    }));
  }

  async commitOffsets(commit: CommitOffsets, options?: CallOptions): Promise<void> {
    const { group, topic: name, topicId = '', member } = commit;
    const offsets = offsetsOut(commit.offsets);
    const { memberId = '', generation = 0 } = member ?? {};
    const fence = { member_id: memberId, generation: String(generation) };
    const request = { group, topic: name, topic_id: topicId, offsets, ...fence };
    await this.#log.call('CommitOffset', request, 'idempotent', options);
  }

  /** The one way back: moves committed offsets anywhere and raises their epoch. */
  async resetOffsets(reset: ResetOffsets, options?: CallOptions): Promise<QueueOffset[]> {
    const { group, topic: name, queues = [], to } = reset;
    const request = { group, topic: name, queues, ...resetTarget(to) };
    const answer = await this.#log.call('ResetOffsets', request, 'once', options);
    return list(answer.offsets).map((at) => ({
      queue: int(at.queue),
      offset: int(at.offset),
    }));
  }
}

function offsetsOut(offsets: readonly QueueOffset[]): WireObject[] {
  return offsets.map(({ queue, offset }) => ({ queue, offset: String(offset) }));
}

function resetTarget(to: ResetOffsets['to']): WireObject {
  if (to === 'earliest') return { from: 'EARLIEST' };
  if (to === 'latest') return { from: 'LATEST' };
  if (to instanceof Date) return { at_ms: String(to.getTime()) };
  return { offsets: { offsets: offsetsOut(to) } };
}

/** The calls that the workload makes, with the fields it uses, from the public proto alone. */
import { join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { packageFolder } from '../../test/processes/package-folder.ts';
import type { DeliveryMethods } from './delivery-methods.ts';

export interface Message {
  readonly key: string;
  readonly tag?: string;
  readonly body: Buffer;
}

export interface QueueOffset {
  readonly queue: number;
  readonly offset: number;
}

export interface ClusterDescription {
  readonly node: number;
  readonly nodes: readonly { id: number; pid: number; up: boolean }[];
  readonly shards: readonly {
    id: number;
    leader: number;
    term: number;
    commit_index: number;
    replicas: readonly { node: number; match_index: number }[];
  }[];
}

export interface ProduceRequest {
  readonly topic: string;
  readonly queue: number;
  readonly topic_id?: string;
  readonly producer_id?: string;
  readonly producer_epoch?: number;
  readonly sequence?: number;
  readonly deliver_at_ms?: number;
  readonly dedup_keys?: readonly string[];
  readonly messages: readonly Message[];
}

export interface ProduceAck {
  readonly first_message_id: string;
  readonly base_offset?: number;
  readonly count: number;
  readonly duplicate: boolean;
}

/** What a fetch answers, and each element of a subscription holds. */
export interface Fetched {
  readonly next_offset: number;
  readonly start_offset: number;
  readonly end_offset: number;
  readonly batches: readonly {
    base_offset: number;
    stored_at_ms: number;
    messages: readonly Message[];
  }[];
}

interface HalfBatch {
  readonly topic: string;
  readonly queue: number;
  readonly messages: readonly Message[];
}

/** What an operator sees of a transaction that has not ended. */
export interface OpenTransaction {
  readonly transaction_id: string;
  readonly caller_transaction_id: string;
  readonly producer_group: string;
  readonly state: 'PREPARING' | 'UNDECIDED' | 'PARKED';
  readonly parts: readonly { readonly topic: string; readonly queue: number }[];
}

export interface Check {
  readonly caller_transaction_id: string;
  readonly check_count: number;
  readonly parts: readonly HalfBatch[];
}

/** An error as an element of a stream. */
export interface StreamError {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly outcome_unknown: boolean;
  readonly retry_after_ms: number;
}

export interface Call<Request, Response> {
  readonly request: Request;
  readonly response: Response;
}

interface QueueEnds {
  readonly queue: number;
  readonly start_offset: number;
  readonly end_offset: number;
}

export interface GroupTopic {
  readonly group: string;
  readonly topic: string;
}

interface Member {
  readonly group: string;
  readonly member_id: string;
  readonly instance_id: string;
}

/** What a member of a group has. */
export interface Assignment {
  readonly generation: number;
  readonly table: number;
  readonly topics: readonly { readonly queues: readonly { readonly queue: number }[] }[];
}

export interface Methods extends DeliveryMethods {
  'Admin.CreateTopic': Call<
    {
      name: string;
      queue_count: number;
      config?: { durability?: string; retention_ms?: number };
    },
    { topic: { topic_id: string } }
  >;
  'Admin.DeleteTopic': Call<{ name: string; topic_id: string }, object>;
  'Admin.DescribeTopic': Call<
    { name: string },
    {
      topic: { topic_id: string };
      queues: readonly (QueueEnds & { shard: number })[];
    }
  >;
  'Admin.DescribeCluster': Call<object, ClusterDescription>;
  'Log.Produce': Call<ProduceRequest, ProduceAck>;
  'Log.Recall': Call<{ message_id: string }, object>;
  'Log.Fetch': Call<
    {
      topic: string;
      queue: number;
      offset: number;
      max_bytes: number;
      max_wait_ms: number;
      max_messages?: number;
      linearizable: boolean;
      topic_id?: string;
    },
    Fetched
  >;
  'Log.ListOffsets': Call<
    { topic: string; queues: readonly number[]; at_ms?: number },
    { queues: readonly (QueueEnds & { offset_at_time?: number })[] }
  >;
  'Log.CommitOffset': Call<
    GroupTopic & { offsets: readonly QueueOffset[]; member_id?: string; generation?: number },
    object
  >;
  'Groups.Join': Call<
    Member & { session_ms: number; topics: readonly string[] },
    { assignment: Assignment }
  >;
  'Groups.Heartbeat': Call<
    Member & { generation: number; table: number; max_wait_ms: number },
    { assignment: Assignment | null }
  >;
  'Groups.Leave': Call<Member, object>;
  'Log.GetOffset': Call<
    GroupTopic & { queues: readonly number[] },
    { queues: readonly { queue: number; offset?: number }[]; epoch: number }
  >;
  'Log.ResetOffsets': Call<
    GroupTopic & { offsets: { offsets: readonly QueueOffset[] } },
    { offsets: readonly QueueOffset[]; epoch: number }
  >;
  'Transactions.Prepare': Call<
    {
      producer_group: string;
      transaction_id: string;
      parts: readonly HalfBatch[];
      offsets?: readonly (GroupTopic & {
        readonly topic_id: string;
        readonly offsets: readonly (QueueOffset & { readonly from?: number })[];
      })[];
    },
    object
  >;
  'Transactions.End': Call<
    {
      producer_group: string;
      transaction_id: string;
      decision: 'COMMIT' | 'ROLLBACK';
      topic?: string;
      queue?: number;
      operator?: boolean;
    },
    {
      state: string;
      parts: readonly { topic: string; queue: number; base_offset: number; count: number }[];
    }
  >;
  'Transactions.List': Call<
    { state?: 'PARKED'; page_size: number; page_token: string },
    { transactions: readonly OpenTransaction[]; next_page_token: string }
  >;
  'Transactions.Resume': Call<{ transaction_id: string }, object>;
  'Transactions.PollChecks': Call<
    { producer_group: string; max_wait_ms: number; check_lease_ms: number },
    { checks: readonly Check[] }
  >;
}
export type MethodName = keyof Methods;
export type Request<M extends MethodName> = Methods[M]['request'];
export type Response<M extends MethodName> = Methods[M]['response'];

/** Calls of which both sides are streams. */
export interface Streams {
  'Log.ProduceStream': Call<
    { request_id: number; resume: boolean; request: ProduceRequest },
    { request_id: number; ack?: ProduceAck; error?: StreamError }
  >;
  'Log.Subscribe': Call<
    | { start: { topic: string; queues: readonly QueueOffset[]; credit: number } }
    | { credit: number },
    Fetched & { queue: number }
  >;
}
export type StreamName = keyof Streams;

const definitions = loadSync(
  ['log', 'admin', 'groups', 'transactions', 'deliveries'].map(
    (name) => `holdfast/v1/${name}.proto`,
  ),
  {
    includeDirs: [join(packageFolder(), 'proto')],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  },
);

export function methodDefinition(name: MethodName | StreamName): MethodDefinition<object, object> {
  const [service, method] = name.split('.') as [string, string];
  const definition = definitions[`holdfast.v1.${service}`] as ServiceDefinition | undefined;
  const found = definition?.[method] as MethodDefinition<object, object> | undefined;
  if (found === undefined) throw new Error(`the proto has no ${name}`);
  return found;
}

/** The calls that the workload makes, with the fields it uses, from the public proto alone. */
import { join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { packageFolder } from '../../test/processes/package-folder.ts';

export interface Message {
  readonly key: string;
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

interface Call<Request, Response> {
  readonly request: Request;
  readonly response: Response;
}

interface GroupTopic {
  readonly group: string;
  readonly topic: string;
}

export interface Methods {
  'Admin.CreateTopic': Call<
    { name: string; queue_count: number; config?: { durability: string } },
    object
  >;
  'Admin.DescribeTopic': Call<
    { name: string },
    { queues: readonly { queue: number; shard: number }[] }
  >;
  'Admin.DescribeCluster': Call<object, ClusterDescription>;
  'Log.Produce': Call<
    {
      topic: string;
      queue: number;
      producer_id: string;
      sequence: number;
      messages: readonly Message[];
    },
    { base_offset?: number; count: number; duplicate: boolean }
  >;
  'Log.Fetch': Call<
    {
      topic: string;
      queue: number;
      offset: number;
      max_bytes: number;
      max_wait_ms: number;
      linearizable: boolean;
    },
    {
      next_offset: number;
      end_offset: number;
      batches: readonly { base_offset: number; messages: readonly Message[] }[];
    }
  >;
  'Log.CommitOffset': Call<GroupTopic & { offsets: readonly QueueOffset[] }, object>;
  'Log.GetOffset': Call<
    GroupTopic & { queues: readonly number[] },
    { queues: readonly { queue: number; offset?: number }[] }
  >;
  'Transactions.Prepare': Call<
    {
      producer_group: string;
      transaction_id: string;
      parts: readonly { topic: string; queue: number; messages: readonly Message[] }[];
    },
    object
  >;
  'Transactions.End': Call<
    {
      producer_group: string;
      transaction_id: string;
      decision: 'COMMIT' | 'ROLLBACK';
      topic: string;
      queue: number;
    },
    { state: string; parts: readonly { queue: number; base_offset: number; count: number }[] }
  >;
}
export type MethodName = keyof Methods;
export type Request<M extends MethodName> = Methods[M]['request'];
export type Response<M extends MethodName> = Methods[M]['response'];

const definitions = loadSync(
  ['log', 'admin', 'transactions'].map((name) => `holdfast/v1/${name}.proto`),
  {
    includeDirs: [join(packageFolder(), 'proto')],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  },
);

export function methodDefinition(name: MethodName): MethodDefinition<object, object> {
  const [service, method] = name.split('.') as [string, string];
  const definition = definitions[`holdfast.v1.${service}`] as ServiceDefinition | undefined;
  const found = definition?.[method] as MethodDefinition<object, object> | undefined;
  if (found === undefined) throw new Error(`the proto has no ${name}`);
  return found;
}

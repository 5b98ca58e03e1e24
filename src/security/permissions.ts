/**
 * The one table of what each call needs, once a cluster asks who calls. A call without a row is
 * refused by a test, and by every node. docs/security.md is this table as a page.
 *
 * `request`: what is needed stands in the request, and is asked for before the call does anything.
 * `frames`: the same, asked for by the call itself as it reads its bytes. `known`: anybody who is
 * known may call, and sees what it may see. `open`: nobody is asked.
 */
import type { ResourceKind, Verb } from '../cluster/access-api.ts';
import { type Verbs, verbs } from './access.ts';

export interface Demand {
  /** Any of them will do. */
  readonly verbs: Verbs;
  readonly kind: ResourceKind;
  /** Of the request: one name, or a list of them; '' for the cluster. */
  readonly field: string;
  /** Nothing is needed where the request leaves the field out. */
  readonly isOptional: boolean;
}

export interface Permission {
  readonly asks: 'request' | 'frames' | 'known' | 'open';
  /** All of them. For `known`: what is shown. */
  readonly demands: readonly Demand[];
  /** It changes who belongs to the cluster or what others may do: each is logged. */
  readonly isLogged?: true;
  /** For the page. */
  readonly note?: string;
}

function on(kind: ResourceKind, field: string, ...any: readonly Verb[]): Demand {
  return { verbs: verbs(...any), kind, field, isOptional: false };
}

function optional(demand: Demand): Demand {
  return { ...demand, isOptional: true };
}

const produceTo = on('topic', 'topic', 'produce');
const fetchFrom = on('topic', 'topic', 'fetch');
const readTopic = on('topic', 'topic', 'fetch', 'admin');
const seeTopic = on('topic', 'name', 'produce', 'fetch', 'admin');
const manageTopic = on('topic', 'name', 'admin');
const consumeAs = on('group', 'group', 'commit');
const readGroup = on('group', 'group', 'fetch', 'commit', 'admin');
const newGroup = on('group', 'new_group', 'commit', 'admin');
const workGroup = on('group', 'group', 'commit', 'admin');
const manageGroup = on('group', 'group', 'admin');
const decideAs = on('group', 'producer_group', 'txn');
const seeProducers = on('group', 'producer_group', 'txn', 'admin');
const manageCluster = on('cluster', '', 'admin');

/** What the calls that read their own bytes ask for, and what lists show. */
export const DEMANDS = {
  ...{ produceTo, fetchFrom, readTopic, seeTopic, consumeAs, readGroup, workGroup },
  ...{ decideAs, seeProducers, manageCluster },
} as const;

const request = (...demands: readonly Demand[]): Permission => ({ asks: 'request', demands });
const frames = (note: string, ...demands: readonly Demand[]): Permission => ({
  ...{ asks: 'frames', demands },
  ...(note === '' ? {} : { note }),
});
const known = (note: string, ...demands: readonly Demand[]): Permission => ({
  ...{ asks: 'known', demands, note },
});
const open = (note: string): Permission => ({ asks: 'open', demands: [], note });
const logged = (permission: Permission): Permission => ({ ...permission, isLogged: true });

const LOG: Readonly<Record<string, Permission>> = {
  Produce: frames('', produceTo),
  ProduceStream: frames('each request', produceTo),
  Fetch: frames('', fetchFrom),
  Subscribe: frames('asked again when rules change', fetchFrom, optional(readGroup)),
  ListOffsets: request(readTopic),
  CommitOffset: request(consumeAs, fetchFrom),
  GetOffset: request(readGroup, readTopic),
  ResetOffsets: request(manageGroup, readTopic),
  Recall: known("messages of topics that one may produce to; others' are not there", produceTo),
};

const TRANSACTIONS: Readonly<Record<string, Permission>> = {
  Prepare: frames('each part; with offsets also theirs', decideAs, produceTo),
  End: frames('one of its own; with `operator` the cluster instead', decideAs),
  PollChecks: frames('about its own', decideAs),
  WatchChecks: frames('about its own; asked again when rules change', decideAs),
  List: known('those of producer groups and topics that one may see', seeProducers),
  Resume: logged(request(manageCluster)),
};

const GROUPS: Readonly<Record<string, Permission>> = {
  Join: request(consumeAs, on('topic', 'topics', 'fetch')),
  Heartbeat: request(consumeAs),
  Leave: request(consumeAs),
  List: known('groups that one may see', readGroup),
  Describe: request(readGroup),
  DescribeAt: request(readGroup, optional(readTopic)),
  Fork: request(readGroup, newGroup, optional(readTopic)),
  Delete: request(manageGroup),
};

const DELIVERIES: Readonly<Record<string, Permission>> = {
  Receive: request(consumeAs, fetchFrom),
  Ack: request(consumeAs, fetchFrom),
  Nack: request(consumeAs, fetchFrom),
  Extend: request(consumeAs, fetchFrom),
  ListSubscriptions: known('of groups and topics that one may see', readGroup, readTopic),
  DescribeSubscription: request(readGroup, readTopic),
  SeekSubscription: request(manageGroup, readTopic),
  DeleteSubscription: request(manageGroup, readTopic),
  ListDeadLetters: { ...request(workGroup, optional(readTopic)), note: 'of topics it may read' },
  ReadDeadLetters: { ...request(workGroup, optional(fetchFrom)), note: 'of topics it may fetch' },
  ResendDeadLetters: { ...request(manageGroup, optional(readTopic)), note: 'all of the group' },
  PurgeDeadLetters: { ...request(manageGroup, optional(readTopic)), note: 'all of the group' },
};

const ADMIN: Readonly<Record<string, Permission>> = {
  CreateTopic: logged(request(manageTopic)),
  UpdateTopic: logged(request(manageTopic)),
  DeleteTopic: logged(request(manageTopic)),
  ListTopics: known('topics that one may see', seeTopic),
  DescribeTopic: request(seeTopic),
  DescribeCluster: request(manageCluster),
  DescribeLimits: known('all of them'),
  DescribeMembers: request(manageCluster),
  AddMember: logged(request(manageCluster)),
  RemoveMember: logged(request(manageCluster)),
  TransferLeader: logged(request(manageCluster)),
  Rebalance: logged(request(manageCluster)),
  Trace: known("messages of topics that one may read; others' are not there", readTopic),
  CutShard: request(manageCluster),
  DescribeRetention: request(manageCluster),
  ReadShard: { ...request(manageCluster), note: 'everything that a shard holds' },
  RaiseFeatureLevel: logged(request(manageCluster)),
  GrantAccess: logged(request(manageCluster)),
  RevokeAccess: logged(request(manageCluster)),
  ListAccess: request(manageCluster),
  RevokeTokens: logged(request(manageCluster)),
  SetQuota: logged(request(manageCluster)),
  RemoveQuota: logged(request(manageCluster)),
  ListQuotas: request(manageCluster),
};

/** By gRPC path. */
export const PERMISSIONS: ReadonlyMap<string, Permission> = new Map([
  ...ofService('holdfast.v1.Log', LOG),
  ...ofService('holdfast.v1.Transactions', TRANSACTIONS),
  ...ofService('holdfast.v1.Groups', GROUPS),
  ...ofService('holdfast.v1.Deliveries', DELIVERIES),
  ...ofService('holdfast.v1.Admin', ADMIN),
  ...ofService('grpc.health.v1.Health', {
    Check: open('for probes'),
    Watch: open('for probes'),
    List: open('for probes'),
  }),
  ...['v1', 'v1alpha'].flatMap((version) =>
    ofService(`grpc.reflection.${version}.ServerReflection`, {
      ServerReflectionInfo: open('shows what the proto files show'),
    }),
  ),
]);

export function permissionOf(path: string): Permission {
  const found = PERMISSIONS.get(path);
  if (found === undefined) throw new TypeError(`${path} has no row in permissions.ts`);
  return found;
}

function ofService(
  service: string,
  methods: Readonly<Record<string, Permission>>,
): [string, Permission][] {
  return Object.entries(methods).map(([name, found]) => [`/${service}/${name}`, found]);
}

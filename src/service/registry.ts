/** One table of all gRPC methods: what runs when a client calls this node. */
import { randomUUID } from 'node:crypto';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Caller } from '../security/caller.ts';
import { type CallError, toCallError } from '../status.ts';
import { AccessCalls } from './access-calls.ts';
import type { Call } from './call.ts';
import { POLL_CHECKS_PATH, WATCH_CHECKS_PATH } from './checks.ts';
import { runCold } from './cold.ts';
import { deliveryExecutors } from './deliveries/executors.ts';
import { RECEIVE_PATH } from './deliveries/requests.ts';
import { FETCH_PATH } from './fetch.ts';
import { HEARTBEAT_PATH } from './groups.ts';
import {
  failStream,
  type RawDuplex,
  type RawWritable,
  traceparentOf,
  type UnaryExecutor,
  unaryHandler,
} from './grpc-calls.ts';
import { http2Limits } from './http2-limits.ts';
import { filterLimits, limitsOf } from './limits.ts';
import type { CallMeter } from './meters.ts';
import { PRODUCE_PATH } from './produce.ts';
import { ProduceStream } from './produce-stream.ts';
import { QuotaCalls } from './quota-calls.ts';
import { RECALL_PATH, recall } from './recall.ts';
import type { Parts } from './service.ts';
import { stateLimits } from './state-admission.ts';
import { SUBSCRIBE_PATH, SubscribeStream } from './subscribe.ts';
import { type TraceRequest, trace } from './tracing/trace.ts';
import {
  LIST_PATH,
  type ListRequest,
  listTransactions,
  RESUME_PATH,
  resumeTransaction,
} from './transaction-list.ts';
import { END_PATH, PREPARE_PATH } from './transactions.ts';
import { WatchChecksStream } from './watch-checks.ts';

export const PRODUCE_STREAM_PATH = '/holdfast.v1.Log/ProduceStream';

/** Calls that a node that stops answers at once. */
const WAITING: ReadonlySet<string> = new Set([
  ...[FETCH_PATH, POLL_CHECKS_PATH, HEARTBEAT_PATH, RECEIVE_PATH],
]);

type Handler = UntypedServiceImplementation[string];
/** Open streams, to be ended when the node stops. */
type Streams = Set<{ stop(): void }>;

export function createHandlers(
  parts: Parts,
  streams: Streams,
  polls: Set<Call>,
): ReadonlyMap<string, Handler> {
  const handlers = new Map<string, Handler>();
  for (const [path, execute] of unaryExecutors(parts)) {
    const waiting = WAITING.has(path) ? polls : undefined;
    const method = { path, execute, meter: parts.meters.of(path), polls: waiting };
    handlers.set(path, unaryHandler(parts, method));
  }
  for (const [path, handler] of streamHandlers(parts, streams)) handlers.set(path, handler);
  return handlers;
}

function unaryExecutors(parts: Parts): [string, UnaryExecutor][] {
  const { backups, checks, cluster, config, fetch, offsets, options, produce, proto } = parts;
  const { groupPast, groups, levelCalls, memberCalls, retention, topicCalls } = parts;
  const { transactions } = parts;
  const cold = <Request>(
    path: string,
    handler: (call: Call, request: Request) => Promise<object>,
  ): [string, UnaryExecutor] => [path, runCold<Request>(proto.method(path), handler)];
  const others = [
    ...[...stateLimits(), ...filterLimits(), ...http2Limits()],
    ...(options.otherLimits ?? []),
  ];
  const limits = limitsOf(config, others);
  const access = new AccessCalls(parts, Date.now);
  const quotas = new QuotaCalls(parts);
  return [
    [PRODUCE_PATH, produce.produce.bind(produce)],
    [FETCH_PATH, fetch.fetch.bind(fetch)],
    [PREPARE_PATH, transactions.prepare.bind(transactions)],
    [END_PATH, transactions.end.bind(transactions)],
    [POLL_CHECKS_PATH, checks.poll.bind(checks)],
    ...deliveryExecutors(parts.deliveries, proto),
    cold(RECALL_PATH, (call, request: { message_id: string }) => recall(parts, call, request)),
    cold(LIST_PATH, (call, request: ListRequest) => listTransactions(parts, call, request)),
    cold(RESUME_PATH, (call, request: { transaction_id: string }) =>
      resumeTransaction(parts, call, request),
    ),
    cold('/holdfast.v1.Log/ListOffsets', offsets.listOffsets.bind(offsets)),
    cold('/holdfast.v1.Log/CommitOffset', offsets.commitOffset.bind(offsets)),
    cold('/holdfast.v1.Log/GetOffset', offsets.getOffset.bind(offsets)),
    cold('/holdfast.v1.Log/ResetOffsets', offsets.resetOffsets.bind(offsets)),
    cold('/holdfast.v1.Admin/Trace', (call, request: TraceRequest) => trace(parts, call, request)),
    cold('/holdfast.v1.Groups/Join', groups.join.bind(groups)),
    cold(HEARTBEAT_PATH, groups.heartbeat.bind(groups)),
    cold('/holdfast.v1.Groups/Leave', groups.leave.bind(groups)),
    cold('/holdfast.v1.Groups/List', groups.list.bind(groups)),
    cold('/holdfast.v1.Groups/Describe', groups.describe.bind(groups)),
    cold('/holdfast.v1.Groups/Delete', groups.delete.bind(groups)),
    cold('/holdfast.v1.Groups/DescribeAt', groupPast.describeAt.bind(groupPast)),
    cold('/holdfast.v1.Groups/Fork', groupPast.fork.bind(groupPast)),
    cold('/holdfast.v1.Admin/CreateTopic', topicCalls.create.bind(topicCalls)),
    cold('/holdfast.v1.Admin/UpdateTopic', topicCalls.update.bind(topicCalls)),
    cold('/holdfast.v1.Admin/DeleteTopic', topicCalls.delete.bind(topicCalls)),
    cold('/holdfast.v1.Admin/ListTopics', topicCalls.list.bind(topicCalls)),
    cold('/holdfast.v1.Admin/DescribeTopic', topicCalls.describe.bind(topicCalls)),
    cold('/holdfast.v1.Admin/DescribeRetention', retention.describe.bind(retention)),
    cold('/holdfast.v1.Admin/DescribeMembers', memberCalls.describe.bind(memberCalls)),
    cold('/holdfast.v1.Admin/AddMember', memberCalls.add.bind(memberCalls)),
    cold('/holdfast.v1.Admin/RemoveMember', memberCalls.remove.bind(memberCalls)),
    cold('/holdfast.v1.Admin/TransferLeader', memberCalls.transfer.bind(memberCalls)),
    cold('/holdfast.v1.Admin/Rebalance', memberCalls.rebalance.bind(memberCalls)),
    cold('/holdfast.v1.Admin/RaiseFeatureLevel', levelCalls.raise.bind(levelCalls)),
    cold('/holdfast.v1.Admin/CutShard', backups.cut.bind(backups)),
    cold('/holdfast.v1.Admin/ReadShard', backups.read.bind(backups)),
    cold('/holdfast.v1.Admin/GrantAccess', access.grant.bind(access)),
    cold('/holdfast.v1.Admin/RevokeAccess', access.revoke.bind(access)),
    cold('/holdfast.v1.Admin/ListAccess', access.list.bind(access)),
    cold('/holdfast.v1.Admin/RevokeTokens', access.revokeTokens.bind(access)),
    cold('/holdfast.v1.Admin/SetQuota', quotas.set.bind(quotas)),
    cold('/holdfast.v1.Admin/RemoveQuota', quotas.remove.bind(quotas)),
    cold('/holdfast.v1.Admin/ListQuotas', quotas.list.bind(quotas)),
    cold('/holdfast.v1.Admin/DescribeCluster', cluster.describe.bind(cluster)),
    cold('/holdfast.v1.Admin/DescribeLimits', () => Promise.resolve({ limits })),
  ];
}

function streamHandlers(parts: Parts, streams: Streams): [string, Handler][] {
  const { calls, checks, config, fetch, host, offsets, produce, proto, router } = parts;
  const { admission, meters, spans, topics } = parts;
  const meter = meters.of(PRODUCE_STREAM_PATH);
  const produced = { path: PRODUCE_STREAM_PATH, meter };
  const subscribed = { path: SUBSCRIBE_PATH, meter: meters.of(SUBSCRIBE_PATH) };
  const watched = { path: WATCH_CHECKS_PATH, meter: meters.of(WATCH_CHECKS_PATH) };
  // Lanes are remembered by other nodes: no name may come back after a restart.
  const streamPrefix = randomUUID().slice(0, 8);
  let streamCount = 0;
  const protoMethod = proto.method(SUBSCRIBE_PATH);
  return [
    [
      PRODUCE_STREAM_PATH,
      (stream: RawDuplex) =>
        opened(parts, streams, stream, produced, (caller, onClosed) => {
          streamCount += 1;
          const streamId = `${streamPrefix}-${streamCount}`;
          const own = { router, calls, admission, produce, config, meter, streamId };
          const traceparent = traceparentOf(stream);
          const beginSpan = () => spans?.begin(PRODUCE_STREAM_PATH, traceparent);
          return new ProduceStream(stream, { ...own, beginSpan, caller, onClosed });
        }),
    ],
    [
      SUBSCRIBE_PATH,
      (stream: RawDuplex) =>
        opened(parts, streams, stream, subscribed, (caller, onClosed) => {
          const own = { host, router, calls, offsets, topics, protoMethod, config, meters, caller };
          return new SubscribeStream(stream, { ...own, fetch: fetch.method, onClosed });
        }),
    ],
    [
      WATCH_CHECKS_PATH,
      (stream: RawWritable) =>
        opened(parts, streams, stream, watched, (caller, onClosed) => {
          const question = checks.watchQuestion(stream.request, caller);
          return new WatchChecksStream(stream, calls, checks, question, caller, onClosed);
        }),
    ],
  ];
}

interface OpenStream {
  stop(): void;
  fail(error: CallError): void;
}

interface StreamMethod {
  readonly path: string;
  readonly meter: CallMeter;
}

type Open = (caller: Caller | undefined, onClosed: () => void) => OpenStream;

/** Counts a stream against its bound, and asks who opens it where the cluster does. */
function opened(
  parts: Parts,
  streams: Streams,
  stream: RawDuplex | RawWritable,
  { meter, path }: StreamMethod,
  open: Open,
): void {
  const { admission, guard } = parts;
  const refused: CallError | undefined = admission.openStream();
  if (refused !== undefined) {
    failStream(stream, refused);
    return;
  }
  if (guard === undefined) {
    keepOpen(parts, streams, stream, open, undefined);
    return;
  }
  guard.identify(stream, path, (error, caller) => {
    const refusal = error ?? caller!.allowance?.request(undefined, 0);
    if (refusal === undefined && !stream.cancelled) {
      keepOpen(parts, streams, stream, open, caller);
      return;
    }
    admission.closeStream();
    if (refusal === undefined) return;
    meter.answered(refusal.reason, 0);
    failStream(stream, refusal);
  });
}

/** Where a stopping node finds it; it ends when its caller may not go on. */
function keepOpen(
  { admission, guard }: Parts,
  streams: Streams,
  stream: RawDuplex | RawWritable,
  open: Open,
  caller: Caller | undefined,
): void {
  let entry: OpenStream | undefined;
  let unwatch: (() => void) | undefined;
  let closed = false;
  const onClosed = () => {
    if (closed) return;
    closed = true;
    unwatch?.();
    admission.closeStream();
    if (entry !== undefined) streams.delete(entry);
  };
  try {
    const created = open(caller, onClosed);
    entry = created;
    if (closed) return;
    streams.add(created);
    unwatch = caller && guard?.watch(caller, (error) => created.fail(error));
  } catch (error) {
    onClosed();
    failStream(stream, toCallError(error));
  }
}

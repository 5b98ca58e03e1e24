/** One table of all gRPC methods: what runs when a client calls this node. */
import { randomUUID } from 'node:crypto';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { type CallError, toCallError } from '../status.ts';
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
  type UnaryExecutor,
  unaryHandler,
} from './grpc-calls.ts';
import { filterLimits, limitsOf } from './limits.ts';
import { PRODUCE_PATH } from './produce.ts';
import { ProduceStream } from './produce-stream.ts';
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
    handlers.set(path, unaryHandler(parts, execute, parts.meters.of(path), waiting));
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
  const others = [...stateLimits(), ...filterLimits(), ...(options.otherLimits ?? [])];
  const limits = limitsOf(config, others);
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
    cold('/holdfast.v1.Admin/DescribeCluster', cluster.describe.bind(cluster)),
    cold('/holdfast.v1.Admin/DescribeLimits', () => Promise.resolve({ limits })),
  ];
}

function streamHandlers(parts: Parts, streams: Streams): [string, Handler][] {
  const { calls, checks, config, fetch, host, offsets, produce, proto, router } = parts;
  const { admission, meters, topics } = parts;
  const meter = meters.of(PRODUCE_STREAM_PATH);
  // Lanes are remembered by other nodes: no name may come back after a restart.
  const streamPrefix = randomUUID().slice(0, 8);
  let streamCount = 0;
  const protoMethod = proto.method(SUBSCRIBE_PATH);
  return [
    [
      PRODUCE_STREAM_PATH,
      (stream: RawDuplex) =>
        opened(parts, streams, stream, (onClosed) => {
          streamCount += 1;
          const streamId = `${streamPrefix}-${streamCount}`;
          const own = { router, calls, admission, produce, config, meter, streamId, onClosed };
          return new ProduceStream(stream, own);
        }),
    ],
    [
      SUBSCRIBE_PATH,
      (stream: RawDuplex) =>
        opened(parts, streams, stream, (onClosed) => {
          const own = { host, router, calls, offsets, topics, protoMethod, config, meters };
          return new SubscribeStream(stream, { ...own, fetch: fetch.method, onClosed });
        }),
    ],
    [
      WATCH_CHECKS_PATH,
      (stream: RawWritable) =>
        opened(parts, streams, stream, (onClosed) => {
          const question = checks.watchQuestion(stream.request);
          return new WatchChecksStream(stream, calls, checks, question, onClosed);
        }),
    ],
  ];
}

/** Counts a stream against its bound, and keeps it where a stopping node finds it. */
function opened(
  parts: Parts,
  streams: Streams,
  stream: RawDuplex | RawWritable,
  open: (onClosed: () => void) => { stop(): void },
): void {
  const refused: CallError | undefined = parts.admission.openStream();
  if (refused !== undefined) {
    failStream(stream, refused);
    return;
  }
  let entry: { stop(): void } | undefined;
  let closed = false;
  const onClosed = () => {
    if (closed) return;
    closed = true;
    parts.admission.closeStream();
    if (entry !== undefined) streams.delete(entry);
  };
  try {
    entry = open(onClosed);
    if (!closed) streams.add(entry);
  } catch (error) {
    onClosed();
    failStream(stream, toCallError(error));
  }
}

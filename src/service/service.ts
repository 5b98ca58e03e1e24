/** The service of one node, put together: executors, the gRPC façade, answers to other nodes. */
import { ServerCredentials } from '@grpc/grpc-js';
import type { ShardId } from '../../raft/types.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, Command } from '../broker/commands.ts';
import type { MetaCommand, MetaResult } from '../cluster/api.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import type { IncomingCall, PeerNetwork } from '../peers/api.ts';
import { Router } from '../router.ts';
import { SecurityLog } from '../security/security-log.ts';
import type { ShardHost } from '../shards/api.ts';
import type { BackupSource } from '../shards/backup-source.ts';
import type { RetentionPort } from '../shards/retention-reports.ts';
import type { CallError } from '../status.ts';
import { Admission, stopping } from './admission.ts';
import { AppliedWaits } from './applied-waits.ts';
import { BackupCalls } from './backup.ts';
import { type Call, Calls, OWN_CALL } from './call.ts';
import { CheckCollector } from './check-collector.ts';
import { CheckCalls } from './checks.ts';
import { ClusterStatus } from './cluster-status.ts';
import { type ServiceConfig, serviceConfig } from './config.ts';
import { type DeadlineClock, Deadlines, SYSTEM_DEADLINE_CLOCK } from './deadlines.ts';
import { DeliveryCalls } from './deliveries/delivery-calls.ts';
import { FeatureLevelCalls } from './feature-levels.ts';
import { Fences } from './fences.ts';
import { FetchCalls } from './fetch.ts';
import { GroupGrowth } from './group-growth.ts';
import { GroupMethods } from './group-methods.ts';
import { GroupPast } from './group-past.ts';
import { GroupSessions } from './group-sessions.ts';
import { GroupCalls } from './groups.ts';
import { type ConnectionEvents, type Door, GrpcServer, type Listen } from './grpc-server.ts';
import { type AuthOptions, Guard } from './guard.ts';
import { createInternalMethods, decodeJson, type Proposed } from './internal-methods.ts';
import { Leftovers } from './leftovers.ts';
import type { Limit } from './limits.ts';
import { type ClusterBirth, MemberCalls } from './members.ts';
import { NO_METERS, type ServiceMeters } from './meters.ts';
import { shardTarget } from './methods.ts';
import { OffsetCalls } from './offsets.ts';
import { OutcomeAsker } from './outcome-asker.ts';
import { OutcomePusher } from './outcome-pusher.ts';
import { createParticipantMethods } from './participants.ts';
import { PeerServer } from './peer-server.ts';
import { PrepareMany } from './prepare-many.ts';
import { ProduceCalls } from './produce.ts';
import { sharedProto } from './proto.ts';
import { QueuePicker } from './queue-picker.ts';
import { Readiness } from './readiness.ts';
import { createHandlers } from './registry.ts';
import { RetentionCalls } from './retention.ts';
import type { Spans } from './spans.ts';
import { TopicDirectory } from './topic-directory.ts';
import { TopicCalls } from './topics.ts';
import { createTraceMethods } from './tracing/methods.ts';
import { TransactionQuota } from './transaction-quota.ts';
import { TransactionCalls } from './transactions.ts';
import { Webhooks } from './webhooks/webhooks.ts';

const META_SHARD = 0;
/** Topics whose round-robin position is remembered. */
const MAX_PICKED_TOPICS = 20_000;

export interface ServiceLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ServiceOptions {
  readonly host: ShardHost;
  readonly peers: PeerNetwork;
  readonly birth: ClusterBirth;
  readonly backups: BackupSource;
  readonly logger: ServiceLogger;
  readonly meters?: ServiceMeters;
  readonly config?: Partial<ServiceConfig>;
  /** Of the client port; without TLS when left out. */
  readonly credentials?: ServerCredentials;
  /** For DescribeRetention. */
  readonly retention: RetentionPort;
  /** How clients prove who they are; when left out nobody is asked. */
  readonly auth?: AuthOptions | undefined;
  /** Watches calls; when left out nobody does. */
  readonly spans?: Spans | undefined;
  /** Limits of other parts, for DescribeLimits. */
  readonly otherLimits?: readonly Limit[];
}

export interface ServiceStats {
  /** What the health service says. */
  readonly isServing: boolean;
  readonly calls: number;
  readonly streams: number;
  readonly inflightRequestBytes: number;
  readonly waitingCalls: number;
  readonly longPolls: number;
}

export interface Service {
  start(listen: Listen | Door): Promise<{ port: number }>;
  /** Ends streams and long polls, lets the rest finish for `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** This node is no member any more: clients are sent elsewhere. Idempotent. */
  retire(): void;
  onPeerCall(call: IncomingCall): void;
  /** Brings a command to the leader of a shard, wherever that is. */
  callShard(
    shard: ShardId,
    command: Command,
    done: (error: CallError | undefined, result: ApplyResult | undefined) => void,
  ): void;
  proposeMeta(
    command: MetaCommand,
    done: (error: CallError | undefined, result: MetaResult | undefined) => void,
  ): void;
  stats(): ServiceStats;
}

export type Parts = ReturnType<typeof createParts>;

export function createParts(options: ServiceOptions) {
  const { birth, host, logger, meters = NO_METERS, peers } = options;
  const config = serviceConfig(options.config);
  const clock = SYSTEM_DEADLINE_CLOCK;
  const deadlines = new Deadlines(clock);
  const calls = new Calls(clock, deadlines);
  const router = new Router(host, peers, config, { clock, deadlines });
  const admission = new Admission(config);
  const proto = sharedProto();
  const fences = new Fences(host);
  const methods = createInternalMethods(host, fences);
  const waits = new AppliedWaits(host, config.maxWaitingCalls);
  const topics = new TopicDirectory(host, router, waits, methods.readIndex);
  const picker = new QueuePicker(MAX_PICKED_TOPICS, config.maxOrderingKeyBytes);
  const admins = options.auth?.admins ?? new Set<string>();
  const transactionQuota = new TransactionQuota(host, admins, meters);
  const shared = {
    ...{ host, router, topics, waits, methods, fences, picker, proto, config, meters },
    transactionQuota,
  };
  const produce = new ProduceCalls(shared);
  const fetch = new FetchCalls(shared);
  const offsets = new OffsetCalls(shared);
  const sessions = new GroupSessions(host, clock, deadlines);
  const growth = new GroupGrowth(host);
  const groupMethods = new GroupMethods(host, sessions, { clock, deadlines }, config.maxLongPolls);
  const traceMethods = createTraceMethods(host);
  const groups = new GroupCalls(shared, offsets, groupMethods);
  const groupPast = new GroupPast(shared, offsets);
  const participants = createParticipantMethods(host);
  const drive = { host, router, calls, methods: participants };
  const prepareMany = new PrepareMany(shared, offsets, drive);
  const pushed = { ...drive, callTimeoutMs: config.defaultCallTimeoutMs };
  const pusher = new OutcomePusher(pushed);
  const asker = new OutcomeAsker(pushed);
  const transactions = new TransactionCalls(shared, prepareMany, pusher);
  const bodies = participants.body;
  const collector = new CheckCollector({ host, router, calls, bodies }, config.maxLongPolls);
  const deliveries = new DeliveryCalls(shared, offsets, () => clock.nowMs());
  const collect = collector.method;
  const checks = new CheckCalls({
    ...{ peers, calls, router, meters, methods, collect, proto, config },
  });
  const webhooks = new Webhooks({
    ...{ calls, checks, collect, config, logger, meters, proto, transactions },
  });
  const leftovers = new Leftovers(shared, offsets);
  const topicCalls = new TopicCalls(shared, offsets, leftovers);
  const cluster = new ClusterStatus(host, peers, birth.clusterId, config.statusTimeoutMs);
  const memberCalls = new MemberCalls(shared, peers, birth);
  const levelCalls = new FeatureLevelCalls(shared, cluster);
  const backups = new BackupCalls(shared, options.backups);
  const retention = new RetentionCalls(shared, peers, options.retention);
  const securityLog = new SecurityLog(logger, () => clock.nowMs());
  const guard = createGuard(options, clock, deadlines, securityLog);
  const { spans } = options;
  const onBug = (error: CallError) =>
    logger.error({ err: error.cause ?? error }, `bug: ${error.message}`);
  return {
    ...{ asker, backups, participants, prepareMany, pusher },
    ...{ admission, calls, checks, cluster, collector, config, deadlines, fetch, host, methods },
    ...{ groupMethods, groupPast, groups, growth, guard, leftovers, meters },
    ...{ sessions, spans, traceMethods },
    ...{ deliveries, levelCalls, memberCalls, offsets, onBug, options, produce, proto },
    ...{ retention, router, securityLog, topics, topicCalls, transactions, waits, webhooks },
  };
}

/** Only where it is asked who calls. */
function createGuard(
  { auth, birth, host, meters = NO_METERS }: ServiceOptions,
  clock: DeadlineClock,
  deadlines: Deadlines,
  log: SecurityLog,
): Guard | undefined {
  if (auth === undefined) return undefined;
  const { clusterId } = birth;
  return new Guard(auth, { clusterId, host, clock, deadlines, log, meters });
}

export function createService(options: ServiceOptions): Service {
  const parts = createParts(options);
  const { admission, calls, collector, config, deadlines, fetch, methods, router, waits } = parts;
  const { deliveries, groupMethods, growth, sessions } = parts;
  const streams = new Set<{ stop(): void }>();
  const polls = new Set<Call>();
  const handlers = createHandlers(parts, streams, polls);
  const server = new GrpcServer(parts.proto, handlers, config, connectionEvents(parts));
  const peerServer = createPeerServer(parts);

  const propose = <Result>(
    shard: ShardId,
    head: Uint8Array,
    done: (error: CallError | undefined, result: Result | undefined) => void,
  ) => {
    const call = calls.open(config.defaultCallTimeoutMs, OWN_CALL, (error, answer) => {
      if (error !== undefined) done(error, undefined);
      else done(undefined, decodeJson<Proposed>(answer!).result as Result);
    });
    const target = shardTarget(shard);
    router.route(call, { method: methods.propose, target, body: head }, call.finish);
  };

  let readiness: Readiness | undefined;
  const sendAway = () => {
    readiness?.close();
    parts.webhooks.close();
    server.setServing(false);
    admission.stop();
    for (const stream of [...streams]) stream.stop();
    for (const poll of [...polls]) poll.cancel(stopping());
  };

  return {
    async start(listen) {
      const credentials = options.credentials ?? ServerCredentials.createInsecure();
      const bound = await server.start(listen, credentials);
      readiness = new Readiness(parts, (isReady) => server.setServing(isReady));
      parts.webhooks.start();
      return bound;
    },
    retire() {
      sendAway();
      router.retire();
      waits.retire();
    },
    async stop(graceMs) {
      sendAway();
      await server.stop(graceMs);
      collector.close();
      for (const part of [groupMethods, growth, sessions, parts.pusher, parts.asker]) part.close();
      deliveries.waits.close();
      parts.guard?.close();
      waits.close();
      router.close();
      deadlines.close();
    },
    onPeerCall: (call) => peerServer.onPeerCall(call),
    callShard: (shard, command, done) => propose(shard, encodeCommand(command), done),
    proposeMeta: (command, done) => propose(META_SHARD, encodeMetaCommand(command), done),
    stats: () => ({
      isServing: server.isServing,
      calls: admission.calls,
      streams: admission.streams,
      inflightRequestBytes: admission.inflightBytes,
      waitingCalls: router.waiting + waits.size,
      longPolls: fetch.polls + collector.polls + groupMethods.waiting + deliveries.waits.count,
    }),
  };
}

function connectionEvents({ meters, options, securityLog }: Parts): ConnectionEvents {
  return {
    failed: (err) => options.logger.error({ err }, 'clients: the socket that takes them failed'),
    turnedAway(source, limit) {
      meters.connectionRefused(limit);
      securityLog.turnedAway(source, limit);
    },
    tlsRefused(source, { code = 'unknown' }) {
      meters.connectionRefused('tls');
      securityLog.turnedAway(source, code);
    },
  };
}

function createPeerServer(parts: Parts): PeerServer {
  const { calls, cluster, collector, config, fetch, host, methods, onBug, produce, spans } = parts;
  const { backups, deliveries, groupMethods, groupPast, memberCalls, participants, router } = parts;
  const { leftovers, prepareMany, retention, traceMethods, transactions } = parts;
  return new PeerServer({
    ...{ host, router, calls, onBug, spans, maxFailedLanes: config.maxFailedLanes },
    shardMethods: [
      ...[produce.method, fetch.method, transactions.prepareMethod, transactions.endMethod],
      ...[groupMethods.heartbeat, groupMethods.list, groupMethods.view, groupPast.method],
      ...Object.values(traceMethods),
      ...[prepareMany.method, ...Object.values(participants)],
      ...Object.values(methods),
      ...[...deliveries.methods, ...backups.methods, leftovers.method, retention.planMethod],
    ],
    nodeMethods: [collector.method, cluster.method, memberCalls.method, retention.logMethod],
  });
}

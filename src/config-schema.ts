/** What a written configuration may contain, and the relations that must hold in it. */
import { z } from 'zod';
import { formatAddress, isLoopback, isWildcard, parseAddress } from './address.ts';
import { MAX_TOKEN_LIFETIME_MS } from './cluster/access-api.ts';
import {
  DEFAULT_SAMPLE_RATIO,
  DEFAULTS,
  GRPC_PORT_BASE,
  HTTP_PORT_OFFSET,
  LOG_LEVELS,
  type NodeConfig,
  PEER_PORT_OFFSET,
  type TlsConfig,
  type TracingConfig,
} from './config.ts';
import { isName } from './convert.ts';
import { DEFAULT_PEER_LIMITS } from './peers/limits.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const NODE_MAX = 10_000;
/** A record holds one request and its head; a segment must hold the largest record. */
const RECORD_OVERHEAD_BYTES = MIB;
/** Below this ratio one lost heartbeat could already cost a leader its office. */
const HEARTBEATS_PER_ELECTION_MIN = 3;
/** Chunks under way to one replica must leave room in its connection's queue for the log. */
const SNAPSHOT_WINDOW_BYTES_MAX = DEFAULT_PEER_LIMITS.maxQueuedBulkBytes / 2;

const whole = (least: number, most: number) => z.number().int().min(least).max(most);

const address = z
  .string()
  .refine((text) => parseAddress(text) !== undefined, 'must be host:port, such as 127.0.0.1:7401')
  .transform((text) => parseAddress(text)!);

const endpoints = z.strictObject({ grpc: address.optional(), peer: address.optional() });

const path = z.string().min(1);
const tls = z.strictObject({
  cert: path.optional(),
  key: path.optional(),
  clientCa: path.optional(),
  peer: z.strictObject({ cert: path, key: path, ca: path }).optional(),
});

const auth = z.strictObject({
  tokenKeys: z.array(path).default([]),
  admins: z.array(z.string().refine(isName, 'must be 1 to 127 of A-Z a-z 0-9 _ . -')).default([]),
  clientCertificates: z.boolean().default(false),
  maxTokenLifetimeMs: whole(1000, MAX_TOKEN_LIFETIME_MS).default(DEFAULTS.maxTokenLifetimeMs),
});

/** Read by every node: each asks for the transactions that it coordinates. */
const WEBHOOKS_MAX = 256;
const webhook = z.strictObject({
  url: z.string().refine(isWebhookUrl, 'must be http://… or https://…, without a password or #'),
  timeoutMs: whole(100, 60_000).default(DEFAULTS.webhookTimeoutMs),
});
const webhooks = z
  .record(z.string().min(1, 'a producer group has a name').max(127), webhook)
  .refine((all) => Object.keys(all).length <= WEBHOOKS_MAX, `at most ${WEBHOOKS_MAX} of them`);

/** fetch takes no password in a URL, and sends no fragment. */
function isWebhookUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { hash, password, protocol, username } = new URL(text);
  return /^https?:$/.test(protocol) && `${hash}${username}${password}` === '';
}

/** 0 = no limit. A node needs room for a few segments in any case. */
const dataBytes = z.union([z.literal(0), whole(64 * MIB, Number.MAX_SAFE_INTEGER)]);

export const configSchema = z.strictObject({
  node: whole(1, NODE_MAX),
  data: z.string().min(1),
  listen: endpoints.extend({ http: address.optional() }).prefault({}),
  advertise: endpoints.prefault({}),
  peers: z.record(z.string().regex(/^[1-9]\d*$/, 'must be a node number'), address).prefault({}),
  tls: tls.prefault({}),
  auth: auth.optional(),
  insecure: z.boolean().default(DEFAULTS.insecure),
  clusterId: z.string().min(1).optional(),
  dataShards: whole(1, 1024).optional(),
  replicationFactor: whole(1, 7).optional(),
  raft: z
    .strictObject({
      heartbeatIntervalMs: whole(10, 60_000).default(DEFAULTS.raft.heartbeatIntervalMs),
      electionTimeoutMs: whole(50, 600_000).default(DEFAULTS.raft.electionTimeoutMs),
      quietRefreshMs: whole(50, 86_400_000).default(DEFAULTS.raft.quietRefreshMs),
      maxCatchUpBytes: whole(64 * KIB, 32 * MIB).default(DEFAULTS.raft.maxCatchUpBytes),
      snapshotChunkBytes: whole(4 * KIB, 16 * MIB).default(DEFAULTS.raft.snapshotChunkBytes),
      maxInflightSnapshotChunks: whole(1, 1024).default(DEFAULTS.raft.maxInflightSnapshotChunks),
      maxOutgoingSnapshots: whole(1, 64).default(DEFAULTS.raft.maxOutgoingSnapshots),
    })
    .prefault({}),
  log: z
    .strictObject({
      segmentBytes: whole(MIB, 4 * GIB).default(DEFAULTS.log.segmentBytes),
      maxFlushBytes: whole(64 * KIB, GIB).default(DEFAULTS.log.maxFlushBytes),
      maxQueuedBytes: whole(MIB, 4 * GIB).default(DEFAULTS.log.maxQueuedBytes),
    })
    .prefault({}),
  limits: z
    .strictObject({
      maxMessageBytes: whole(1, 15 * MIB).default(DEFAULTS.limits.maxMessageBytes),
      maxRequestBytes: whole(64 * KIB, 16 * MIB).default(DEFAULTS.limits.maxRequestBytes),
      maxInflightRequestBytes: whole(MIB, 64 * GIB).default(
        DEFAULTS.limits.maxInflightRequestBytes,
      ),
      maxWaitingCalls: whole(1, 10_000_000).default(DEFAULTS.limits.maxWaitingCalls),
      maxLongPolls: whole(1, 10_000_000).default(DEFAULTS.limits.maxLongPolls),
      maxWaitMs: whole(0, 3_600_000).default(DEFAULTS.limits.maxWaitMs),
      maxStreamBytesInFlight: whole(64 * KIB, GIB).default(DEFAULTS.limits.maxStreamBytesInFlight),
      maxConnections: whole(1, 1_000_000).default(DEFAULTS.limits.maxConnections),
      maxConnectionsPerAddress: whole(1, 1_000_000).default(
        DEFAULTS.limits.maxConnectionsPerAddress,
      ),
    })
    .prefault({}),
  transactions: z
    .strictObject({
      firstCheckAfterMs: whole(1, 86_400_000).default(DEFAULTS.transactions.firstCheckAfterMs),
      checkIntervalMs: whole(1, 86_400_000).default(DEFAULTS.transactions.checkIntervalMs),
      maxChecksPerTransaction: whole(1, 1_000_000).default(
        DEFAULTS.transactions.maxChecksPerTransaction,
      ),
      webhooks: webhooks.prefault({}),
    })
    .prefault({}),
  retention: z
    .strictObject({
      checkIntervalMs: whole(10, 86_400_000).default(DEFAULTS.retention.checkIntervalMs),
      checkpointBytes: whole(64 * KIB, 64 * GIB).default(DEFAULTS.retention.checkpointBytes),
      slowReplicaGraceMs: whole(100, 30 * 86_400_000).default(
        DEFAULTS.retention.slowReplicaGraceMs,
      ),
      diskHighPercent: whole(1, 100).default(DEFAULTS.retention.diskHighPercent),
      diskCriticalPercent: whole(1, 100).default(DEFAULTS.retention.diskCriticalPercent),
      diskFullPercent: whole(1, 100).default(DEFAULTS.retention.diskFullPercent),
      maxDataBytes: dataBytes.default(DEFAULTS.retention.maxDataBytes),
    })
    .prefault({}),
  metrics: z.boolean().default(DEFAULTS.metrics),
  tracing: z
    .strictObject({
      endpoint: z.url({ protocol: /^https?$/ }).optional(),
      sampleRatio: z.number().min(0).max(1).default(DEFAULT_SAMPLE_RATIO),
    })
    .prefault({}),
  logLevel: z.enum(LOG_LEVELS).default(DEFAULTS.logLevel),
});

type Written = z.output<typeof configSchema>;

/** Fills in what depends on other fields, and freezes. */
export function toNodeConfig(written: Written): NodeConfig {
  const listen = { ...defaultEndpoints(written.node), ...definedOnly(written.listen) };
  const { grpc, peer } = listen;
  const advertise = { grpc, peer, ...definedOnly(written.advertise) };
  const peers = new Map(
    Object.entries(written.peers)
      .map(([node, at]) => [Number(node), at] as const)
      .filter(([node]) => node !== written.node),
  );
  return deepFreeze({
    node: written.node,
    data: written.data,
    listen,
    advertise,
    peers,
    tls: toTls(written.tls),
    auth: written.auth,
    insecure: written.insecure,
    clusterId: written.clusterId,
    birth: definedOnly({
      dataShards: written.dataShards,
      replicationFactor: written.replicationFactor,
    }),
    raft: written.raft,
    log: written.log,
    limits: written.limits,
    transactions: written.transactions,
    retention: written.retention,
    metrics: written.metrics,
    tracing: toTracing(written.tracing),
    logLevel: written.logLevel,
  });
}

function toTracing({ endpoint, sampleRatio }: Written['tracing']): TracingConfig | undefined {
  return endpoint === undefined ? undefined : { endpoint, sampleRatio };
}

/** Half of a pair is refused by `brokenTls`, which is why it becomes one here. */
function toTls({ cert, key, clientCa, peer }: Written['tls']): TlsConfig {
  const isSet = cert !== undefined || key !== undefined || clientCa !== undefined;
  const grpc = isSet ? { cert: cert ?? '', key: key ?? '', ca: clientCa } : undefined;
  return { grpc, peer };
}

function defaultEndpoints(node: number): NodeConfig['listen'] {
  const port = GRPC_PORT_BASE + node;
  return {
    grpc: { host: '127.0.0.1', port },
    peer: { host: '127.0.0.1', port: port + PEER_PORT_OFFSET },
    http: { host: '127.0.0.1', port: port + HTTP_PORT_OFFSET },
  };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function definedOnly<T extends object>(value: T): Defined<T> {
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries) as Defined<T>;
}

function deepFreeze<T extends object>(value: T): T {
  for (const field of Object.values(value)) {
    if (typeof field === 'object' && field !== null) deepFreeze(field);
  }
  return Object.freeze(value);
}

/** The first relation between fields that does not hold, as one line; undefined when all do. */
export function brokenRelation(config: NodeConfig): string | undefined {
  return (
    brokenTls(config) ??
    brokenAuth(config) ??
    brokenListen(config) ??
    sharedListen(config) ??
    brokenWebhook(config) ??
    brokenSizes(config) ??
    brokenTimes(config) ??
    brokenMarks(config)
  );
}

function brokenTls({ tls: { grpc } }: NodeConfig): string | undefined {
  if (grpc === undefined) return undefined;
  const missing = (['cert', 'key'] as const).find((field) => grpc[field] === '');
  if (missing === undefined) return undefined;
  return `tls.${missing}: missing; TLS for clients takes both tls.cert and tls.key`;
}

function brokenAuth({ auth: asked, tls: { grpc } }: NodeConfig): string | undefined {
  if (asked === undefined) return undefined;
  if (asked.clientCertificates && grpc?.ca === undefined) {
    return 'auth.clientCertificates: needs tls.clientCa, the CA of the certificates that count';
  }
  if (asked.clientCertificates || asked.tokenKeys.length > 0) return undefined;
  return 'auth: nobody could call; give auth.tokenKeys, or auth.clientCertificates: true';
}

const TLS_KEYS = { grpc: 'tls.cert and tls.key', peer: 'tls.peer' } as const;

function brokenListen(config: NodeConfig): string | undefined {
  const { node, listen, advertise, insecure, tls } = config;
  for (const kind of ['grpc', 'peer'] as const) {
    const at = formatAddress(listen[kind]);
    if (!insecure && tls[kind] === undefined && !isLoopback(listen[kind].host)) {
      return (
        `listen.${kind}: ${at} can be reached from other machines, and is not encrypted; set ` +
        `${TLS_KEYS[kind]}, listen on 127.0.0.1, or write insecure: true if that network is trusted`
      );
    }
    if (
      kind === 'grpc' &&
      !insecure &&
      config.auth === undefined &&
      !isLoopback(listen.grpc.host)
    ) {
      return (
        `listen.grpc: ${at} can be reached from other machines, and nobody is asked who calls; ` +
        'set auth, listen on 127.0.0.1, or write insecure: true if that network is trusted'
      );
    }
    if (isWildcard(advertise[kind].host)) {
      return `advertise.${kind}: needed for node ${node}, because nobody can dial ${at}`;
    }
  }
  return undefined;
}

/** Of `listen.http` nothing more is asked: it shows numbers and changes nothing. */
function sharedListen({ listen, metrics }: NodeConfig): string | undefined {
  const first = new Map<string, string>();
  for (const kind of ['grpc', 'peer', ...(metrics ? (['http'] as const) : [])] as const) {
    const at = formatAddress(listen[kind]);
    const other = first.get(at);
    if (other !== undefined) {
      return `listen.${kind}: ${at} is listen.${other} too; give it a port of its own`;
    }
    first.set(at, kind);
  }
  return undefined;
}

function brokenWebhook({ insecure, transactions }: NodeConfig): string | undefined {
  for (const [group, { url }] of Object.entries(transactions.webhooks)) {
    const { hostname, protocol } = new URL(url);
    // A URL writes ::1 in brackets.
    if (protocol === 'https:' || insecure || isLoopback(hostname.replace(/^\[|\]$/g, ''))) continue;
    return (
      `transactions.webhooks.${group}: ${url} sends messages to another machine without ` +
      'encryption; use https, or write insecure: true if that network is trusted'
    );
  }
  return undefined;
}

function brokenSizes({ limits, log, raft }: NodeConfig): string | undefined {
  const room = limits.maxRequestBytes - limits.maxMessageBytes;
  if (room < KIB) {
    return (
      `limits.maxRequestBytes: ${limits.maxRequestBytes} must be at least 1024 above ` +
      `limits.maxMessageBytes (${limits.maxMessageBytes}), or the largest message cannot be sent`
    );
  }
  if (log.segmentBytes < limits.maxRequestBytes + RECORD_OVERHEAD_BYTES) {
    return (
      `log.segmentBytes: ${log.segmentBytes} must be at least ${RECORD_OVERHEAD_BYTES} above ` +
      `limits.maxRequestBytes (${limits.maxRequestBytes}), or the largest request fits no segment`
    );
  }
  const { maxInflightSnapshotChunks, snapshotChunkBytes } = raft;
  if (maxInflightSnapshotChunks * snapshotChunkBytes > SNAPSHOT_WINDOW_BYTES_MAX) {
    return (
      `raft.maxInflightSnapshotChunks: ${maxInflightSnapshotChunks} times ` +
      `raft.snapshotChunkBytes (${snapshotChunkBytes}) must be at most ` +
      `${SNAPSHOT_WINDOW_BYTES_MAX}, or a snapshot leaves no room for the log`
    );
  }
  return undefined;
}

function brokenMarks({ retention }: NodeConfig): string | undefined {
  const marks = ['diskHighPercent', 'diskCriticalPercent', 'diskFullPercent'] as const;
  for (const [at, name] of marks.entries()) {
    const before = marks[at - 1];
    if (before === undefined || retention[before] < retention[name]) continue;
    return `retention.${name}: ${retention[name]} must be above ${before} (${retention[before]})`;
  }
  return undefined;
}

function brokenTimes({ raft, retention }: NodeConfig): string | undefined {
  if (retention.slowReplicaGraceMs < raft.electionTimeoutMs) {
    return (
      `retention.slowReplicaGraceMs: ${retention.slowReplicaGraceMs} must be at least ` +
      `raft.electionTimeoutMs (${raft.electionTimeoutMs}), or every short silence costs a snapshot`
    );
  }
  if (raft.quietRefreshMs < raft.electionTimeoutMs) {
    return (
      `raft.quietRefreshMs: ${raft.quietRefreshMs} must be at least ` +
      `raft.electionTimeoutMs (${raft.electionTimeoutMs}), or quiet shards never rest`
    );
  }
  const least = HEARTBEATS_PER_ELECTION_MIN * raft.heartbeatIntervalMs;
  if (raft.electionTimeoutMs >= least) return undefined;
  return (
    `raft.electionTimeoutMs: ${raft.electionTimeoutMs} must be at least ` +
    `${HEARTBEATS_PER_ELECTION_MIN} times raft.heartbeatIntervalMs (${raft.heartbeatIntervalMs})`
  );
}

/**
 * The configuration of one node, field by field. `config-sources.ts` gathers it from file,
 * environment and flags; this file says what is legal and gives the defaults.
 */
import { DEFAULT_RAFT_CONFIG } from '../raft/config.ts';
import type { NodeId } from '../raft/types.ts';
import type { Address } from './address.ts';
import type { TlsFiles } from './security/tls-material.ts';

/** Settings that every node of a cluster must agree on. Fixed at birth, kept in `identity.json`. */
export interface BirthConfig {
  /** Raft groups that hold queues. More of them spread load over more leaders. */
  readonly dataShards: number;
  /** Copies of each data shard (never more than there are nodes). */
  readonly replicationFactor: number;
}

/** May differ between nodes for the time of a rolling change, but not by much for long. */
export interface RaftSettings {
  /** How often a leader is heard when nothing happens. Lower finds a silent leader sooner. */
  readonly heartbeatIntervalMs: number;
  /** Silence after which a follower asks for votes: a random time in [1x, 2x). */
  readonly electionTimeoutMs: number;
  /** How often the leader of a quiet shard asks its followers anew: a safety net. */
  readonly quietRefreshMs: number;
  /** Read from the log for one node that is far behind, and not acknowledged by it yet. */
  readonly maxCatchUpBytes: number;
  /** Of a snapshot, per message ... */
  readonly snapshotChunkBytes: number;
  /** ... so many of which may be on their way to one replica ... */
  readonly maxInflightSnapshotChunks: number;
  /** ... and to so many replicas at a time. */
  readonly maxOutgoingSnapshots: number;
}

export interface LogConfig {
  /** Size of a commit log file; disk space comes back one whole file at a time. */
  readonly segmentBytes: number;
  /** Most bytes in one write and sync; bounds how long a small record waits behind big ones. */
  readonly maxFlushBytes: number;
  /** Most bytes waiting for the disk; over it produce calls get RESOURCE_EXHAUSTED. */
  readonly maxQueuedBytes: number;
}

export interface ServiceLimits {
  /** One encoded Message. Larger: INVALID_ARGUMENT MESSAGE_TOO_LARGE. */
  readonly maxMessageBytes: number;
  /** One request on the wire. */
  readonly maxRequestBytes: number;
  /** Request bytes held by this node at once, over all connections. */
  readonly maxInflightRequestBytes: number;
  /** Calls of this node that wait for a leader. */
  readonly maxWaitingCalls: number;
  /** Fetches and polls of this node that wait for data. */
  readonly maxLongPolls: number;
  /** Longest long poll. */
  readonly maxWaitMs: number;
  /** Bytes on their way to one Subscribe stream. */
  readonly maxStreamBytesInFlight: number;
  /** Of clients. */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
}

export interface TransactionConfig {
  /** After a half message was stored, when its producer group is first asked for the outcome. */
  readonly firstCheckAfterMs: number;
  /** Between two such questions. */
  readonly checkIntervalMs: number;
  /** After so many that reached a producer and brought no decision, it waits for an operator. */
  readonly maxChecksPerTransaction: number;
  /** Producer groups that are asked over HTTP, by name. */
  readonly webhooks: Readonly<Record<string, WebhookConfig>>;
}

export interface WebhookConfig {
  readonly url: string;
  /** For the whole answer. */
  readonly timeoutMs: number;
}

/** In percent of the disk, ascending; see `DiskLevel`. */
export interface DiskMarks {
  readonly diskHighPercent: number;
  readonly diskCriticalPercent: number;
  readonly diskFullPercent: number;
}

export interface RetentionConfig extends DiskMarks {
  /** How often a shard's leader looks for messages past their topic's retention. */
  readonly checkIntervalMs: number;
  /** Log of a shard between two checkpoints of its small state; log goes only below one. */
  readonly checkpointBytes: number;
  /** A replica that is silent for longer keeps no log from going: it will get a snapshot. */
  readonly slowReplicaGraceMs: number;
  /** The marks count for so much, where that is less than the disk has; 0 = no limit. */
  readonly maxDataBytes: number;
}

/** Paths of PEM files; read again when they change. */
export interface TlsConfig {
  /** Of the client port. With `ca` every client must show a certificate of it. */
  readonly grpc: TlsFiles | undefined;
  /** Of the peer port, where both sides always show one. */
  readonly peer: (TlsFiles & { readonly ca: string }) | undefined;
}

/** Who may call, where that is asked. */
export interface AuthConfig {
  /** PEM files of public keys: what one of them signed is a token. Read again when they change. */
  readonly tokenKeys: readonly string[];
  /** Principals that may do everything; the first rules are theirs to make. */
  readonly admins: readonly string[];
  /** Whether a certificate of `tls.clientCa` says who calls. */
  readonly clientCertificates: boolean;
  /** A token that is issued for longer is not taken. */
  readonly maxTokenLifetimeMs: number;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface NodeConfig {
  /** This node's number in the cluster, from 1. */
  readonly node: NodeId;
  /** The node's own directory. One node, one directory, for life. */
  readonly data: string;
  readonly listen: { readonly grpc: Address; readonly peer: Address; readonly http: Address };
  /** How clients and other nodes reach this node, where that differs from `listen`. */
  readonly advertise: { readonly grpc: Address; readonly peer: Address };
  /** Where the other nodes listen for peers. Overrides replicated addresses for dialling. */
  readonly peers: ReadonlyMap<NodeId, Address>;
  /** Ports without it are not encrypted, and belong on loopback. */
  readonly tls: TlsConfig;
  /** undefined: nobody is asked who calls, and everybody may do everything. */
  readonly auth: AuthConfig | undefined;
  /** Allows to listen beyond loopback without TLS or `auth`: who can connect may do anything. */
  readonly insecure: boolean;
  /** When set, a data directory of another cluster is refused at start. */
  readonly clusterId: string | undefined;
  /** What was written in the configuration; only used at birth, compared afterwards. */
  readonly birth: Partial<BirthConfig>;
  readonly raft: RaftSettings;
  readonly log: LogConfig;
  readonly limits: ServiceLimits;
  readonly transactions: TransactionConfig;
  readonly retention: RetentionConfig;
  /** Serves metrics and health over HTTP on `listen.http`; false = nothing listens there. */
  readonly metrics: boolean;
  /** Sends spans of calls to a collector; undefined = none are made. */
  readonly tracing: TracingConfig | undefined;
  readonly logLevel: LogLevel;
}

export interface TracingConfig {
  /** OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`. */
  readonly endpoint: string;
  /** Part of the calls that are watched whose caller does not say, 0 to 1. */
  readonly sampleRatio: number;
}

export const BIRTH_DEFAULTS: BirthConfig = Object.freeze({ dataShards: 12, replicationFactor: 3 });

/** Node i serves gRPC on `GRPC_PORT_BASE` + i by default; its other ports are so much above. */
export const GRPC_PORT_BASE = 7400;
export const PEER_PORT_OFFSET = 100;
export const HTTP_PORT_OFFSET = 200;

/** Of `tracing`, where an endpoint is given. */
export const DEFAULT_SAMPLE_RATIO = 0.01;

export const DEFAULTS = Object.freeze({
  insecure: false,
  raft: Object.freeze({
    heartbeatIntervalMs: 400,
    electionTimeoutMs: 1200,
    quietRefreshMs: DEFAULT_RAFT_CONFIG.quietRefreshMs,
    maxCatchUpBytes: DEFAULT_RAFT_CONFIG.maxCatchUpBytes,
    snapshotChunkBytes: DEFAULT_RAFT_CONFIG.snapshotChunkBytes,
    maxInflightSnapshotChunks: DEFAULT_RAFT_CONFIG.maxInflightSnapshotChunks,
    maxOutgoingSnapshots: DEFAULT_RAFT_CONFIG.maxOutgoingSnapshots,
  }),
  log: Object.freeze({
    segmentBytes: 64 * 1024 * 1024,
    maxFlushBytes: 8 * 1024 * 1024,
    maxQueuedBytes: 128 * 1024 * 1024,
  }),
  limits: Object.freeze({
    maxMessageBytes: 4_000_000,
    maxRequestBytes: 16 * 1024 * 1024,
    maxInflightRequestBytes: 256 * 1024 * 1024,
    maxWaitingCalls: 10_000,
    maxLongPolls: 20_000,
    maxWaitMs: 30_000,
    maxStreamBytesInFlight: 4 * 1024 * 1024,
    maxConnections: 10_000,
    maxConnectionsPerAddress: 2_000,
  }),
  transactions: Object.freeze({
    firstCheckAfterMs: 6000,
    checkIntervalMs: 30_000,
    maxChecksPerTransaction: 15,
    webhooks: Object.freeze({}),
  }),
  maxTokenLifetimeMs: 86_400_000,
  webhookTimeoutMs: 5000,
  retention: Object.freeze({
    checkIntervalMs: 10_000,
    checkpointBytes: 64 * 1024 * 1024,
    slowReplicaGraceMs: 600_000,
    diskHighPercent: 75,
    diskCriticalPercent: 85,
    diskFullPercent: 90,
    maxDataBytes: 0,
  }),
  metrics: true,
  logLevel: 'info',
}) satisfies Partial<NodeConfig>;

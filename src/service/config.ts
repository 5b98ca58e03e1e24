/** What the service may be told, and what it does when it is not. */
import { DEFAULT_MAX_CHECKS } from '../broker/transaction-commands.ts';
import type { Webhook } from './webhooks/group-webhook.ts';

export interface ServiceConfig {
  /** One encoded Message; a test holds that the limit itself still passes default stubs. */
  readonly maxMessageBytes: number;
  /** gRPC's receive limit: well above maxMessageBytes, so that our own error is the one seen. */
  readonly maxRequestBytes: number;
  /** A batch is walked once per fetch that starts inside it: keep it walkable. */
  readonly maxMessagesPerRequest: number;
  /** Request bytes that this node holds at once, over all calls. */
  readonly maxInflightRequestBytes: number;
  /** Calls that wait here for a leader. */
  readonly maxWaitingCalls: number;
  /** Fetches and polls that wait here for data. */
  readonly maxLongPolls: number;
  /** HTTP/2 streams per connection. */
  readonly maxConcurrentStreams: number;
  /** For calls without a deadline. */
  readonly defaultCallTimeoutMs: number;
  /** A longer deadline is cut to this. */
  readonly maxCallTimeoutMs: number;
  /** Longest wait of a long poll. */
  readonly maxWaitMs: number;
  /** A long poll answers this long before its caller's deadline. */
  readonly longPollMarginMs: number;
  readonly defaultFetchBytes: number;
  readonly maxFetchBytes: number;
  /** No response is larger unless `max_bytes` asks for it: what every stub accepts. */
  readonly maxResponseBytes: number;
  /** Unanswered requests of one ProduceStream. */
  readonly maxStreamRequestsInFlight: number;
  /** Bytes of the unanswered requests of one ProduceStream. */
  readonly maxProduceStreamBytesInFlight: number;
  /** Unanswered requests of one ProduceStream and queue (the dedup window, internals rule 13). */
  readonly maxQueueRequestsInFlight: number;
  /** Bytes that a Subscribe stream may have written and not yet sent; as many may wait for that. */
  readonly maxStreamBytesInFlight: number;
  readonly maxSubscribedQueues: number;
  /** Credit above this is refused. */
  readonly maxCredit: number;
  /** Open ProduceStream, Subscribe and WatchChecks streams of this node. */
  readonly maxStreams: number;
  /** Lanes (queues of forwarded streams) that are remembered as failed. */
  readonly maxFailedLanes: number;
  readonly maxOrderingKeyBytes: number;
  readonly maxQueuesPerTopic: number;
  readonly defaultQueueCount: number;
  readonly defaultRetentionMs: number;
  readonly defaultPageSize: number;
  readonly maxPageSize: number;
  /** Offsets in one CommitOffset, ResetOffsets, ListOffsets or GetOffset. */
  readonly maxQueuesPerCall: number;
  readonly minSessionMs: number;
  readonly defaultSessionMs: number;
  /** A member that is silent for its session is no member any more. */
  readonly maxSessionMs: number;
  readonly maxTopicsPerMember: number;
  /** Queues of one transaction. */
  readonly maxPartsPerTransaction: number;
  readonly defaultChecks: number;
  readonly maxChecks: number;
  /** A prepared transaction is first asked about after this. */
  readonly firstCheckAfterMs: number;
  /** And then every so often. */
  readonly checkIntervalMs: number;
  /** After so many delivered checks without a decision it is parked. */
  readonly maxChecksPerTransaction: number;
  readonly maxCheckLeaseMs: number;
  /** Producer groups that are asked over HTTP. */
  readonly webhooks: Readonly<Record<string, Webhook>>;
  /** Questions to one webhook that this node waits for at once. */
  readonly maxWebhookCallsPerGroup: number;
  /** How long a poll waits for the other nodes' checks once one node has answered. */
  readonly checksMergeMs: number;
  /** How long DescribeCluster waits for the other nodes. */
  readonly statusTimeoutMs: number;
  /** Retry hint of RESOURCE_EXHAUSTED. */
  readonly busyRetryAfterMs: number;
  readonly keepaliveTimeMs: number;
  /** A connection without a call for so long is closed; clients make a new one. */
  readonly maxConnectionIdleMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Of clients, on one node. */
  readonly maxConnections: number;
  /** So that one address cannot take them all; behind a proxy all clients have one. */
  readonly maxConnectionsPerAddress: number;
  /** Node's bound on the memory of one HTTP/2 session, in MB. */
  readonly maxSessionMemoryMb: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const SERVICE_DEFAULTS: ServiceConfig = Object.freeze({
  maxMessageBytes: 4_000_000,
  maxRequestBytes: 16 * MIB,
  maxMessagesPerRequest: 100_000,
  maxInflightRequestBytes: 256 * MIB,
  maxWaitingCalls: 10_000,
  maxLongPolls: 20_000,
  maxConcurrentStreams: 1_024,
  defaultCallTimeoutMs: 30_000,
  maxCallTimeoutMs: 600_000,
  maxWaitMs: 30_000,
  longPollMarginMs: 100,
  defaultFetchBytes: MIB,
  maxFetchBytes: 16 * MIB,
  maxResponseBytes: 4 * MIB,
  maxStreamRequestsInFlight: 1_024,
  maxProduceStreamBytesInFlight: 16 * MIB,
  maxQueueRequestsInFlight: 64,
  maxStreamBytesInFlight: 4 * MIB,
  maxSubscribedQueues: 1_024,
  maxCredit: 1_000_000,
  maxStreams: 4_096,
  maxFailedLanes: 10_000,
  maxOrderingKeyBytes: 1_024,
  maxQueuesPerTopic: 1_024,
  defaultQueueCount: 3,
  defaultRetentionMs: 259_200_000,
  defaultPageSize: 100,
  maxPageSize: 1_000,
  maxQueuesPerCall: 1_024,
  minSessionMs: 6_000,
  defaultSessionMs: 10_000,
  maxSessionMs: 1_800_000,
  maxTopicsPerMember: 64,
  maxPartsPerTransaction: 64,
  defaultChecks: 16,
  maxChecks: 256,
  firstCheckAfterMs: 6_000,
  checkIntervalMs: 30_000,
  maxChecksPerTransaction: DEFAULT_MAX_CHECKS,
  maxCheckLeaseMs: 86_400_000,
  webhooks: Object.freeze({}),
  maxWebhookCallsPerGroup: 16,
  checksMergeMs: 250,
  statusTimeoutMs: 1_000,
  busyRetryAfterMs: 100,
  keepaliveTimeMs: 30_000,
  maxConnectionIdleMs: 1_800_000,
  keepaliveTimeoutMs: 10_000,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 2_000,
  maxSessionMemoryMb: 256,
});

export function serviceConfig(overrides: Partial<ServiceConfig> = {}): ServiceConfig {
  return Object.freeze({ ...SERVICE_DEFAULTS, ...overrides });
}

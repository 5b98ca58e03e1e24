/** Every limit that a call can run into, by name (DescribeLimits). */
import { FILTER_LIMITS } from '../filter/limits.ts';
import type { ServiceConfig } from './config.ts';

export interface Limit {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly meaning: string;
}

type LimitName =
  | Extract<keyof ServiceConfig, `max${string}`>
  | 'defaultCallTimeoutMs'
  | 'keepaliveTimeMs'
  | 'keepaliveTimeoutMs';

const MEANINGS: Readonly<Record<LimitName, readonly [unit: string, meaning: string]>> = {
  maxMessageBytes: ['bytes', 'one encoded message'],
  maxRequestBytes: ['bytes', 'one request'],
  maxMessagesPerRequest: ['messages', 'one produce request or half batch'],
  maxInflightRequestBytes: ['bytes', 'requests that one node holds at once'],
  maxWaitingCalls: ['calls', 'calls that wait on one node for a leader'],
  maxLongPolls: ['calls', 'fetches and polls that wait on one node for data'],
  maxConcurrentStreams: ['calls', 'calls at once on one connection'],
  defaultCallTimeoutMs: ['ms', 'time of a call that brings no deadline'],
  maxCallTimeoutMs: ['ms', 'longer deadlines of unary calls are cut to this'],
  maxWaitMs: ['ms', 'one long poll'],
  maxFetchBytes: ['bytes', 'max_bytes of a fetch'],
  maxResponseBytes: ['bytes', 'one response, unless max_bytes asks for more'],
  maxStreamRequestsInFlight: ['requests', 'unanswered on one ProduceStream'],
  maxProduceStreamBytesInFlight: ['bytes', 'unanswered on one ProduceStream'],
  maxQueueRequestsInFlight: ['requests', 'under way per queue of one ProduceStream'],
  maxStreamBytesInFlight: ['bytes', 'written to one Subscribe stream and not yet sent'],
  maxSubscribedQueues: ['queues', 'one Subscribe stream'],
  maxCredit: ['messages', 'credit of one Subscribe stream'],
  maxStreams: ['streams', 'open on one node'],
  maxFailedLanes: ['lanes', 'queues of forwarded streams remembered as failed'],
  maxOrderingKeyBytes: ['bytes', 'one ordering key'],
  maxQueuesPerTopic: ['queues', 'one topic'],
  maxPageSize: ['items', 'one page of a list'],
  maxQueuesPerCall: ['queues', 'one call about offsets'],
  maxSessionMs: ['ms', 'session of a member of a group'],
  maxTopicsPerMember: ['topics', 'one member of a group'],
  maxPartsPerTransaction: ['parts', 'queues of one transaction'],
  maxChecks: ['checks', 'one PollChecks'],
  maxChecksPerTransaction: ['checks', 'delivered before a transaction is parked'],
  maxCheckLeaseMs: ['ms', 'check_lease_ms'],
  maxWebhookCallsPerGroup: ['calls', 'questions of one node to one webhook at once'],
  maxConnectionIdleMs: ['ms', 'a connection without a call for so long is closed'],
  maxConnections: ['connections', 'of clients, on one node'],
  maxConnectionsPerAddress: ['connections', 'of clients from one address, on one node'],
  keepaliveTimeMs: ['ms', 'a silent connection is asked for a sign of life after so long'],
  keepaliveTimeoutMs: ['ms', 'and closed when none comes for so long'],
  maxSessionMemoryMb: ['MB', 'HTTP/2 buffers of one connection'],
};

/** Those of a filter. */
export function filterLimits(): Limit[] {
  const { maxFilterBytes, maxFilterConditions, maxFilterDepth } = FILTER_LIMITS;
  const limit = (name: string, value: number, unit: string, meaning: string): Limit => {
    return { name, value, unit, meaning };
  };
  return [
    limit('maxFilterBytes', maxFilterBytes, 'bytes', 'the expression of one filter'),
    limit('maxFilterConditions', maxFilterConditions, 'conditions', 'one SQL filter'),
    limit('maxFilterDepth', maxFilterDepth, 'levels', 'parentheses and NOTs within one another'),
  ];
}

export function limitsOf(config: ServiceConfig, others: readonly Limit[] = []): Limit[] {
  const own = Object.entries(MEANINGS).map(([name, [unit, meaning]]) => ({
    name,
    value: config[name as LimitName],
    unit,
    meaning,
  }));
  return [...own, ...others].sort((a, b) => (a.name < b.name ? -1 : 1));
}

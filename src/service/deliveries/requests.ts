/** Requests of the Deliveries service as they were decoded, and what is refused at sight. */
import type { Verdict } from '../../broker/delivery-commands.ts';
import { checkedId, checkedName, checkedNumber, MAX_INT32 } from '../../convert.ts';
import { compileFilter, type FilterText } from '../../filter/filter.ts';
import { CallError } from '../../status.ts';
import type { TopicRequest } from '../topic-directory.ts';

export interface ReceiveRequest {
  readonly group: string;
  readonly topic: string;
  readonly topic_id: string;
  readonly max_messages: number;
  readonly lease_ms: number;
  readonly max_wait_ms: number;
  readonly fifo: boolean;
  readonly from: number;
  readonly consumer: string;
  readonly filter: FilterText | null;
}

/** What the leader of a shard is asked for. */
export interface LeaseQuestion {
  readonly group: string;
  readonly queues: readonly QueueName[];
  readonly max: number;
  readonly leaseMs: number;
  readonly fifo: boolean;
  readonly consumer: string;
  /** Absent: all messages. */
  readonly filter?: FilterText | undefined;
}

export interface QueueName {
  readonly queueId: number;
  readonly queue: number;
}

export interface TokenParts {
  readonly queueId: number;
  readonly offset: number;
  readonly token: number;
}

export const RECEIVE_PATH = '/holdfast.v1.Deliveries/Receive';

const SECOND_MS = 1000;
export const MAX_LEASE_MS = 12 * 60 * 60 * SECOND_MS;
const DEFAULT_LEASE_MS = 30 * SECOND_MS;
const MAX_MESSAGES = 256;
const DEFAULT_MESSAGES = 16;
const MAX_TOKENS = 1024;
const MAX_CONSUMER_BYTES = 64;
export const LATEST = 2;

const TOKEN = /^d\.([0-9]{1,15})\.([0-9]{1,15})\.([0-9]{1,15})$/;

export function checkedReceive(request: ReceiveRequest): Omit<LeaseQuestion, 'queues'> {
  checkedName('group', request.group);
  checkedId('consumer', request.consumer, MAX_CONSUMER_BYTES);
  checkedNumber('max_wait_ms', request.max_wait_ms, MAX_INT32);
  if (request.from < 0 || request.from > LATEST) {
    throw new CallError('INVALID_REQUEST', '`from` must be EARLIEST or LATEST');
  }
  const filter = request.filter ?? undefined;
  return {
    group: request.group,
    // One that fits all is none.
    filter: compileFilter(filter) === undefined ? undefined : filter,
    max: checkedNumber('max_messages', request.max_messages, MAX_MESSAGES) || DEFAULT_MESSAGES,
    leaseMs: request.lease_ms === 0 ? DEFAULT_LEASE_MS : leaseOf('lease_ms', request.lease_ms),
    fifo: request.fifo,
    consumer: request.consumer,
  };
}

/** How long messages are held: of a lease, or of its extension. */
export function leaseOf(field: string, ms: number): number {
  if (ms >= SECOND_MS && ms <= MAX_LEASE_MS) return ms;
  throw new CallError(
    'NUMBER_OUT_OF_RANGE',
    `${field} is ${ms}: it must lie between ${SECOND_MS} and ${MAX_LEASE_MS} (12 h)`,
  );
}

export function tokenText(queueId: number, offset: number, token: number): string {
  return `d.${queueId}.${offset}.${token}`;
}

export function parseToken(text: string): TokenParts {
  const match = TOKEN.exec(text);
  if (match === null) {
    throw new CallError(
      'INVALID_REQUEST',
      `token ${JSON.stringify(text.slice(0, 64))} is not one that Receive gave`,
    );
  }
  return { queueId: Number(match[1]), offset: Number(match[2]), token: Number(match[3]) };
}

export interface AskedItem extends TokenParts {
  readonly verdict: Verdict;
}

export function nackVerdict(delayMs: number | undefined): Verdict {
  const checked =
    delayMs === undefined ? undefined : checkedNumber('delay_ms', delayMs, MAX_LEASE_MS);
  return { type: 'nack', delayMs: checked };
}

export function checkTokens(tokens: readonly unknown[]): void {
  if (tokens.length === 0) {
    throw new CallError('INVALID_REQUEST', 'no token given: name at least one');
  }
  if (tokens.length <= MAX_TOKENS) return;
  throw new CallError(
    'INVALID_REQUEST',
    `${tokens.length} tokens in one call: at most ${MAX_TOKENS} are allowed. Send several`,
  );
}

export function topicRequest(topic: string, topicId = ''): TopicRequest {
  return { topic, topicId, queue: -1, queueEpoch: -1 };
}

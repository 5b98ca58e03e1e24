/** How a producer is set up, and what it says when it is used wrongly. */
import { clientError, HoldfastError } from './errors.ts';
import { DEDUP_KEY_BYTES_MAX } from './produce-codec.ts';
import type { BatchAck, Durability, SendMessage, Topic } from './types.ts';

export interface ProducerOptions {
  readonly topic: string;
  /** What an acknowledgement means. Default: the topic's own level. */
  readonly durability?: Durability | undefined;
  /** How long a send may take in all, retries included. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** At most 64 printable ASCII characters. Default: random. */
  readonly producerId?: string | undefined;
  /** Must be higher than in any earlier run under the same `producerId`. Default 0. */
  readonly producerEpoch?: number | undefined;
  /** Requests under way per queue, 1 to 64. */
  readonly maxInFlight?: number | undefined;
  /** A request holds at most this many bytes of messages (one message always fits). */
  readonly maxBatchBytes?: number | undefined;
  /** Messages not yet acknowledged, in bytes; beyond it `send` rejects (see `whenRoom`). */
  readonly maxBufferedBytes?: number | undefined;
  /**
   * Without any answer for this long (twice as long each time in a row), another server is tried.
   * 0 = never.
   */
  readonly stallTimeoutMs?: number | undefined;
  /** Called once per acknowledged request, before whoever awaits its sends goes on. */
  readonly onBatch?: ((ack: BatchAck) => void) | undefined;
}

export interface ProducerSettings {
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly maxBatchBytes: number;
  readonly maxBufferedBytes: number;
  readonly stallTimeoutMs: number;
}

export const PRODUCER_DEFAULTS: ProducerSettings = Object.freeze({
  timeoutMs: 30_000,
  maxInFlight: 4,
  maxBatchBytes: 1024 * 1024,
  maxBufferedBytes: 32 * 1024 * 1024,
  stallTimeoutMs: 1_000,
});

/** The whole encoded message (api: maxMessageBytes); the server says the same, but per request. */
export const MESSAGE_BYTES_MAX = 4_000_000;
function checkOptions(options: ProducerOptions & ProducerSettings): void {
  const { timeoutMs, maxInFlight, maxBatchBytes, maxBufferedBytes, producerId } = options;
  const positive = { timeoutMs, maxBatchBytes, maxBufferedBytes };
  for (const [name, value] of Object.entries(positive)) {
    if (!(value > 0)) throw new TypeError(`producer: ${name} must be positive, not ${value}`);
  }
  if (!(Number.isInteger(maxInFlight) && maxInFlight >= 1 && maxInFlight <= 64)) {
    throw new TypeError(`producer: maxInFlight must be 1 to 64, not ${maxInFlight}`);
  }
  if (producerId !== undefined && !/^[\x21-\x7e]{1,64}$/.test(producerId)) {
    throw new TypeError('producer: producerId must be 1 to 64 printable ASCII characters');
  }
}

export function fullOptions(options: ProducerOptions): ProducerOptions & ProducerSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const full = { ...PRODUCER_DEFAULTS, ...Object.fromEntries(given) };
  const all = full as ProducerOptions & ProducerSettings;
  checkOptions(all);
  return all;
}

/** The server looks at queues, not at keys: only here is it known that there was one. */
export function checkDedupKey({ dedupKey }: SendMessage): HoldfastError | undefined {
  if (dedupKey === undefined) return undefined;
  const bytes = Buffer.byteLength(dedupKey);
  if (bytes > 0 && bytes <= DEDUP_KEY_BYTES_MAX) return undefined;
  const message = `dedupKey has ${bytes} bytes: it must have 1 to ${DEDUP_KEY_BYTES_MAX}`;
  return new HoldfastError({ code: 'INVALID_ARGUMENT', reason: 'INVALID_REQUEST', message });
}

/** maxCompactedMessages: of one request for a compacted topic. */
export const COMPACTED_BATCH_MESSAGES_MAX = 1024;
/** maxCompactedKeyBytes. */
const COMPACTED_KEY_BYTES_MAX = 256;

/** Of a compacted topic: the server refuses the whole request, and with it what is not to blame. */
export function checkKey({ key = '' }: SendMessage): HoldfastError | undefined {
  const bytes = Buffer.byteLength(key);
  if (bytes > 0 && bytes <= COMPACTED_KEY_BYTES_MAX) return undefined;
  const reason = bytes === 0 ? 'KEY_REQUIRED' : 'INVALID_REQUEST';
  const message =
    bytes === 0
      ? 'the message has no key: in a compacted topic it says which earlier ones it replaces'
      : `key has ${bytes} bytes: at most ${COMPACTED_KEY_BYTES_MAX} in a compacted topic`;
  return new HoldfastError({ code: 'INVALID_ARGUMENT', reason, message });
}

export function checkDelay({ deliverAtMs, orderingKey }: SendMessage): HoldfastError | undefined {
  if (deliverAtMs === undefined) return undefined;
  const isTime = Number.isSafeInteger(deliverAtMs) && deliverAtMs > 0;
  if (isTime && orderingKey === undefined) return undefined;
  const message = isTime
    ? 'a delayed message comes behind those that are sent after it: leave orderingKey out'
    : `deliverAtMs is ${deliverAtMs}: it must be a time in Unix milliseconds`;
  return new HoldfastError({ code: 'INVALID_ARGUMENT', reason: 'INVALID_REQUEST', message });
}

export function tooLarge(size: number): HoldfastError {
  const message = `the message takes ${size} bytes encoded, at most ${MESSAGE_BYTES_MAX}`;
  return new HoldfastError({ code: 'INVALID_ARGUMENT', reason: 'MESSAGE_TOO_LARGE', message });
}

export function bufferFull(maxBufferedBytes: number): HoldfastError {
  const message =
    `${maxBufferedBytes} bytes wait to be acknowledged already (maxBufferedBytes): ` +
    'await whenRoom() before sending more';
  const facts = { retryable: true };
  return clientError('RESOURCE_EXHAUSTED', 'CLIENT_BUFFER_FULL', message, facts);
}

export function closedError(): HoldfastError {
  return clientError('FAILED_PRECONDITION', 'CLIENT_CLOSED', 'the producer is closed');
}

export function noSuchQueue(topic: Topic, queue: number): HoldfastError {
  const message = `topic ${topic.name} has queues 0 to ${topic.queueCount - 1}, not ${queue}`;
  return new HoldfastError({ code: 'NOT_FOUND', reason: 'QUEUE_NOT_FOUND', message });
}

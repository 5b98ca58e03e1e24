import { randomBytes } from 'node:crypto';
import type { Admin } from './admin.ts';
import { Batch, type BatchTerms, type PendingSend } from './batch.ts';
import { cancelled, HoldfastError, timedOut } from './errors.ts';
import { queueOfKey } from './hash.ts';
import { Lane, type LaneHost, PACE_MS } from './lane.ts';
import { MessageEncoder } from './message-codec.ts';
import { durabilityNumber, HeadWriter, headRoom, type RequestConstants } from './produce-codec.ts';
import type { OpenProduceStream } from './produce-stream.ts';
import {
  bufferFull,
  COMPACTED_BATCH_MESSAGES_MAX,
  checkDedupKey,
  checkDelay,
  checkKey,
  closedError,
  fullOptions,
  MESSAGE_BYTES_MAX,
  noSuchQueue,
  type ProducerOptions,
  type ProducerSettings,
  tooLarge,
} from './producer-options.ts';
import type { Servers } from './servers.ts';
import type { Ack, SendMessage, Topic } from './types.ts';

/** Of one request. */
const BATCH_MESSAGES_MAX = 10_000;
/** A batch takes messages for a share of the timeout only, so that its last one has time left. */
const BATCH_AGE_SHARE = 8;
/** Topics with more queues than this close the streams of idle ones. */
const IDLE_STREAMS_MAX = 256;
/** Free batches under way at any time, however fast they come: one on its way, one at work. */
const FREE_IN_FLIGHT_MIN = 2;

export interface ProducerHost {
  readonly admin: Admin;
  readonly servers: Servers;
  readonly openStream: OpenProduceStream;
  closed(producer: Producer): void;
}

interface EarlySend {
  readonly message: SendMessage;
  readonly framedSize: number;
  readonly send: PendingSend;
}

/**
 * Sends to one topic. Sends leave at the end of the current turn; what is sent while requests are
 * under way leaves together, one request per queue, as soon as one of them is answered.
 */
export class Producer implements AsyncDisposable {
  readonly topic: string;
  readonly producerId: string;
  readonly #host: ProducerHost;
  readonly #options: ProducerOptions & ProducerSettings;
  readonly #encoder = new MessageEncoder();
  readonly #laneHost: LaneHost;
  #lanes: Lane[] = [];
  #constants: RequestConstants | undefined;
  #writer: HeadWriter | undefined;
  #room = 0;
  #described: Topic | undefined;
  #loading: Promise<void> | undefined;
  /** Sends from before the topic's queues were known. */
  #early: EarlySend[] = [];
  /** Batches that any queue may take, oldest first. */
  #free: Batch[] = [];
  #freeInFlight = 0;
  #freeStartedAtMs = 0;
  #nextLane = 0;
  readonly #dirty = new Set<Lane>();
  #flushing = false;
  #requestId = 0;
  #bufferedBytes = 0;
  #pending = 0;
  #expectedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #closing: Promise<void> | undefined;
  #idleWaiters: (() => void)[] = [];
  #roomWaiters: (() => void)[] = [];

  constructor(options: ProducerOptions, host: ProducerHost) {
    this.#options = fullOptions(options);
    this.topic = options.topic;
    this.producerId = options.producerId ?? randomBytes(12).toString('hex');
    this.#host = host;
    this.#laneHost = this.#makeLaneHost();
    this.#nextLane = Math.floor(Math.random() * 1024);
  }

  /**
   * Resolves with the acknowledgement. Rejects with a HoldfastError whose `outcomeUnknown` says
   * whether the message may be stored all the same; so it is after a timeout.
   */
  send(message: SendMessage, options?: { readonly signal?: AbortSignal }): Promise<Ack> {
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(cancelled(signal, false));
    const sent = new Promise<Ack>((resolve, reject) => {
      const refused = this.#accept(message, { resolve, reject, orderingKey: undefined });
      if (refused !== undefined) reject(refused);
    });
    return signal === undefined ? sent : abortable(sent, signal);
  }

  /** Resolves when the buffer is at most half full: what a fast sender waits for. */
  whenRoom(): Promise<void> {
    if (this.#bufferedBytes * 2 <= this.#options.maxBufferedBytes) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Resolves when everything sent so far is acknowledged or has failed. */
  flush(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Waits for what was sent, then ends the streams. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
    for (const lane of this.#lanes) lane.close();
    this.#host.closed(this);
  }

  #accept(message: SendMessage, send: PendingSend): HoldfastError | undefined {
    if (this.#closing !== undefined) return closedError();
    const wrong = checkDelay(message) ?? checkDedupKey(message);
    if (wrong !== undefined) return wrong;
    const size = this.#encoder.measure(message);
    if (size > MESSAGE_BYTES_MAX) return tooLarge(size);
    const framedSize = this.#encoder.framedSize();
    const { maxBufferedBytes } = this.#options;
    const full = this.#bufferedBytes + framedSize > maxBufferedBytes;
    if (full && this.#bufferedBytes > 0) return bufferFull(maxBufferedBytes);
    if (this.#described === undefined) {
      this.#early.push({ message, framedSize, send });
      this.#load();
    } else {
      const refused = this.#route(message, framedSize, send);
      if (refused !== undefined) return refused;
    }
    this.#bufferedBytes += framedSize;
    this.#pending += 1;
    return undefined;
  }

  /** The encoder has measured this message last. */
  #route(message: SendMessage, framed: number, send: PendingSend): HoldfastError | undefined {
    const isCompacted = this.#isCompacted;
    const wrong = isCompacted ? checkKey(message) : undefined;
    if (wrong !== undefined) return wrong;
    send.orderingKey = routingKey(message, isCompacted);
    const lane = this.#laneOf(message, send.orderingKey);
    if (lane instanceof HoldfastError) return lane;
    const { deliverAtMs = 0, dedupKey = '' } = message;
    const terms = { deliverAtMs, dedupKey };
    this.#batchFor(lane, framed, terms).append(this.#encoder, framed, send);
    if (lane !== undefined) this.#dirty.add(lane);
    if (!this.#flushing) {
      this.#flushing = true;
      // After all callbacks and promise reactions of this turn: their sends leave together.
      process.nextTick(() => this.#flushTurn());
    }
    return undefined;
  }

  get #isCompacted(): boolean {
    return this.#described!.config.compaction !== undefined;
  }

  /** undefined: any queue will do. */
  #laneOf({ queue }: SendMessage, key: string | undefined): Lane | HoldfastError | undefined {
    if (queue !== undefined) return this.#lanes[queue] ?? noSuchQueue(this.#described!, queue);
    if (key === undefined) return undefined;
    return this.#lanes[queueOfKey(key, this.#lanes.length)];
  }

  #batchFor(lane: Lane | undefined, framedSize: number, terms: BatchTerms): Batch {
    const open = lane === undefined ? this.#free[this.#free.length - 1] : lane.openBatch();
    const nowMs = Date.now();
    if (open?.takes(terms) === true && this.#fits(open, framedSize, nowMs)) return open;
    const { timeoutMs } = this.#options;
    const bytes = Math.max(framedSize, this.#expectedBytes);
    const batch = this.#newBatch(bytes, nowMs + timeoutMs, terms);
    if (lane === undefined) this.#free.push(batch);
    else lane.enqueue(batch);
    return batch;
  }

  #newBatch(bytes: number, deadlineAtMs: number, terms: BatchTerms): Batch {
    this.#checkAt(deadlineAtMs);
    const createdAtMs = deadlineAtMs - this.#options.timeoutMs;
    return new Batch(this.#room, bytes, createdAtMs, deadlineAtMs, terms);
  }

  #fits(batch: Batch, framedSize: number, nowMs: number): boolean {
    const { maxBatchBytes, timeoutMs } = this.#options;
    const most = this.#isCompacted ? COMPACTED_BATCH_MESSAGES_MAX : BATCH_MESSAGES_MAX;
    if (batch.bytes + framedSize > maxBatchBytes || batch.count >= most) return false;
    return (nowMs - batch.createdAtMs) * BATCH_AGE_SHARE <= timeoutMs;
  }

  #flushTurn(): void {
    this.#flushing = false;
    for (const lane of this.#dirty) lane.pump();
    this.#dirty.clear();
    this.#pumpFree();
    const { stallTimeoutMs } = this.#options;
    if (stallTimeoutMs > 0) this.#checkAt(Date.now() + stallTimeoutMs);
  }

  /** Round robin over the queues that have room; a queue in trouble is passed over. */
  #pumpFree(): void {
    const lanes = this.#lanes;
    for (let tried = 0; tried < lanes.length && this.#free.length > 0; tried++) {
      this.#nextLane = (this.#nextLane + 1) % lanes.length;
      const lane = lanes[this.#nextLane]!;
      lane.pump();
    }
  }

  /** The same pace as a lane's own batches keep, but over all queues. */
  #takeFree(): Batch | undefined {
    const [first, second] = this.#free;
    if (first === undefined) return undefined;
    const nowMs = performance.now();
    const early = second === undefined && nowMs - this.#freeStartedAtMs < PACE_MS;
    if (early && this.#freeInFlight >= FREE_IN_FLIGHT_MIN) return undefined;
    this.#freeStartedAtMs = nowMs;
    this.#freeInFlight += 1;
    first.free = true;
    return this.#free.shift();
  }

  #load(): void {
    this.#loading ??= this.#describe().then(
      () => this.#routeEarly(),
      (error: unknown) => {
        this.#loading = undefined;
        this.#failEarly(error as HoldfastError);
      },
    );
  }

  async #describe(): Promise<void> {
    const { timeoutMs } = this.#options;
    const { topic } = await this.#host.admin.describeTopic(this.topic, { timeoutMs });
    const before = this.#described;
    if (before !== undefined && before.topicId !== topic.topicId) return;
    this.#described = topic;
    this.#constants ??= {
      topic: this.topic,
      topicId: topic.topicId,
      producerId: this.producerId,
      durability: durabilityNumber(this.#options.durability),
    };
    this.#writer ??= new HeadWriter(this.#constants);
    this.#room = headRoom(this.#constants);
    for (let queue = this.#lanes.length; queue < topic.queueCount; queue++) {
      this.#lanes.push(new Lane(queue, this.#laneHost));
    }
    if (before === undefined || before.queueEpoch === topic.queueEpoch) return;
    for (const lane of this.#lanes) lane.rerouteWaiting();
    for (const lane of this.#lanes) lane.pump();
  }

  #routeEarly(): void {
    const early = this.#early;
    this.#early = [];
    for (const { message, framedSize, send } of early) {
      this.#encoder.measure(message);
      const refused = this.#route(message, framedSize, send);
      if (refused === undefined) continue;
      send.reject(refused);
      this.#release(framedSize, 1);
    }
  }

  #failEarly(error: HoldfastError): void {
    const early = this.#early;
    this.#early = [];
    for (const { framedSize, send } of early) {
      send.reject(error);
      this.#release(framedSize, 1);
    }
  }

  #makeLaneHost(): LaneHost {
    const { maxInFlight, timeoutMs, stallTimeoutMs, producerEpoch = 0, onBatch } = this.#options;
    const { servers } = this.#host;
    const producer = this;
    return {
      get head() {
        return producer.#writer!;
      },
      maxInFlight,
      timeoutMs,
      stallTimeoutMs: servers.count > 1 ? stallTimeoutMs : 0,
      firstEpoch: producerEpoch,
      queueEpoch: () => this.#described!.queueEpoch,
      nextRequestId: () => ++this.#requestId,
      openStream: (listener) => this.#host.openStream(servers.current(), listener),
      serverFailed: (server, avoidMs) => servers.failed(server, avoidMs),
      serverCount: () => servers.count,
      crowded: () => this.#lanes.length > IDLE_STREAMS_MAX,
      takeFree: () => this.#takeFree(),
      troubled: () => this.#pumpFree(),
      settled: (batch, ack) => {
        if (batch.free) this.#freeInFlight -= 1;
        this.#expectedBytes = Math.min(batch.bytes, this.#options.maxBatchBytes);
        if (ack !== undefined) onBatch?.(ack);
        this.#release(batch.bytes, batch.count);
      },
      refresh: (done) => {
        this.#describe().then(done, done);
      },
      reroute: (batch, queue) => this.#reroute(batch, queue),
    };
  }

  #reroute(batch: Batch, queue: number): Batch | undefined {
    const home = (key: string | undefined) =>
      key === undefined ? queue : queueOfKey(key, this.#lanes.length);
    if (batch.sends.every((send) => home(send.orderingKey) === queue)) return batch;
    let stays: Batch | undefined;
    batch.sends.forEach((send, i) => {
      const target = home(send.orderingKey);
      const bytes = batch.messageBytes(i);
      if (target === queue) {
        stays ??= this.#newBatch(batch.bytes, batch.deadlineAtMs, batch.terms);
        stays.appendFrom(batch, i);
        return;
      }
      const lane = this.#lanes[target]!;
      this.#batchFor(lane, bytes, batch.terms).appendFrom(batch, i);
      this.#dirty.add(lane);
    });
    process.nextTick(() => this.#flushTurn());
    return stays;
  }

  #release(bytes: number, count: number): void {
    this.#bufferedBytes -= bytes;
    this.#pending -= count;
    if (this.#bufferedBytes * 2 <= this.#options.maxBufferedBytes) wake(this.#roomWaiters);
    if (this.#pending === 0) wake(this.#idleWaiters);
  }

  /** One timer for all deadlines; it may fire early and then only looks again. */
  #checkAt(timeMs: number): void {
    if (timeMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = timeMs;
    this.#timer = setTimeout(() => this.#checkDeadlines(), Math.max(1, timeMs - Date.now()));
  }

  #checkDeadlines(): void {
    const nowMs = Date.now();
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    while (this.#free[0] !== undefined && this.#free[0].deadlineAtMs <= nowMs) {
      const late = this.#free.shift()!;
      late.reject(timedOut('send', this.#options.timeoutMs, false));
      this.#release(late.bytes, late.count);
    }
    let next = this.#free[0]?.deadlineAtMs ?? Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes) next = Math.min(next, lane.check(nowMs));
    if (next < Number.POSITIVE_INFINITY) this.#checkAt(Math.max(next, nowMs + 1));
  }
}

function wake(waiters: (() => void)[]): void {
  for (const waiter of waiters.splice(0)) waiter();
}

function abortable(sent: Promise<Ack>, signal: AbortSignal): Promise<Ack> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(cancelled(signal, true));
    signal.addEventListener('abort', abort, { once: true });
    sent.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** What names its queue, where it does not do so itself. */
function routingKey(message: SendMessage, isCompacted: boolean): string | undefined {
  const { dedupKey, key, orderingKey, queue } = message;
  if (queue !== undefined) return undefined;
  return orderingKey ?? (isCompacted ? key : dedupKey);
}

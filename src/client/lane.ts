import { backoffMs } from './backoff.ts';
import type { Batch } from './batch.ts';
import {
  blamesNode,
  type HoldfastError,
  isConnectionFailure,
  timedOut,
  withUnknownOutcome,
} from './errors.ts';
import type { HeadWriter, StreamAnswer } from './produce-codec.ts';
import type { ProduceStream, StreamListener } from './produce-stream.ts';
import { AVOID_SILENT_MS, type Server } from './servers.ts';
import type { BatchAck } from './types.ts';

/**
 * While a request is under way the next one, unless it is full, leaves this long after it at the
 * earliest: a slow sender never waits for an answer, a fast one sends few and large requests. It is
 * looked at when something is sent or answered; nobody waits for it.
 */
export const PACE_MS = 1;

/** After so many stalls in a row the patience grows no more. */
const STALL_DOUBLINGS_MAX = 4;

/** What a lane needs from its producer. */
export interface LaneHost {
  readonly head: HeadWriter;
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  /**
   * No answer for this long (doubled at each stall in a row), and another server to try: move
   * there. 0 = never.
   */
  readonly stallTimeoutMs: number;
  readonly firstEpoch: number;
  queueEpoch(): number;
  nextRequestId(): number;
  openStream(listener: StreamListener): ProduceStream;
  serverFailed(server: Server, avoidMs?: number): void;
  /** How many servers there are to move between. */
  serverCount(): number;
  /** So many queues that idle ones should not keep their streams. */
  crowded(): boolean;
  /** A batch that any queue may take. */
  takeFree(): Batch | undefined;
  /** This queue has a failure to get over: others should take what any queue may. */
  troubled(): void;
  /** Comes after the sends have their answer, so that who waits for all of them has seen each. */
  settled(batch: Batch, ack: BatchAck | undefined): void;
  /** Learn the topic's queues anew, then call back. */
  refresh(done: () => void): void;
  /** Moves the messages that belong elsewhere now; gives what stays, in order. */
  reroute(batch: Batch, queue: number): Batch | undefined;
}

/**
 * flowing: batches leave as they come. settling: one was refused, the answers of those behind it
 * are awaited. pausing: waits before the next attempt.
 */
type State = 'flowing' | 'settling' | 'pausing';

/**
 * The sends to one queue: its own stream, sequence and order. Batches behind a failed one are sent
 * again after it, so the queue's order is the order of the sends whatever fails.
 *
 *     waiting → inFlight (numbered, ≤ maxInFlight) → settled
 */
export class Lane {
  readonly queue: number;
  readonly #host: LaneHost;
  #waiting: Batch[] = [];
  #inFlight: Batch[] = [];
  #sequence = 0;
  #epoch: number;
  #stream: ProduceStream | undefined;
  #state: State = 'flowing';
  #failures = 0;
  #stalls = 0;
  #progressAtMs = 0;
  #startedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(queue: number, host: LaneHost) {
    this.queue = queue;
    this.#host = host;
    this.#epoch = host.firstEpoch;
  }

  /** The batch that further messages for this queue may join. */
  openBatch(): Batch | undefined {
    return this.#waiting[this.#waiting.length - 1];
  }

  enqueue(batch: Batch): void {
    this.#waiting.push(batch);
  }

  /** Sends what may leave now. */
  pump(): void {
    while (this.#state === 'flowing' && this.#inFlight.length < this.#host.maxInFlight) {
      const batch = this.#takeOwn() ?? this.#host.takeFree();
      if (batch === undefined) return;
      batch.sequence = this.#sequence;
      this.#sequence += batch.count;
      if (this.#inFlight.length === 0) this.#progressAtMs = Date.now();
      this.#inFlight.push(batch);
      this.#write(batch, false);
    }
  }

  #takeOwn(): Batch | undefined {
    const [first, second] = this.#waiting;
    if (first === undefined) return undefined;
    const nowMs = performance.now();
    const sealed = second !== undefined;
    if (this.#inFlight.length > 0 && !sealed && nowMs - this.#startedAtMs < PACE_MS) {
      return undefined;
    }
    this.#startedAtMs = nowMs;
    return this.#waiting.shift();
  }

  #write(batch: Batch, resume: boolean): void {
    this.#stream ??= this.#open();
    batch.requestId = this.#host.nextRequestId();
    batch.error = undefined;
    batch.attempts += 1;
    const head = {
      requestId: batch.requestId,
      resume,
      queue: this.queue,
      sequence: batch.sequence,
      producerEpoch: this.#epoch,
      // What may be stored already is settled on its first queue, whatever the count is now.
      queueEpoch: batch.unknown ? undefined : this.#host.queueEpoch(),
      ...batch.terms,
    };
    const { buffer, start, end } = batch;
    const writer = this.#host.head;
    this.#stream.write(
      batch.attempts === 1
        ? writer.inPlace(buffer, start, end, head)
        : writer.copied(buffer, start, end, head),
    );
  }

  #open(): ProduceStream {
    const stream: ProduceStream = this.#host.openStream({
      answered: (answer) => this.#answered(answer),
      ended: (error, nothingSent) => this.#ended(stream, error, nothingSent),
    });
    return stream;
  }

  #answered(answer: StreamAnswer): void {
    const batch = this.#inFlight.find((one) => one.requestId === answer.requestId);
    if (batch === undefined) return;
    this.#progressAtMs = Date.now();
    this.#stalls = 0;
    if ('ack' in answer) {
      this.#failures = 0;
      this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
      batch.resolve(answer.ack);
      this.#host.settled(batch, answer.ack);
    } else {
      batch.error = answer.error;
      if (answer.error.outcomeUnknown) batch.unknown = true;
      this.#state = 'settling';
    }
    if (this.#state === 'flowing') this.#goOn();
    else if (this.#inFlight.every((one) => one.error !== undefined)) this.#recover();
  }

  #goOn(): void {
    this.pump();
    if (this.#inFlight.length > 0 || !this.#host.crowded()) return;
    this.#stream?.finish();
    this.#stream = undefined;
  }

  #ended(stream: ProduceStream, error: HoldfastError, nothingSent: boolean): void {
    if (this.#stream === stream) this.#stream = undefined;
    const unanswered = this.#inFlight.filter((batch) => batch.error === undefined);
    if (blamesNode(error)) this.#host.serverFailed(stream.server);
    for (const batch of unanswered) {
      batch.error = error;
      if (!nothingSent) batch.unknown = true;
    }
    // Else nothing is lost with it, or the next attempt is being prepared already.
    if (unanswered.length > 0) this.#recover();
  }

  /** All in flight have failed; the first one's error says how to go on. */
  #recover(): void {
    for (let head = this.#inFlight[0]; head !== undefined; head = this.#inFlight[0]) {
      const error = head.error!;
      if (error.reason === 'QUEUES_CHANGED') {
        this.#state = 'settling';
        this.#host.refresh(() => this.#rerouteAll());
        return;
      }
      if (error.reason === 'SEQUENCE_GAP') {
        // The server does not know what came before: nothing in flight can have been stored.
        this.#restart();
        this.#resendAfter(backoffMs(++this.#failures, 0));
        return;
      }
      if (error.reason === 'PRECEDING_FAILED' || canRetry(error)) {
        this.#renumber(head.sequence);
        this.#resendAfter(this.#pauseMs(error));
        return;
      }
      this.#giveUp(head, error);
    }
    this.#state = 'flowing';
    this.pump();
  }

  /** The first repeat comes at once: the node that takes it waits for a leader, not we. */
  #pauseMs(error: HoldfastError): number {
    this.#failures += 1;
    const freeRepeats = blamesNode(error) ? this.#host.serverCount() - 1 : 1;
    if (this.#failures <= freeRepeats) return error.retryAfterMs;
    return backoffMs(this.#failures, error.retryAfterMs);
  }

  #resendAfter(ms: number): void {
    this.#state = 'pausing';
    this.#host.troubled();
    if (ms === 0) this.#resend();
    else this.#timer = setTimeout(() => this.#resend(), ms);
  }

  #resend(): void {
    this.#timer = undefined;
    this.#state = 'flowing';
    this.#progressAtMs = Date.now();
    const resume = this.#stream !== undefined;
    this.#inFlight.forEach((batch, i) => {
      this.#write(batch, resume && i === 0);
    });
    this.pump();
  }

  /**
   * Rejects the first batch. What is behind it takes over its place in the sequence; but when it
   * may be stored, so may those behind it, and none of them can be sent again.
   */
  #giveUp(head: Batch, error: HoldfastError): void {
    const unknown = head.unknown || error.outcomeUnknown;
    this.#inFlight.shift();
    this.#settleRejected(head, unknown ? withUnknownOutcome(error) : error);
    if (!unknown) {
      this.#renumber(head.sequence);
      return;
    }
    const doubtful = this.#inFlight.filter((batch) => batch.unknown);
    this.#inFlight = this.#inFlight.filter((batch) => !batch.unknown);
    for (const batch of doubtful) this.#settleRejected(batch, withUnknownOutcome(error));
    this.#restart();
  }

  #settleRejected(batch: Batch, error: HoldfastError): void {
    batch.reject(error);
    this.#host.settled(batch, undefined);
  }

  #renumber(first: number): void {
    this.#sequence = first;
    for (const batch of this.#inFlight) {
      batch.sequence = this.#sequence;
      this.#sequence += batch.count;
    }
  }

  /** A higher epoch begins at 0 and shuts out whatever of the old one is still under way. */
  #restart(): void {
    this.#epoch += 1;
    this.#renumber(0);
  }

  #rerouteAll(): void {
    if (this.#state !== 'settling' || this.#inFlight.some((one) => one.error === undefined)) return;
    const first = this.#inFlight[0]?.sequence ?? this.#sequence;
    this.#inFlight = this.#inFlight.flatMap((batch) => {
      if (batch.unknown) return [batch];
      return this.#host.reroute(batch, this.queue) ?? [];
    });
    this.#renumber(first);
    this.#failures += 1;
    this.#resendAfter(this.#failures === 1 ? 0 : backoffMs(this.#failures, 0));
  }

  /** The topic has other queues now: what has not left yet goes where it belongs. */
  rerouteWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const batch of waiting) {
      const stays = this.#host.reroute(batch, this.queue);
      if (stays !== undefined) this.#waiting.push(stays);
    }
  }

  /** Enforces deadlines; gives the time of the next check, or Infinity. */
  check(nowMs: number): number {
    while (this.#waiting[0] !== undefined && this.#waiting[0].deadlineAtMs <= nowMs) {
      const late = this.#waiting.shift()!;
      this.#settleRejected(late, timedOut('send', this.#host.timeoutMs, false));
    }
    const head = this.#inFlight[0];
    if (head !== undefined && head.deadlineAtMs <= nowMs) this.#expire(head);
    else if (head !== undefined) this.#checkStall(nowMs);
    return this.#nextCheckAtMs();
  }

  #nextCheckAtMs(): number {
    const stallTimeoutMs = this.#stallTimeoutMs();
    const waiting = this.#waiting[0]?.deadlineAtMs ?? Number.POSITIVE_INFINITY;
    const head = this.#inFlight[0];
    if (head === undefined) return waiting;
    const due = Math.min(waiting, head.deadlineAtMs);
    if (stallTimeoutMs === 0 || this.#state === 'pausing') return due;
    return Math.min(due, this.#progressAtMs + stallTimeoutMs);
  }

  #expire(head: Batch): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dropStream();
    const what = head.error === undefined ? 'send' : `send (last: ${head.error.message})`;
    this.#giveUp(head, timedOut(what, this.#host.timeoutMs, head.unknown));
    if (this.#inFlight.length > 0) this.#resendAfter(0);
    else this.#state = 'flowing';
    this.pump();
  }

  #checkStall(nowMs: number): void {
    const stallTimeoutMs = this.#stallTimeoutMs();
    if (stallTimeoutMs === 0 || this.#stream === undefined || this.#state === 'pausing') return;
    if (nowMs - this.#progressAtMs < stallTimeoutMs) return;
    this.#stalls += 1;
    this.#host.serverFailed(this.#stream.server, AVOID_SILENT_MS);
    this.#dropStream();
    this.#resendAfter(0);
  }

  /** A slow cluster must not be asked faster and faster. */
  #stallTimeoutMs(): number {
    return this.#host.stallTimeoutMs * 2 ** Math.min(this.#stalls, STALL_DOUBLINGS_MAX);
  }

  /** What is unanswered on it is unknown from now on. */
  #dropStream(): void {
    for (const batch of this.#inFlight) {
      if (batch.error === undefined && this.#stream !== undefined) batch.unknown = true;
    }
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  /** Nothing is under way any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#stream?.finish();
    this.#stream = undefined;
  }
}

/** Safe because a repeated sequence gets the first answer. */
function canRetry(error: HoldfastError): boolean {
  if (error.retryable || isConnectionFailure(error)) return true;
  return error.outcomeUnknown && error.reason !== '' && !error.reason.startsWith('CLIENT_');
}

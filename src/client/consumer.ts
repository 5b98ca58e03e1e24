import type { Admin } from './admin.ts';
import { backoffMs } from './backoff.ts';
import { blamesNode, clientError, HoldfastError } from './errors.ts';
import { type FetchAnswer, nextMessage, type StoredBatch } from './fetch-codec.ts';
import { GroupMember } from './group-member.ts';
import type { Assignment, GroupMode, Groups } from './groups.ts';
import type { Servers } from './servers.ts';
import { resolvePositions, type StartFrom, type StartPosition } from './start-positions.ts';
import type { OpenSubscription, Subscription } from './subscription.ts';
import type { Filter, Message, QueueOffset } from './types.ts';

export interface ConsumerOptions {
  readonly topic: string;
  /** Default: all, also those that are added later. */
  readonly queues?: readonly number[] | undefined;
  /** Where to begin; with a group: where to begin in queues that it never committed. */
  readonly from?: StartFrom | undefined;
  /** Begin where this group stands; `commit()` moves it. */
  readonly group?: string | undefined;
  /**
   * Be a member of the group: read only the queues that it assigns, and commit as that member. Not
   * with `queues`.
   */
  readonly join?: boolean | JoinOptions | undefined;
  /** Only these messages come; `commit()` goes past the others. */
  readonly filter?: Filter | undefined;
  /** How many messages may be on their way or wait here untaken. Default 500. */
  readonly credits?: number | undefined;
  /** Reading pauses while more bytes than this wait here. Default 32 MiB. */
  readonly maxBufferedBytes?: number | undefined;
  /** What to do when the place to read from is gone (retention). Default: fail. */
  readonly outOfRange?: 'fail' | 'earliest' | 'latest' | undefined;
  /** Give up after this long without a working connection. Default 60,000. */
  readonly reconnectTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface JoinOptions {
  readonly mode?: GroupMode | undefined;
  /** Shown to people. */
  readonly clientName?: string | undefined;
  /**
   * Default: a new one for each consumer. In a BROADCAST group one of its own keeps its place; no
   * two consumers may have the same at a time.
   */
  readonly memberId?: string | undefined;
  /** Silent for so long, it loses its queues. 6,000 to 1,800,000 ms, default 10,000. */
  readonly sessionMs?: number | undefined;
  /**
   * These queues go to another member as soon as it resolves: finish what was read of them and
   * commit it here. What is not committed is read again by their next owner. It must be done
   * within the session.
   */
  readonly onRevoked?: ((queues: readonly number[]) => Promise<void> | void) | undefined;
}

export const CONSUMER_DEFAULTS = Object.freeze({
  credits: 500,
  maxBufferedBytes: 32 * 1024 * 1024,
  reconnectTimeoutMs: 60_000,
  from: 'earliest',
  outOfRange: 'fail',
} as const);

/** A commit that came too late for its generation waits so long for the next one, so often. */
const GENERATION_WAIT_MS = 2000;
const COMMIT_TRIES = 3;

/** How often a consumer of all queues looks for new ones. */
const TOPIC_CHECK_MS = 30_000;

export interface ConsumerHost {
  readonly admin: Admin;
  readonly groups: Groups;
  readonly servers: Servers;
  readonly openSubscription: OpenSubscription;
  closed(consumer: Consumer): void;
}

interface Arrived {
  readonly queue: number;
  readonly batch: StoredBatch;
  readonly bytes: number;
  taken: number;
  /** Where its queue goes on when all of it is taken: past what was left out. */
  nextOffset: number;
}

interface Waiter {
  resolve(result: IteratorResult<Message, undefined>): void;
  reject(error: unknown): void;
}

const DONE: IteratorResult<Message, undefined> = { done: true, value: undefined };

/**
 * Messages of a topic as an async iterator, each queue in order. It moves to another server and
 * goes on at the next offset by itself when a connection or a node fails.
 */
export class Consumer implements AsyncIterableIterator<Message>, AsyncDisposable {
  readonly topic: string;
  readonly #options: ConsumerOptions;
  readonly #host: ConsumerHost;
  readonly #credits: number;
  readonly #maxBufferedBytes: number;
  /** Next offset to ask the server for. */
  readonly #positions = new Map<number, number>();
  /** Next offset after what was taken, not yet committed. */
  readonly #uncommitted = new Map<number, number>();
  #topicId = '';
  readonly #member: GroupMember | undefined;
  #epoch = 0;
  #arrived: Arrived[] = [];
  #buffered = 0;
  #bufferedBytes = 0;
  #takenSinceCredit = 0;
  #paused = false;
  #waiters: Waiter[] = [];
  #stream: Subscription | undefined;
  #started = false;
  #failedSinceMs: number | undefined;
  #attempts = 0;
  #timer: NodeJS.Timeout | undefined;
  #topicTimer: NodeJS.Timeout | undefined;
  #failure: unknown;
  #closed = false;
  readonly #onAbort = () => void this.close();

  constructor(options: ConsumerOptions, host: ConsumerHost) {
    this.#options = options;
    this.#host = host;
    this.topic = options.topic;
    this.#credits = options.credits ?? CONSUMER_DEFAULTS.credits;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? CONSUMER_DEFAULTS.maxBufferedBytes;
    if (!(Number.isInteger(this.#credits) && this.#credits > 0)) {
      throw new TypeError(`consumer: credits must be a positive integer, not ${options.credits}`);
    }
    this.#member = this.#asMember();
    options.signal?.addEventListener('abort', this.#onAbort);
    if (options.signal?.aborted === true) void this.close();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    const value = this.#take();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.resolve(DONE);
    if (!this.#started) this.#start();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Where reading would begin now, and the ends of the queues at this moment. */
  async locate(): Promise<{ topicId: string; queues: readonly StartPosition[] }> {
    const { admin } = this.#host;
    const { queues, group, from = CONSUMER_DEFAULTS.from } = this.#options;
    const { topic } = await admin.describeTopic(this.topic);
    const query = { topic: this.topic, queues, group, from };
    return { topicId: topic.topicId, queues: await resolvePositions(admin, query) };
  }

  /** What is here already, at once; for callers that work on many messages at a time. */
  takeWaiting(max = Number.POSITIVE_INFINITY): Message[] {
    const messages: Message[] = [];
    while (messages.length < max) {
      const message = this.#take();
      if (message === undefined) break;
      messages.push(message);
    }
    return messages;
  }

  async return(): Promise<IteratorResult<Message, undefined>> {
    await this.close();
    return DONE;
  }

  /**
   * Commits the group's place behind every message taken so far. A member commits only what is
   * still assigned to it.
   */
  async commit(): Promise<void> {
    const { group } = this.#options;
    if (group === undefined) throw new TypeError('commit: the consumer has no group');
    for (let left = COMMIT_TRIES; this.#uncommitted.size > 0; left -= 1) {
      try {
        await this.#commitNow(group);
        return;
      } catch (error) {
        const isStale = error instanceof HoldfastError && error.reason === 'STALE_GENERATION';
        if (!isStale || this.#member === undefined || left <= 1) throw error;
        await this.#member.changed(GENERATION_WAIT_MS);
      }
    }
  }

  async #commitNow(group: string): Promise<void> {
    const entries = [...this.#uncommitted];
    const offsets = entries.map(([queue, offset]) => ({ queue, offset }));
    const { generation, memberId } = this.#member ?? {};
    const member =
      memberId === undefined || generation === undefined ? undefined : { memberId, generation };
    const commit = { group, topic: this.topic, topicId: this.#topicId, offsets, member };
    await this.#host.admin.commitOffsets(commit);
    for (const [queue, offset] of entries) {
      if (this.#uncommitted.get(queue) === offset) this.#uncommitted.delete(queue);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#stop();
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(DONE);
    await this.#member?.leave();
    this.#host.closed(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(): Message | undefined {
    const first = this.#arrived[0];
    if (first === undefined) return undefined;
    const { queue, batch } = first;
    const message = nextMessage(batch, first.taken, this.topic, queue);
    first.taken += 1;
    this.#buffered -= 1;
    if (first.taken === batch.count) {
      this.#arrived.shift();
      this.#bufferedBytes -= first.bytes;
      if (this.#paused && this.#bufferedBytes * 2 <= this.#maxBufferedBytes) this.#resume();
    }
    const isLast = first.taken === batch.count;
    this.#uncommitted.set(queue, isLast ? first.nextOffset : message.offset + 1);
    this.#giveCredit();
    return message;
  }

  #giveCredit(): void {
    this.#takenSinceCredit += 1;
    if (this.#takenSinceCredit * 2 < this.#credits || this.#stream === undefined) return;
    this.#stream.credit(this.#takenSinceCredit);
    this.#takenSinceCredit = 0;
  }

  #resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  #start(): void {
    this.#started = true;
    if (this.#member !== undefined) {
      this.#member.start();
      return;
    }
    this.locate().then(
      ({ topicId, queues }) => {
        this.#topicId = topicId;
        for (const { queue, offset } of queues) this.#positions.set(queue, offset);
        this.#connect();
      },
      (error: unknown) => this.#fail(error),
    );
    if (this.#options.queues !== undefined) return;
    this.#topicTimer = setInterval(() => this.#lookForQueues(), TOPIC_CHECK_MS);
    this.#topicTimer.unref();
  }

  #asMember(): GroupMember | undefined {
    const { group, join = false, queues } = this.#options;
    if (join === false) return undefined;
    if (group === undefined) throw new TypeError('consumer: join needs a group');
    if (queues !== undefined)
      throw new TypeError('consumer: join and queues contradict each other');
    const wish = join === true ? {} : join;
    return new GroupMember({ ...wish, group, topic: this.topic }, this.#host.groups, {
      assigned: (assignment) => this.#assigned(assignment, wish.onRevoked),
      lost: () => this.#keepOnly(new Set()),
      failed: (error) => this.#fail(error),
    });
  }

  async #assigned(assignment: Assignment, onRevoked: JoinOptions['onRevoked']): Promise<void> {
    const own = assignment.topics.find(({ topic }) => topic === this.topic);
    if (own === undefined) {
      const message = `topic ${this.topic} was deleted: the group reads it no more`;
      throw clientError('NOT_FOUND', 'CLIENT_TOPIC_GONE', message);
    }
    const wasReset = this.#topicId !== '' && assignment.epoch !== this.#epoch;
    this.#topicId = own.topicId;
    this.#epoch = assignment.epoch;
    const added = own.queues.filter(({ queue }) => wasReset || !this.#positions.has(queue));
    const isSame = added.length === 0 && own.queues.length === this.#positions.size;
    if (isSame && own.revoked.length === 0) return;
    const kept = wasReset ? [] : own.queues.map(({ queue }) => queue);
    this.#keepOnly(new Set(kept), new Set(wasReset ? [] : own.revoked));
    if (own.revoked.length > 0) await onRevoked?.(own.revoked);
    for (const queue of own.revoked) this.#uncommitted.delete(queue);
    const starts = await this.#starts(added);
    // The session may have ended meanwhile.
    if (this.#member?.generation !== assignment.generation) return;
    for (const { queue, offset } of starts) this.#positions.set(queue, offset);
    if (this.#positions.size > 0) this.#connect();
  }

  /** Reads no other queue any more, and hands out nothing of it that waits here. */
  #keepOnly(queues: ReadonlySet<number>, committable: ReadonlySet<number> = new Set()): void {
    this.#stream?.cancel();
    this.#stream = undefined;
    clearTimeout(this.#timer);
    for (const queue of [...this.#positions.keys()]) {
      if (!queues.has(queue)) this.#positions.delete(queue);
    }
    for (const queue of [...this.#uncommitted.keys()]) {
      if (!queues.has(queue) && !committable.has(queue)) this.#uncommitted.delete(queue);
    }
    const dropped = this.#arrived.filter(({ queue }) => !queues.has(queue));
    this.#arrived = this.#arrived.filter(({ queue }) => queues.has(queue));
    for (const { batch, bytes, taken } of dropped) {
      this.#buffered -= batch.count - taken;
      this.#bufferedBytes -= bytes;
    }
  }

  /** Where the group stands, else where the options say. */
  async #starts(
    queues: readonly { readonly queue: number; readonly offset: number | undefined }[],
  ): Promise<QueueOffset[]> {
    const known = queues.flatMap(({ queue, offset }) =>
      offset === undefined ? [] : [{ queue, offset }],
    );
    const unknown = queues.filter(({ offset }) => offset === undefined).map(({ queue }) => queue);
    if (unknown.length === 0) return known;
    const { from = CONSUMER_DEFAULTS.from } = this.#options;
    const query = { topic: this.topic, queues: unknown, group: undefined, from };
    return [...known, ...(await resolvePositions(this.#host.admin, query))];
  }

  #connect(): void {
    this.#timer = undefined;
    if (this.#closed || this.#failure !== undefined) return;
    this.#paused = false;
    this.#takenSinceCredit = 0;
    const start = {
      topic: this.topic,
      topicId: this.#topicId,
      queues: [...this.#positions].map(([queue, offset]) => ({ queue, offset })),
      credit: Math.max(1, this.#credits - this.#buffered),
      filter: this.#options.filter,
    };
    const stream = this.#host.openSubscription(this.#host.servers.current(), start, {
      accepted: () => {
        this.#failedSinceMs = undefined;
        this.#attempts = 0;
      },
      arrived: (answer) => this.#onAnswer(answer),
      ended: (error) => this.#onEnd(stream, error),
    });
    this.#stream = stream;
  }

  #onAnswer(answer: FetchAnswer): void {
    const { queue, batches, nextOffset, bytes } = answer;
    batches.forEach((batch, i) => {
      if (batch.count === 0) return;
      // The frame's memory is held until its last batch is taken.
      const held = i === batches.length - 1 ? bytes : 0;
      const end = batch.baseOffset + batch.count;
      this.#arrived.push({ queue, batch, bytes: held, taken: 0, nextOffset: end });
      this.#buffered += batch.count;
      this.#bufferedBytes += held;
    });
    this.#positions.set(queue, nextOffset);
    this.#goPast(queue, nextOffset);
    if (this.#bufferedBytes > this.#maxBufferedBytes && !this.#paused) {
      this.#paused = true;
      this.#stream?.pause();
    }
    this.#serveWaiters();
  }

  /** What a filter or compaction left out is done with when all that came before it is. */
  #goPast(queue: number, nextOffset: number): void {
    const last = this.#arrived.findLast((one) => one.queue === queue);
    if (last === undefined) this.#uncommitted.set(queue, nextOffset);
    else last.nextOffset = nextOffset;
  }

  #serveWaiters(): void {
    while (this.#waiters.length > 0) {
      const value = this.#take();
      if (value === undefined) return;
      this.#waiters.shift()!.resolve({ done: false, value });
    }
  }

  #onEnd(stream: Subscription, error: HoldfastError): void {
    if (this.#closed || this.#stream !== stream) return;
    this.#stream = undefined;
    const { servers } = this.#host;
    if (error.code === 'OUT_OF_RANGE' && this.#options.outOfRange !== undefined) {
      if (this.#options.outOfRange !== 'fail') {
        this.#moveIntoRange(this.#options.outOfRange);
        return;
      }
    }
    const lost = blamesNode(error);
    if (lost) servers.failed(stream.server);
    if (!lost && !error.retryable) {
      this.#fail(error);
      return;
    }
    this.#reconnect(error, lost && this.#attempts + 1 < servers.count);
  }

  #reconnect(error: HoldfastError, atOnce: boolean): void {
    const { reconnectTimeoutMs = CONSUMER_DEFAULTS.reconnectTimeoutMs } = this.#options;
    const nowMs = Date.now();
    this.#failedSinceMs ??= nowMs;
    if (nowMs - this.#failedSinceMs > reconnectTimeoutMs) {
      this.#fail(gaveUp(this.#host.servers.addresses(), reconnectTimeoutMs, error));
      return;
    }
    this.#attempts += 1;
    const waitMs = atOnce ? 0 : backoffMs(this.#attempts, error.retryAfterMs);
    this.#timer = setTimeout(() => this.#connect(), waitMs);
  }

  /** Retention overtook us: the caller chose to go on at the nearest end that is left. */
  #moveIntoRange(to: 'earliest' | 'latest'): void {
    const queues = [...this.#positions.keys()];
    this.#host.admin.listOffsets({ topic: this.topic, queues }).then(
      (ranges) => {
        for (const { queue, startOffset, endOffset } of ranges) {
          const at = this.#positions.get(queue)!;
          if (at >= startOffset && at <= endOffset) continue;
          this.#positions.set(queue, to === 'earliest' ? startOffset : endOffset);
        }
        this.#connect();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #lookForQueues(): void {
    this.#host.admin.describeTopic(this.topic).then(
      ({ topic }) => {
        if (this.#closed || topic.topicId !== this.#topicId || this.#positions.size === 0) return;
        if (topic.queueCount <= this.#positions.size) return;
        for (let queue = 0; queue < topic.queueCount; queue++) {
          if (!this.#positions.has(queue)) this.#positions.set(queue, 0);
        }
        if (this.#stream === undefined) return;
        this.#stream.cancel();
        this.#connect();
      },
      // A cluster that does not answer shows on the stream; this look is repeated.
      () => undefined,
    );
  }

  #fail(error: unknown): void {
    if (this.#closed || this.#failure !== undefined) return;
    this.#failure = error;
    this.#stop();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#topicTimer);
    this.#stream?.cancel();
    this.#stream = undefined;
  }
}

function gaveUp(servers: string, timeoutMs: number, cause: HoldfastError): HoldfastError {
  const message = `no working connection to ${servers} for ${timeoutMs} ms: ${cause.message}`;
  const { code, reason } = clientError('UNAVAILABLE', 'CLIENT_UNREACHABLE', message);
  return new HoldfastError({ code, reason, message, retryable: true }, cause);
}

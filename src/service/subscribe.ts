/**
 * Subscribe: credits in, batches out. Each queue is a long poll of its own; what a stream may hold
 * is bounded by credit (messages) and by the bytes that are written and not yet sent.
 */
import type { TopicView } from '../cluster/api.ts';
import { checkedName, checkedNumber, int64 } from '../convert.ts';
import { compileFilter, type FilterText } from '../filter/filter.ts';
import type { Router } from '../router.ts';
import type { Caller } from '../security/caller.ts';
import { DEMANDS } from '../security/permissions.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError, toCallError } from '../status.ts';
import { allowedCall, type Call, type Calls } from './call.ts';
import { ClientStream } from './client-stream.ts';
import type { ServiceConfig } from './config.ts';
import type { RawDuplex } from './grpc-calls.ts';
import type { ServiceMeters } from './meters.ts';
import type { ShardMethod } from './methods.ts';
import type { OffsetCalls } from './offsets.ts';
import { decodeRequest, type ProtoMethod } from './proto.ts';
import { QueueLoop } from './queue-loop.ts';
import { topicNotFound } from './refusals.ts';
import type { TopicDirectory } from './topic-directory.ts';

export const SUBSCRIBE_PATH = '/holdfast.v1.Log/Subscribe';

const META_SHARD = 0;
const LATEST = 2;
const MIN_POLL_BYTES = 64 * 1024;

interface StartFields {
  readonly topic: string;
  readonly queues: readonly { readonly queue: number; readonly offset: string }[];
  readonly group: string;
  readonly from: number;
  readonly topic_id: string;
  readonly credit: number;
  readonly filter: FilterText | null;
}
interface SubscribeRequest {
  readonly kind?: 'start' | 'credit';
  readonly start?: StartFields;
  readonly credit?: number;
}

export interface SubscribeParts {
  readonly host: ShardHost;
  readonly router: Router;
  readonly calls: Calls;
  readonly offsets: OffsetCalls;
  readonly topics: Pick<TopicDirectory, 'appliedIndex'>;
  readonly fetch: ShardMethod;
  readonly protoMethod: ProtoMethod;
  readonly config: ServiceConfig;
  readonly meters: ServiceMeters;
  readonly caller: Caller | undefined;
  readonly onClosed: () => void;
}

export class SubscribeStream {
  readonly #client: ClientStream;
  readonly #parts: SubscribeParts;
  readonly #loops = new Map<number, QueueLoop>();
  #start: StartFields | undefined;
  #topic: TopicView | undefined;
  /** How far the metadata was here when the topic was seen last. */
  #seenAtIndex = 0;
  #beginning: Call | undefined;
  #unwatch: (() => void) | undefined;
  #credit = 0;
  #unsentBytes = 0;
  /** Of frames that wait for credit or room. */
  #heldBytes = 0;
  /** Runs while the caller was sent more than its quota so far. */
  #pace: NodeJS.Timeout | undefined;

  constructor(stream: RawDuplex, parts: SubscribeParts) {
    this.#parts = parts;
    this.#client = new ClientStream(stream, {
      receive: (frame) => this.#receive(frame),
      // A half-closed client still gets what it gave credit for.
      isDone: () => this.#credit <= 0,
      drained: () => this.#pollAll(),
      closed: () => this.#close(),
    });
  }

  stop(): void {
    this.#client.stop();
  }

  /** Messages that may be sent now. */
  get credit(): number {
    return this.#client.closed ? 0 : this.#credit;
  }

  /** Whether another poll may bring bytes. */
  get hasRoom(): boolean {
    if (this.#pace !== undefined) return false;
    return this.#client.writable && this.#unsentBytes < this.#parts.config.maxStreamBytesInFlight;
  }

  get pollBytes(): number {
    const { defaultFetchBytes, maxStreamBytesInFlight } = this.#parts.config;
    const share = Math.floor(maxStreamBytesInFlight / Math.max(1, this.#loops.size));
    return Math.max(MIN_POLL_BYTES, Math.min(share, defaultFetchBytes));
  }

  hold(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#parts.config.maxStreamBytesInFlight) return false;
    this.#heldBytes += bytes;
    return true;
  }

  letGo(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** A frame with `count` messages, within credit and room. */
  send(queue: number, frame: Buffer, count: number): void {
    this.#toTheBack(queue);
    this.#credit -= count;
    this.#unsentBytes += frame.length;
    this.#parts.meters.pushed(count, frame.length);
    this.#keepPace(frame.length);
    this.#client.write(frame, () => {
      this.#unsentBytes -= frame.length;
      this.#pollAll();
    });
    this.#client.endIfDone();
  }

  fail(error: CallError): void {
    this.#client.fail(error);
  }

  /** Waits where others would be refused: what a subscription is sent is for us to say. */
  #keepPace(bytes: number): void {
    const { caller, meters } = this.#parts;
    const waitMs = caller?.allowance?.fetched(bytes) ?? 0;
    if (waitMs === 0 || this.#pace !== undefined || this.#client.closed) return;
    meters.quotaReached('fetchedBytesPerSecond');
    this.#pace = setTimeout(() => {
      this.#pace = undefined;
      // Others of the principal may have taken what was there by now.
      this.#keepPace(0);
      this.#pollAll();
    }, waitMs);
  }

  #receive(frame: Buffer): void {
    try {
      const request = decodeRequest<SubscribeRequest>(this.#parts.protoMethod, frame);
      if (this.#start === undefined) this.#open(request.start ?? undefined);
      else this.#grant(request);
    } catch (error) {
      this.fail(toCallError(error));
    }
  }

  #grant(request: SubscribeRequest): void {
    if (request.kind !== 'credit') {
      throw new CallError('INVALID_REQUEST', 'only the first frame may be `start`');
    }
    this.#addCredit(request.credit ?? 0);
    this.#pollAll();
  }

  #addCredit(credit: number): void {
    const { maxCredit } = this.#parts.config;
    this.#credit += checkedNumber('credit', credit, maxCredit);
    if (this.#credit <= maxCredit) return;
    throw new CallError(
      'NUMBER_OUT_OF_RANGE',
      `credit adds up to ${this.#credit}: at most ${maxCredit} (maxCredit) are allowed`,
    );
  }

  #open(start: StartFields | undefined): void {
    if (start === undefined) {
      throw new CallError('INVALID_REQUEST', 'the first frame must be `start`');
    }
    checkStart(start, this.#parts.config.maxSubscribedQueues);
    const { caller, calls, config } = this.#parts;
    caller?.hold(DEMANDS.fetchFrom, start.topic);
    if (start.group !== '') caller?.hold(DEMANDS.readGroup, start.group);
    this.#start = start;
    this.#addCredit(start.credit);
    const call = calls.open(config.defaultCallTimeoutMs, allowedCall(caller), (error) => {
      if (error !== undefined) this.fail(error);
    });
    this.#beginning = call;
    this.#begin(call, start).then(
      () => call.finish(undefined, undefined),
      (error: unknown) => call.finish(toCallError(error), undefined),
    );
  }

  async #begin(call: Call, start: StartFields): Promise<void> {
    const named = start.queues.map((entry) => entry.queue);
    const topic = await this.#parts.offsets.topic(call, start, named);
    const offsets =
      start.queues.length > 0
        ? new Map(start.queues.map((entry) => [entry.queue, int64('offset', entry.offset)]))
        : await this.#groupOffsets(call, topic, start);
    if (this.#client.closed) return;
    this.#client.accept();
    this.#topic = topic;
    for (const [queue, offset] of offsets) this.#addLoop(topic, queue, offset);
    this.#unwatch = this.#parts.host.onApplied((shard) => {
      if (shard === META_SHARD) this.#topicChanged();
    });
    this.#topicChanged();
    this.#keepPace(0);
    this.#pollAll();
  }

  /** Where the group stands on each queue, else `from`. */
  async #groupOffsets(
    call: Call,
    topic: TopicView,
    start: StartFields,
  ): Promise<Map<number, number>> {
    const { offsets } = this.#parts;
    const ranges = await offsets.ranges(call, topic.queues, undefined);
    const group =
      start.group === '' ? undefined : await offsets.group(call, start.group, topic.topicId);
    const committed = new Map(group?.offsets.map((entry) => [entry.queue, entry.offset]));
    const positions = new Map<number, number>();
    topic.queues.forEach(({ queue }, at) => {
      const range = ranges[at]!;
      const fallback = start.from === LATEST ? range.end : range.start;
      // Retention may have passed the group by: what is gone cannot be read.
      positions.set(queue, Math.max(committed.get(queue) ?? fallback, range.start));
    });
    return positions;
  }

  #topicChanged(): void {
    const id = this.#topic?.topicId;
    if (this.#client.closed || id === undefined) return;
    const topic = this.#parts.host.meta().topicById(id);
    const { appliedIndex } = this.#parts.topics;
    // Another replica took the place of this node's, and does not know the topic yet.
    if (topic === undefined && appliedIndex < this.#seenAtIndex) return;
    if (topic === undefined || topic.state === 'deleting') {
      this.fail(topicNotFound(this.#topic!.name));
      return;
    }
    this.#topic = topic;
    this.#seenAtIndex = appliedIndex;
    if (this.#start!.queues.length > 0) return;
    for (const { queue } of topic.queues) {
      // A queue that was added later is read whole.
      if (!this.#loops.has(queue)) this.#addLoop(topic, queue, 0)?.poll();
    }
  }

  #addLoop(topic: TopicView, queue: number, offset: number): QueueLoop | undefined {
    const found = topic.queues[queue];
    if (found === undefined) return undefined;
    const { caller, calls, config, fetch, router } = this.#parts;
    const filter = this.#start!.filter ?? undefined;
    const parts = { caller, calls, config, fetch, router, filter };
    const loop = new QueueLoop(this, parts, found, offset);
    this.#loops.set(queue, loop);
    return loop;
  }

  #pollAll(): void {
    if (this.#client.closed) return;
    for (const loop of [...this.#loops.values()]) loop.poll();
  }

  /** Who was served comes last when there is room again. */
  #toTheBack(queue: number): void {
    const loop = this.#loops.get(queue)!;
    this.#loops.delete(queue);
    this.#loops.set(queue, loop);
  }

  #close(): void {
    this.#unwatch?.();
    clearTimeout(this.#pace);
    this.#beginning?.cancel();
    for (const loop of this.#loops.values()) loop.close();
    this.#parts.onClosed();
  }
}

function checkStart(start: StartFields, maxQueues: number): void {
  const { queues, group, from } = start;
  compileFilter(start.filter ?? undefined);
  if (from < 0 || from > LATEST) throw new CallError('INVALID_REQUEST', `from ${from} is unknown`);
  if (group !== '') checkedName('group', group);
  if (queues.length > maxQueues) {
    throw new CallError(
      'INVALID_REQUEST',
      `${queues.length} queues: at most ${maxQueues} (maxSubscribedQueues) are allowed`,
    );
  }
  if (queues.length === 0) return;
  if (group !== '' || from !== 0) {
    throw new CallError('INVALID_REQUEST', 'give `queues` with offsets, or `group` and `from`');
  }
  if (new Set(queues.map((entry) => entry.queue)).size < queues.length) {
    throw new CallError('INVALID_REQUEST', 'a queue is named twice');
  }
  for (const { queue, offset } of queues) {
    checkedNumber('queue', queue);
    int64('offset', offset);
  }
}

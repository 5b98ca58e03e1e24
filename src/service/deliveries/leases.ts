/**
 * Leases, on the leader of a shard: messages are picked and read first, then leased in one entry,
 * so that nothing is leased that cannot be handed out. One queue per answer; the queues of a topic
 * in this shard take turns.
 */
import type { ProposalOutcome } from '../../../raft/driver.ts';
import { encodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult } from '../../broker/commands.ts';
import type { SubscriptionView } from '../../broker/deliveries-view.ts';
import { type FreshMessage, isSameFilter } from '../../broker/delivery-commands.ts';
import type { PendingView } from '../../broker/pending-rows.ts';
import { keyHash } from '../../cluster/hash.ts';
import { CompiledFilters, type MessageFilter } from '../../filter/filter.ts';
import { keyOfMessage } from '../../filter/message-key.ts';
import type { ShardHost } from '../../shards/api.ts';
import { CallError } from '../../status.ts';
import type { Call, Done } from '../call.ts';
import { decodeJson } from '../internal-methods.ts';
import type { ShardMethod } from '../methods.ts';
import { appliedError } from '../produce.ts';
import {
  proposalError,
  queueNotOpen,
  subscriptionFifo,
  subscriptionFilter,
  subscriptionNotFound,
} from '../refusals.ts';
import { encodeDeliveries, encodeDelivery } from './encode.ts';
import { type FreshRead, type ReadMessage, readFresh, readPlaced } from './messages.ts';
import type { Offer, Picks } from './picks.ts';
import type { LeaseQuestion, QueueName } from './requests.ts';

const NO_BYTES = new Uint8Array(0);

export class LeaseMethod {
  readonly method: ShardMethod;
  readonly #host: ShardHost;
  readonly #picks: Picks;
  readonly #maxBytes: number;
  readonly #filters = new CompiledFilters();
  #turn = 0;

  /** `maxBytes` of messages in one answer, but for a first one that is larger. */
  constructor(host: ShardHost, picks: Picks, maxBytes: number) {
    this.#host = host;
    this.#picks = picks;
    this.#maxBytes = maxBytes;
    this.method = {
      name: '.deliveries/lease',
      kind: 'write',
      perform: (call, { shard }, body, _parsed, done) => {
        const question = decodeJson<LeaseQuestion>(body);
        this.#turn += 1;
        const first = this.#turn % question.queues.length;
        const queues = [...question.queues.slice(first), ...question.queues.slice(0, first)];
        const filter = this.#filters.get(question.filter);
        const parts = { host, picks: this.#picks, maxBytes: this.#maxBytes, filter };
        new Leasing(parts, call, shard, { ...question, queues }, done).next();
      },
    };
  }

  /** What a waiting Receive looks at: is there anything to lease? */
  isFree(shard: number, group: string, queueIds: readonly number[]): boolean {
    const data = this.#host.data(shard);
    const nowMs = this.#host.shardTimeMs(shard);
    return queueIds.some((queueId) => this.#picks.isFree(data, group, queueId, nowMs));
  }
}

interface LeasingParts {
  readonly host: ShardHost;
  readonly picks: Picks;
  readonly maxBytes: number;
  readonly filter: MessageFilter | undefined;
}

/** What was read for one queue, and will be leased as far as it is still free. */
interface Reading {
  readonly queue: QueueName;
  readonly again: readonly ReadMessage<PendingView>[];
  readonly fresh: readonly ReadMessage<FreshRead>[];
  /** How far new messages were looked at: what lies before and is not in `fresh` does not fit. */
  readonly nextOffset: number;
  readonly offer: Offer;
}

/** One question to one shard: its queues in turn, until one of them has something. */
class Leasing {
  readonly #parts: LeasingParts;
  readonly #call: Call;
  readonly #shard: number;
  readonly #question: LeaseQuestion;
  readonly #done: Done;
  #at = -1;
  #trouble: CallError | undefined;
  #open = 0;

  constructor(parts: LeasingParts, call: Call, shard: number, question: LeaseQuestion, done: Done) {
    this.#parts = parts;
    this.#call = call;
    this.#shard = shard;
    this.#question = question;
    this.#done = done;
  }

  next(): void {
    this.#at += 1;
    const queue = this.#question.queues[this.#at];
    if (queue === undefined) this.#finish(undefined);
    else if (!this.#call.finished) this.#look(queue);
  }

  #finish(answer: Uint8Array | undefined): void {
    if (answer !== undefined) this.#done(undefined, answer);
    else if (this.#trouble !== undefined) this.#done(this.#trouble, undefined);
    else if (this.#open === 0) this.#done(queueNotOpen(), undefined);
    else this.#done(undefined, NO_BYTES);
  }

  #look(queue: QueueName): void {
    const { host, picks } = this.#parts;
    const { group, max } = this.#question;
    const { queueId } = queue;
    const data = host.data(this.#shard);
    if (data.queue(queueId) !== undefined) this.#open += 1;
    const refusal = this.#refusal(data.deliveries.subscription(group, queueId));
    if (refusal !== undefined) {
      this.#done(refusal, undefined);
      return;
    }
    const nowMs = host.shardTimeMs(this.#shard);
    const offer = picks.offer(data, group, queueId, nowMs, max);
    if (!offer.isSubscribed) {
      this.#done(subscriptionNotFound(group), undefined);
      return;
    }
    if (offer.again.length + offer.freshCount === 0) {
      this.next();
      return;
    }
    picks.beginReading(group, queueId);
    this.#read(queue, offer);
  }

  /** Of a subscription that was made in another way than is asked for. */
  #refusal(known: SubscriptionView | undefined): CallError | undefined {
    const { fifo, filter, group } = this.#question;
    if (known === undefined) return undefined;
    if (known.fifo !== fifo) return subscriptionFifo(group, known.fifo);
    return isSameFilter(known.filter, filter) ? undefined : subscriptionFilter(group, known.filter);
  }

  #read(queue: QueueName, offer: Offer): void {
    const { filter, host, maxBytes } = this.#parts;
    readPlaced(host, this.#shard, offer.again, (found) => {
      const readable = found.filter((message) => message !== undefined);
      if (readable.length < found.length) this.#trouble = unreadable();
      const again = fitting(readable, maxBytes);
      const left = maxBytes - bytesOf(again);
      if (offer.freshCount === 0 || left <= 0 || again.length < readable.length) {
        this.#lease({ queue, again, fresh: [], nextOffset: offer.freshOffset, offer });
        return;
      }
      const { freshOffset: offset, freshCount: count } = offer;
      const range = { offset, count, maxBytes: left, filter };
      const wanted = { shard: this.#shard, queueId: queue.queueId, ...range };
      readFresh(host, wanted, (error, { nextOffset, read }) => {
        if (error !== undefined) this.#trouble = error;
        // A first message may be larger than what is left: then it waits for the next answer.
        const fresh = again.length === 0 ? read : fitting(read, left, 0);
        const end = read[fresh.length]?.place.offset ?? nextOffset;
        this.#lease({ queue, again, fresh, nextOffset: end, offer });
      });
    });
  }

  #lease(reading: Reading): void {
    const { host, picks } = this.#parts;
    const { group } = this.#question;
    const { again, fresh, nextOffset, offer, queue } = reading;
    const hasMoved = nextOffset > offer.freshOffset;
    if (again.length + fresh.length === 0 && !hasMoved) {
      picks.cancel(group, queue.queueId);
      this.next();
      return;
    }
    const offsets = again.map(({ place }) => place.offset);
    const claimedTo = hasMoved ? nextOffset : undefined;
    const release = picks.claim(group, queue.queueId, offsets, claimedTo);
    const head = this.#command(reading, offsets);
    this.#call.mayHaveTakenEffect = true;
    host.propose(this.#shard, head, NO_BYTES, 'majorityFsync', (outcome) => {
      release();
      this.#leased(reading, outcome);
    });
  }

  #command(reading: Reading, again: readonly number[]): Uint8Array {
    const { fresh, offer, queue } = reading;
    const { consumer, fifo, filter, group, leaseMs } = this.#question;
    const { queueId } = queue;
    const { freshOffset } = offer;
    return encodeCommand({
      ...{ type: 'lease', group, queueId, fifo, consumer, leaseMs, again, freshOffset },
      fromOffset: undefined,
      fresh: fresh.map((message) => freshMessage(message, fifo)),
      selection: filter && { filter, passed: passedIn(reading) },
    });
  }

  #leased(reading: Reading, outcome: ProposalOutcome): void {
    if (outcome.status === 'written') throw new TypeError('written is not applied');
    if (outcome.status !== 'applied') {
      this.#call.mayHaveTakenEffect = outcome.status === 'unknown';
      this.#done(proposalError(outcome, this.#shard), undefined);
      return;
    }
    this.#call.mayHaveTakenEffect = false;
    const result = outcome.result as ApplyResult;
    if (result.type !== 'given') this.#done(appliedError(result), undefined);
    else if (this.#call.finished) this.#release(reading.queue, result);
    else if (result.messages.length > 0) this.#finish(this.#answer(reading, result));
    else this.#again(reading);
  }

  /** Whoever asked is gone: as if it had not been leased. */
  #release({ queueId }: QueueName, result: Extract<ApplyResult, { type: 'given' }>): void {
    const { group } = this.#question;
    const { messages, token } = result;
    const verdict = { type: 'release' } as const;
    const items = messages.map(({ offset }) => ({ offset, token, verdict }));
    if (items.length === 0) return;
    const head = encodeCommand({ type: 'settle', group, queueId, items });
    this.#parts.host.propose(this.#shard, head, NO_BYTES, 'majorityFsync', () => {});
  }

  /** All that was read is held up by its keys, or does not fit: what comes after it may. */
  #again({ nextOffset, offer, queue }: Reading): void {
    if (nextOffset === offer.freshOffset || this.#call.finished) this.next();
    else this.#look(queue);
  }

  #answer(
    { again, fresh, queue }: Reading,
    result: Extract<ApplyResult, { type: 'given' }>,
  ): Uint8Array {
    const byOffset = new Map(
      [...again, ...fresh].map((message) => [message.place.offset, message] as const),
    );
    const { token, leaseUntilMs, messages } = result;
    return encodeDeliveries(
      messages.map(({ offset, attempt }) => {
        const { place, bytes } = byOffset.get(offset)!;
        const { firstIndex, position, storedAtMs } = place;
        const lease = { attempt, token, leaseUntilMs };
        const message = { firstIndex, position, offset, storedAtMs, message: bytes };
        return encodeDelivery({ shard: this.#shard, ...queue, ...lease, ...message });
      }),
    );
  }
}

/** How many messages do not fit: before each of those that do, and after the last. */
function passedIn({ fresh, nextOffset, offer }: Reading): number[] {
  let from = offer.freshOffset;
  const passed = fresh.map(({ place: { offset } }) => {
    const count = offset - from;
    from = offset + 1;
    return count;
  });
  return [...passed, nextOffset - from];
}

function freshMessage({ place, bytes }: ReadMessage<FreshRead>, fifo: boolean): FreshMessage {
  const { at, position, firstIndex, storedAtMs } = place;
  const key = fifo ? keyOfMessage(bytes, 0, bytes.length).key : '';
  // 0 stands for no key: one whose hash it is shares the line of 1.
  const hash = key === '' ? 0 : keyHash(key) || 1;
  return { at, position, firstIndex, storedAtMs, keyHash: hash };
}

/** The first ones within `maxBytes`, but at least `atLeast`. */
function fitting<Message extends { readonly bytes: Uint8Array }>(
  messages: readonly Message[],
  maxBytes: number,
  atLeast = 1,
): readonly Message[] {
  let total = 0;
  const over = messages.findIndex(({ bytes }, at) => {
    total += bytes.length;
    return total > maxBytes && at >= atLeast;
  });
  return over < 0 ? messages : messages.slice(0, over);
}

function bytesOf(messages: readonly { readonly bytes: Uint8Array }[]): number {
  return messages.reduce((total, { bytes }) => total + bytes.length, 0);
}

function unreadable(): CallError {
  return new CallError(
    'DATA_DAMAGED',
    'a message that is to be given again cannot be read here: it is fetched from a replica',
  );
}

/** Produce: the node that was asked picks the queue, the shard's leader appends. */
import type { ProposalOutcome } from '../../raft/driver.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import { type ApplyResult, Durability, type MessageKey } from '../broker/commands.ts';
import type { TopicView } from '../cluster/api.ts';
import { checkedId } from '../convert.ts';
import type { Caller } from '../security/caller.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import type { Call, Done } from './call.ts';
import { checkDedupKeys, checkDedupOn, dedupOf, refuseDedupKeys } from './dedup.ts';
import { checkDelay, deliveryTime, isDelayed, refuseDelayed } from './delay.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { messageKeys } from './message-keys.ts';
import { pickedAt, type ShardMethod, type Target } from './methods.ts';
import { ProducerOrder } from './producer-order.ts';
import { proposalError, refusalError, refuseFullDisk } from './refusals.ts';
import { ProduceHead, peekQueue, readProduceHead } from './request-head.ts';
import { encodeProduceAck, type ProduceAck } from './responses.ts';
import { refuseKeys } from './state-admission.ts';

export const PRODUCE_PATH = '/holdfast.v1.Log/Produce';

/** What the driver waits for, by durability; NONE is answered before. */
const LEVELS = {
  [Durability.majorityFsync]: 'majorityFsync',
  [Durability.majority]: 'majority',
  [Durability.leader]: 'leader',
  [Durability.none]: 'leader',
} as const;

export interface ResolvedProduce {
  readonly head: ProduceHead;
  readonly target: Target;
}

export class ProduceCalls {
  readonly method: ShardMethod;
  readonly #parts: ExecutorParts;
  readonly #order = new ProducerOrder();

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    parts.host.onLeadership((shard) => this.#order.forget(shard));
    this.method = {
      name: PRODUCE_PATH,
      kind: 'write',
      perform: (call, target, body, parsed, done) => this.#append(call, target, body, parsed, done),
    };
  }

  /** A unary Produce of a client. */
  produce(call: Call, request: Uint8Array, done: Done): void {
    this.resolve(call, request, (error, resolved) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      const { head, target } = resolved!;
      const routed = { method: this.method, target, body: request, parsed: head };
      this.#parts.router.route(call, routed, done);
    });
  }

  /** As `resolve`, without waiting; undefined = the metadata's leader must be asked first. */
  resolveNow(request: Uint8Array, caller: Caller | undefined): ResolvedProduce | undefined {
    const head = readProduceHead(request, this.#parts.config);
    checkHead(head);
    caller?.check(DEMANDS.produceTo, head.topic);
    const topic = this.#parts.topics.known(head);
    if (topic === undefined) return undefined;
    const queue = this.#pick(topic, head);
    if (queue instanceof CallError) throw queue;
    return { head, target: produceTarget(topic, queue, head) };
  }

  /** The queue that a refused request names, where that much can be told. */
  namedQueue(request: Uint8Array, caller: Caller | undefined): number | undefined {
    const { topic, queue } = peekQueue(request);
    // Whoever may not write to it must not see an order that only a real queue has.
    if (caller?.may(DEMANDS.produceTo, topic) === false) return undefined;
    return this.#parts.host.meta().topic(topic)?.queues[queue]?.queueId;
  }

  /** Reads and checks a request; finds its queue. Throws what can be refused at sight. */
  resolve(
    call: Call,
    request: Uint8Array,
    done: (error: CallError | undefined, resolved: ResolvedProduce | undefined) => void,
  ): void {
    const head = readProduceHead(request, this.#parts.config);
    checkHead(head);
    call.demand(DEMANDS.produceTo, head.topic);
    this.#parts.topics.find(call, head, (error, topic) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      const queue = this.#pick(topic!, head);
      if (queue instanceof CallError) done(queue, undefined);
      else done(undefined, { head, target: produceTarget(topic!, queue, head) });
    });
  }

  #pick(topic: TopicView, head: ProduceHead): number | CallError {
    const isOff = checkDedupOn(head, topic.config);
    if (isOff !== undefined) return isOff;
    const keys = topic.config.compaction && messageKeys(head);
    return keys instanceof CallError ? keys : this.#parts.picker.pick(topic, head);
  }

  #append(call: Call, target: Target, body: Uint8Array, parsed: unknown, done: Done): void {
    const head = parsed instanceof ProduceHead ? parsed : readProduceHead(body, this.#parts.config);
    const durability = target.variant as Durability;
    const { shard, queueId } = target;
    const { count, producerEpoch, producerId, sequence } = head;
    const producer = producerId === '' ? undefined : { producerId, producerEpoch, sequence };
    const deliverAtMs = this.#deliveryTime(shard, head);
    if (deliverAtMs instanceof CallError) {
      done(deliverAtMs, undefined);
      return;
    }
    const dedup = this.#dedup(target, head);
    if (dedup instanceof CallError) {
      done(dedup, undefined);
      return;
    }
    const keys = this.#keys(target, head);
    if (keys instanceof CallError) {
      done(keys, undefined);
      return;
    }
    const refusal = this.#parts.fences.refusal(target);
    // Others may have been stored before: then that is their answer, whatever was fenced since.
    if (refusal !== undefined && producer === undefined && dedup === undefined) {
      done(refusalError(refusal), undefined);
      return;
    }
    const full = refuseFullDisk(this.#parts.host, shard);
    if (full !== undefined) {
      done(full, undefined);
      return;
    }
    const { queueEpoch } = target;
    const command = encodeCommand({
      type: 'produce',
      queueId,
      count,
      durability,
      producer,
      ...(deliverAtMs === undefined ? {} : { deliverAtMs }),
      ...(dedup === undefined ? {} : { dedup }),
      ...(queueEpoch === undefined ? {} : { queueEpoch }),
      ...(keys === undefined ? {} : { keys }),
    });
    const isWeak = durability !== Durability.majorityFsync;
    const request = producer && { producerId, producerEpoch, sequence, queueId, count };
    const track = request && this.#order.track(shard, request, isWeak);
    const isInOrder = track === undefined || track.proposes(request!);
    const isSure = isInOrder && !this.#parts.fences.mayRefuse(target);
    const level = isSure ? LEVELS[durability] : 'majorityFsync';
    call.mayHaveTakenEffect = true;
    let answered = false;
    this.#parts.host.propose(shard, command, head.payload, level, (outcome) => {
      if (isNew(outcome)) track?.applied();
      if (isStored(outcome)) this.#parts.meters.stored(count, head.payload.length);
      if (answered) return;
      answered = true;
      this.#answer(call, target, { head, deliverAtMs }, outcome, done);
    });
    if (durability !== Durability.none || answered) return;
    // One-way: accepted, and nothing more is promised; the id is not known yet.
    answered = true;
    done(undefined, encodeProduceAck(weakAck(target, head, { term: 0, index: 0, replicas: 0 })));
  }

  #dedup({ shard, queueId }: Target, head: ProduceHead) {
    if (head.dedupKeys === undefined) return undefined;
    const { host } = this.#parts;
    const data = host.data(shard);
    const dedup = dedupOf(head, queueId, data, host.meta());
    const nowMs = host.shardTimeMs(shard);
    return (dedup && refuseDedupKeys(data, queueId, dedup.keys, nowMs)) ?? dedup;
  }

  /** By the queue itself: whether it is compacted was settled when it was opened. */
  #keys(
    { shard, queueId }: Target,
    head: ProduceHead,
  ): readonly MessageKey[] | CallError | undefined {
    const { host } = this.#parts;
    const data = host.data(shard);
    if (data.queue(queueId)?.compaction === undefined) return undefined;
    const keys = messageKeys(head);
    return keys instanceof CallError
      ? keys
      : (refuseKeys(data, queueId, keys, host.shardTimeMs(shard)) ?? keys);
  }

  #deliveryTime(shard: number, head: ProduceHead): number | CallError | undefined {
    if (!isDelayed(head)) return undefined;
    const { host } = this.#parts;
    const atMs = deliveryTime(head, host.shardTimeMs(shard));
    return typeof atMs === 'number' ? (refuseDelayed(host.data(shard)) ?? atMs) : atMs;
  }

  #answer(
    call: Call,
    target: Target,
    { head, deliverAtMs }: { head: ProduceHead; deliverAtMs: number | undefined },
    outcome: ProposalOutcome,
    done: Done,
  ): void {
    if (outcome.status === 'written') {
      done(undefined, encodeProduceAck(weakAck(target, head, outcome)));
    } else if (outcome.status === 'applied') {
      const result = outcome.result as ApplyResult;
      if (result.type === 'produced') {
        done(
          undefined,
          encodeProduceAck(appliedAck(target, deliverAtMs, result, outcome.replicas)),
        );
      } else done(appliedError(result), undefined);
    } else {
      call.mayHaveTakenEffect = outcome.status === 'unknown';
      done(proposalError(outcome, target.shard), undefined);
    }
  }
}

function isNew(outcome: ProposalOutcome): boolean {
  if (outcome.status !== 'applied') return false;
  const result = outcome.result as ApplyResult;
  return result.type === 'produced' && !result.duplicate;
}

/** Weaker levels hear no more than that it was written. */
function isStored(outcome: ProposalOutcome): boolean {
  return outcome.status === 'written' || isNew(outcome);
}

/** The error in a result that is not the one hoped for. */
export function appliedError(result: ApplyResult): CallError {
  if (result.type === 'refused') return refusalError(result.refusal);
  return new CallError('INTERNAL', `unexpected result ${result.type}`);
}

function weakAck(
  target: Target,
  head: ProduceHead,
  at: { term: number; index: number; replicas: number },
): ProduceAck {
  return {
    shard: target.shard,
    term: at.term,
    index: at.index,
    baseOffset: undefined,
    count: head.count,
    queue: target.queue,
    durability: target.variant,
    replicas: at.replicas,
    duplicate: false,
  };
}

type Produced = Extract<ApplyResult, { type: 'produced' }>;

function appliedAck(
  target: Target,
  deliverAtMs: number | undefined,
  result: Produced,
  replicas: number,
): ProduceAck {
  const isDelayed = result.baseOffset === undefined && !result.duplicate;
  return {
    deliverAtMs: isDelayed ? deliverAtMs : undefined,
    shard: target.shard,
    term: result.at.term,
    index: result.at.index,
    position: result.position ?? 0,
    baseOffset: result.baseOffset,
    count: result.count,
    queue: target.queue,
    durability: Durability.majorityFsync,
    replicas,
    duplicate: result.duplicate,
  };
}

function checkHead(head: ProduceHead): void {
  checkDelay(head);
  if (head.count === 0) {
    throw new CallError(
      'EMPTY_BATCH',
      'the request holds no message: send at least one (an empty body is fine)',
    );
  }
  if (head.durability > Durability.none) {
    throw new CallError('INVALID_REQUEST', `durability ${head.durability} does not exist`);
  }
  checkDedupKeys(head);
  if (head.producerId === '') {
    if (head.sequence === 0 && head.producerEpoch === 0) return;
    throw new CallError('INVALID_REQUEST', 'sequence and producer_epoch need a producer_id');
  }
  checkedId('producer_id', head.producerId);
  if (head.queue < 0) {
    throw new CallError(
      'QUEUE_REQUIRED',
      'a request with producer_id must name its queue: sequences are counted per queue',
    );
  }
}

function produceTarget(topic: TopicView, queue: number, head: ProduceHead): Target {
  const { shard, queueId } = topic.queues[queue]!;
  const isSure = isDelayed(head) || head.dedupKeys !== undefined;
  const otherwise = isSure ? Durability.majorityFsync : topic.config.durability;
  return { shard, queueId, queue, variant: head.durability || otherwise, ...pickedAt(topic) };
}

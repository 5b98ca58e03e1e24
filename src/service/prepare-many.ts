/**
 * Prepare of several queues, or with offsets of a group: the node that was asked plans who takes
 * part; the coordinator, the leader of the first part's shard, has it begun, stored and prepared.
 */
import { encodeCommand } from '../broker/command-codec.ts';
import { type ApplyResult, Durability } from '../broker/commands.ts';
import type { OffsetsPlan } from '../broker/preparation.ts';
import type { MovedOffset, PartPlan, TopicOffsets } from '../broker/transaction-commands.ts';
import type { TopicView } from '../cluster/api.ts';
import { checkedName, transactionIdText } from '../convert.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import { type Call, type Done, principalOf } from './call.ts';
import { step } from './cold.ts';
import { NO_HALF, refuseCompacted } from './compaction.ts';
import { isDelayed } from './delay.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { decodeFrame, encodeFrame } from './json-frame.ts';
import { pickedAt, type ShardMethod, shardTarget, type Target } from './methods.ts';
import type { OffsetCalls } from './offsets.ts';
import { type Drive, PrepareDrive } from './prepare-drive.ts';
import { appliedError } from './produce.ts';
import { proposalError, refuseFullDisk } from './refusals.ts';
import {
  type PrepareHead,
  type ProduceHead,
  readPrepareHead,
  readProduceHead,
} from './request-head.ts';
import { encodePrepareAck } from './responses.ts';
import { refuseTransaction } from './state-admission.ts';
import { queueOf } from './topic-directory.ts';
import { type OffsetsHead, readOffsetsHead } from './transaction-offsets.ts';

const NO_BYTES = new Uint8Array(0);

type Prepared = Extract<ApplyResult, { type: 'prepared' }>;

/** What the coordinator is told, in front of the request with the messages. */
export interface PreparePlan {
  readonly producerGroup: string;
  readonly callerId: string;
  readonly parts: readonly PartPlan[];
  readonly offsets: OffsetsPlan | undefined;
}

export class PrepareMany {
  readonly method: ShardMethod;
  readonly #parts: ExecutorParts;
  readonly #offsets: OffsetCalls;
  readonly #drive: Drive;

  constructor(parts: ExecutorParts, offsets: OffsetCalls, drive: Drive) {
    this.#parts = parts;
    this.#offsets = offsets;
    this.#drive = drive;
    this.method = {
      name: '.transaction/prepare',
      kind: 'write',
      perform: (call, target, frame, _parsed, done) => this.#prepareHere(call, target, frame, done),
    };
  }

  /** A client's Prepare; `head` was checked as far as one part is. */
  async prepare(call: Call, request: Uint8Array, head: PrepareHead, done: Done): Promise<void> {
    const plan = await this.#plan(call, head);
    const body = encodeFrame(plan, request);
    const target = shardTarget(plan.parts[0]!.shard);
    this.#parts.router.route(call, { method: this.method, target, body }, done);
  }

  async #plan(call: Call, head: PrepareHead): Promise<PreparePlan> {
    const { maxPartsPerTransaction } = this.#parts.config;
    if (head.parts.length > maxPartsPerTransaction) {
      throw new CallError(
        'INVALID_REQUEST',
        `${head.parts.length} parts: at most ${maxPartsPerTransaction} (maxPartsPerTransaction)`,
      );
    }
    const read = head.parts.map((part) => readProduceHead(part, this.#parts.config));
    const moved = head.offsets.map(readOffsetsHead);
    for (const { topic } of read) call.demand(DEMANDS.produceTo, topic);
    for (const { group, topic } of moved) {
      call.demand(DEMANDS.consumeAs, group);
      call.demand(DEMANDS.fetchFrom, topic);
    }
    const parts = await Promise.all(read.map((part) => this.#planPart(call, head, part)));
    if (new Set(parts.map(({ queueId }) => queueId)).size < parts.length) {
      throw new CallError('INVALID_REQUEST', 'two parts for one queue: put them into one part');
    }
    const { producerGroup, transactionId: callerId } = head;
    const offsets = await this.#planOffsets(call, moved);
    return { producerGroup, callerId, parts, offsets };
  }

  async #planPart(call: Call, head: PrepareHead, part: ProduceHead): Promise<PartPlan> {
    checkPart(head, part);
    const { picker, topics } = this.#parts;
    const topic = await step<TopicView>((found) => topics.find(call, part, found));
    const queue = refuseCompacted(topic, NO_HALF) ?? picker.pick(topic, part);
    if (queue instanceof CallError) throw queue;
    const { shard, queueId } = queueOf(topic, queue);
    const plan = { shard, topic: part.topic, queueId, queue, count: part.count };
    return { ...plan, ...pickedAt(topic) };
  }

  async #planOffsets(call: Call, heads: readonly OffsetsHead[]): Promise<OffsetsPlan | undefined> {
    const first = heads[0];
    if (first === undefined) return undefined;
    const { group, generation, memberId } = first;
    checkedName('group', group);
    if (heads.some((one) => one.group !== group)) {
      throw new CallError(
        'INVALID_REQUEST',
        'offsets of two groups: a transaction takes one group',
      );
    }
    const topics = await Promise.all(heads.map((one) => this.#planTopic(call, one)));
    if (new Set(topics.map(({ topicId }) => topicId)).size < topics.length) {
      throw new CallError('INVALID_REQUEST', 'offsets name a topic twice');
    }
    const shard = this.#parts.host.meta().shardOfGroup(group);
    return { shard, group, generation, memberId, topics, ...principalOf(call) };
  }

  async #planTopic(call: Call, head: OffsetsHead): Promise<TopicOffsets> {
    const queues = head.offsets.map(({ queue }) => queue);
    if (queues.length === 0) {
      throw new CallError('INVALID_REQUEST', `offsets of topic ${head.topic} name no queue`);
    }
    if (queues.length > this.#parts.config.maxQueuesPerCall) {
      throw new CallError('INVALID_REQUEST', `offsets of ${queues.length} queues in one topic`);
    }
    if (new Set(queues).size < queues.length) {
      throw new CallError('INVALID_REQUEST', 'a queue is named twice in offsets');
    }
    const wanted = { ...head, queue: Math.max(...queues), queueEpoch: -1 };
    const topic = await step<TopicView>((found) => this.#parts.topics.find(call, wanted, found));
    const offsets = head.offsets.map(
      ({ queue, from, offset }): MovedOffset => ({
        ...{ queue, offset, from: from < 0 ? undefined : from },
      }),
    );
    await this.#offsets.checkPastEnd(call, topic, offsets);
    return { topicId: topic.topicId, offsets };
  }

  #prepareHere(call: Call, { shard }: Target, frame: Uint8Array, done: Done): void {
    const { head: plan, bytes } = decodeFrame<PreparePlan>(frame);
    const { host, transactionQuota } = this.#parts;
    const { producerGroup, callerId } = plan;
    const known = host.data(shard).transaction(producerGroup, { by: 'caller', callerId });
    const refused =
      known === undefined
        ? (transactionQuota.refuse(shard, call.principal) ??
          refuseTransaction(host.data(shard)) ??
          refuseFullDisk(host, shard))
        : undefined;
    if (refused !== undefined) {
      done(refused, undefined);
      return;
    }
    call.mayHaveTakenEffect = true;
    host.propose(shard, this.#begin(call, plan), NO_BYTES, 'majorityFsync', (outcome) => {
      if (outcome.status !== 'applied') {
        if (outcome.status === 'written') throw new TypeError('written is not applied');
        call.mayHaveTakenEffect = outcome.status === 'unknown';
        done(proposalError(outcome, shard), undefined);
        return;
      }
      const result = outcome.result as ApplyResult;
      if (result.type !== 'prepared') done(appliedError(result), undefined);
      else if (result.state !== 'preparing')
        done(undefined, this.#ack(shard, result, outcome.replicas));
      else this.#store(shard, plan, bytes, result, done);
    });
  }

  #begin(call: Call, { producerGroup, callerId, parts, offsets }: PreparePlan): Uint8Array {
    const { checkIntervalMs, firstCheckAfterMs, maxChecksPerTransaction } = this.#parts.config;
    return encodeCommand({
      ...{ type: 'begin', producerGroup, callerId, firstCheckAfterMs, checkIntervalMs },
      maxChecks: maxChecksPerTransaction,
      ...principalOf(call),
      parts,
      offsets: offsets === undefined ? undefined : { shard: offsets.shard, group: offsets.group },
    });
  }

  /** As `begin` listed them: a repetition may have picked other queues. */
  #store(shard: number, plan: PreparePlan, request: Buffer, begun: Prepared, done: Done): void {
    const heads = readPrepareHead(request).parts;
    const payloads = heads.map((part) => readProduceHead(part, this.#parts.config).payload);
    const transaction = { shard, ...begun.id };
    const stored = { transaction, parts: begun.parts, payloads, offsets: plan.offsets };
    new PrepareDrive(this.#drive, stored, (error, result, replicas) => {
      if (error !== undefined) done(error, undefined);
      else done(undefined, this.#ack(shard, { ...result!, duplicate: begun.duplicate }, replicas));
    }).start();
  }

  #ack(
    shard: number,
    { id, parts, firstCheckAtMs, duplicate }: Prepared,
    replicas: number,
  ): Buffer {
    return encodePrepareAck({
      transactionId: transactionIdText({ shard, ...id }),
      parts: parts.map((part) => ({
        ...{ shard: part.shard, term: part.at.term, index: part.at.index, baseOffset: undefined },
        ...{ count: part.count, queue: part.queue, durability: Durability.majorityFsync },
        ...{ replicas, duplicate },
      })),
      firstCheckAtMs,
      duplicate,
    });
  }
}

/** What holds of each part, whether there are others or not. */
export function checkPart(head: PrepareHead, part: ProduceHead): void {
  if (part.count === 0) {
    throw new CallError('EMPTY_BATCH', 'the part holds no message: send at least one');
  }
  if (isDelayed(part)) {
    throw new CallError(
      'INVALID_REQUEST',
      'a half message cannot be delayed as well: its time is the commit. Leave deliver_at_ms out',
    );
  }
  refuseOtherFields(part);
  if (head.transactionId !== '' && part.queue < 0) {
    throw new CallError(
      'QUEUE_REQUIRED',
      'with a transaction_id of your own, name the queue: it is how the transaction is found',
    );
  }
}

/** A ProduceRequest's fields that a HalfBatch does not have: whoever sends them means something. */
function refuseOtherFields(part: ProduceHead): void {
  const { dedupKeys, durability, producerEpoch, producerId, sequence } = part;
  if (dedupKeys !== undefined) {
    throw new CallError(
      'INVALID_REQUEST',
      'a half message has no dedup_keys: a transaction_id of your own keeps it from coming twice',
    );
  }
  if (durability !== 0 && durability !== Durability.majorityFsync) {
    throw new CallError(
      'INVALID_REQUEST',
      'a half message needs durability MAJORITY_FSYNC: what waits for its outcome must not be lost',
    );
  }
  if (producerId === '' && sequence === 0 && producerEpoch === 0) return;
  throw new CallError(
    'INVALID_REQUEST',
    'a half message has no producer_id and sequence: its transaction_id takes their place',
  );
}

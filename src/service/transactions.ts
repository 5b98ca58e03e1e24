/** Prepare and End: half messages and their outcome (api.md section 5). */

import type { TransactionView } from '../broker/api.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import {
  type ApplyResult,
  Durability,
  type TransactionId,
  type TransactionRef,
} from '../broker/commands.ts';
import { checkedId, parseTransactionId, transactionIdText } from '../convert.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError, toCallError } from '../status.ts';
import { type Call, type Done, principalOf } from './call.ts';
import { NO_HALF, refuseCompacted } from './compaction.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { pickedAt, type ShardMethod, type Target } from './methods.ts';
import type { OutcomePusher } from './outcome-pusher.ts';
import { checkPart, type PrepareMany } from './prepare-many.ts';
import { appliedError } from './produce.ts';
import { proposalError, refuseFullDisk, transactionNotFound } from './refusals.ts';
import {
  EndHead,
  type PrepareHead,
  type ProduceHead,
  readEndHead,
  readPrepareHead,
  readProduceHead,
} from './request-head.ts';
import { encodeEndAnswer, encodePrepareAck } from './responses.ts';
import { refuseTransaction } from './state-admission.ts';
import { queueOf } from './topic-directory.ts';
import { STATES } from './transaction-states.ts';

export const PREPARE_PATH = '/holdfast.v1.Transactions/Prepare';
export const END_PATH = '/holdfast.v1.Transactions/End';

const NO_BYTES = new Uint8Array(0);
const DECISIONS = ['', 'commit', 'rollback', 'unknown'] as const;

interface Prepare {
  readonly producerGroup: string;
  readonly callerId: string;
  readonly part: ProduceHead;
}

export class TransactionCalls {
  readonly prepareMethod: ShardMethod;
  readonly endMethod: ShardMethod;
  readonly #parts: ExecutorParts;
  readonly #many: PrepareMany;
  readonly #pusher: OutcomePusher;

  constructor(parts: ExecutorParts, many: PrepareMany, pusher: OutcomePusher) {
    this.#parts = parts;
    this.#many = many;
    this.#pusher = pusher;
    this.prepareMethod = {
      name: PREPARE_PATH,
      kind: 'write',
      perform: (call, target, body, parsed, done) =>
        this.#prepareHere(call, target, (parsed ?? this.#read(body)) as Prepare, done),
    };
    this.endMethod = {
      name: END_PATH,
      kind: 'write',
      perform: (call, target, body, parsed, done) =>
        this.#endHere(call, target, parsed instanceof EndHead ? parsed : readEndHead(body), done),
    };
  }

  prepare(call: Call, request: Uint8Array, done: Done): void {
    const head = readPrepareHead(request);
    checkPrepare(head);
    call.demand(DEMANDS.decideAs, head.producerGroup);
    if (head.parts.length > 1 || head.offsets.length > 0) {
      this.#many
        .prepare(call, request, head, done)
        .catch((error: unknown) => done(toCallError(error), undefined));
      return;
    }
    const prepare = this.#read(request);
    const { part } = prepare;
    checkPart(head, part);
    call.demand(DEMANDS.produceTo, part.topic);
    this.#parts.topics.find(call, part, (error, topic) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      const refused = refuseCompacted(topic!, NO_HALF);
      const queue = refused ?? this.#parts.picker.pick(topic!, part);
      if (queue instanceof CallError) {
        done(queue, undefined);
        return;
      }
      const { shard, queueId } = queueOf(topic!, queue);
      const variant = Durability.majorityFsync;
      const target = { shard, queueId, queue, variant, ...pickedAt(topic!) };
      const routed = { method: this.prepareMethod, target, body: request, parsed: prepare };
      this.#parts.router.route(call, routed, done);
    });
  }

  end(call: Call, request: Uint8Array, done: Done): void {
    const end = readEndHead(request);
    checkEnd(end);
    if (end.operator) call.demand(DEMANDS.manageCluster, '');
    else call.demand(DEMANDS.decideAs, end.producerGroup);
    const id = parseTransactionId(end.transactionId);
    const route = (shard: number) => {
      const target = { shard, queueId: 0, queue: 0, variant: 0 };
      const routed = { method: this.endMethod, target, body: request, parsed: end };
      this.#parts.router.route(call, routed, done);
    };
    if (id === undefined) {
      this.#shardOfCallerId(call, end, route, done);
    } else if (id.shard > 0 && this.#parts.host.shards().includes(id.shard)) {
      route(id.shard);
    } else done(transactionNotFound(), undefined);
  }

  #shardOfCallerId(call: Call, end: EndHead, found: (shard: number) => void, done: Done): void {
    if (end.transactionId === '') {
      throw new CallError('INVALID_REQUEST', 'transaction_id is missing');
    }
    checkedId('transaction_id', end.transactionId);
    const { queue } = end;
    if (end.topic === '' || queue < 0) {
      throw new CallError(
        'QUEUE_REQUIRED',
        `${JSON.stringify(end.transactionId)} is not an id that Prepare answered: ` +
          'with your own id, give topic and queue too',
      );
    }
    call.demand(DEMANDS.produceTo, end.topic);
    const wanted = { topic: end.topic, topicId: '', queue, queueEpoch: -1 };
    this.#parts.topics.find(call, wanted, (error, topic) => {
      if (error !== undefined) done(error, undefined);
      else found(queueOf(topic!, queue).shard);
    });
  }

  #read(request: Uint8Array): Prepare {
    const head = readPrepareHead(request);
    const part = readProduceHead(head.parts[0]!, this.#parts.config);
    return { producerGroup: head.producerGroup, callerId: head.transactionId, part };
  }

  #prepareHere(call: Call, target: Target, prepare: Prepare, done: Done): void {
    const { part } = prepare;
    const { host, transactionQuota } = this.#parts;
    const { shard } = target;
    const data = host.data(shard);
    const { callerId, producerGroup } = prepare;
    const isNew = data.transaction(producerGroup, { by: 'caller', callerId }) === undefined;
    const refused =
      (isNew ? transactionQuota.refuse(shard, call.principal) : undefined) ??
      refuseTransaction(data) ??
      refuseFullDisk(host, shard);
    if (refused !== undefined) {
      done(refused, undefined);
      return;
    }
    const command = encodeCommand({
      type: 'prepare',
      producerGroup: prepare.producerGroup,
      callerId: prepare.callerId,
      topic: part.topic,
      queueId: target.queueId,
      count: part.count,
      firstCheckAfterMs: this.#parts.config.firstCheckAfterMs,
      checkIntervalMs: this.#parts.config.checkIntervalMs,
      maxChecks: this.#parts.config.maxChecksPerTransaction,
      ...principalOf(call),
      ...(target.queueEpoch === undefined ? {} : { queueEpoch: target.queueEpoch }),
    });
    this.#propose(call, target.shard, command, part.payload, done, (result, replicas) => {
      if (result.type !== 'prepared') throw appliedError(result);
      const { id, firstCheckAtMs, duplicate } = result;
      const { count } = result.parts[0]!;
      return encodePrepareAck({
        transactionId: transactionIdText({ shard: target.shard, ...id }),
        parts: [
          {
            shard: target.shard,
            term: id.term,
            index: id.index,
            baseOffset: undefined,
            count,
            queue: target.queue,
            durability: Durability.majorityFsync,
            replicas,
            duplicate,
          },
        ],
        firstCheckAtMs,
        duplicate,
      });
    });
  }

  #endHere(call: Call, target: Target, end: EndHead, done: Done): void {
    const decision = DECISIONS[end.decision] || 'unknown';
    const command = encodeCommand({
      type: 'end',
      producerGroup: end.producerGroup,
      transaction: transactionRef(end.transactionId),
      decision,
      ...principalOf(call),
      ...(end.operator ? { by: 'operator' } : {}),
    });
    this.#proposeFor(call, target.shard, command, NO_BYTES, done, (result) => {
      if (result.type !== 'ended') throw appliedError(result);
      if (result.unresolved.length === 0) done(undefined, endAnswer(result));
      else this.#whenResolved(call, target.shard, result.id, done);
    });
  }

  /** The outcome stands; it is answered when every participant has applied it. */
  #whenResolved(call: Call, shard: number, id: TransactionId, done: Done): void {
    call.waitingFor = 'all shards of the transaction to apply its outcome';
    const leave = this.#pusher.whenResolved(shard, id, (found) => {
      call.abort = undefined;
      if (found === undefined) done(lostResolution(), undefined);
      else done(undefined, endAnswer(found));
    });
    call.abort = leave;
  }

  #propose(
    call: Call,
    shard: number,
    head: Uint8Array,
    payload: Uint8Array,
    done: Done,
    answer: (result: ApplyResult, replicas: number) => Buffer,
  ): void {
    this.#proposeFor(call, shard, head, payload, done, (result, replicas) =>
      done(undefined, answer(result, replicas)),
    );
  }

  #proposeFor(
    call: Call,
    shard: number,
    head: Uint8Array,
    payload: Uint8Array,
    done: Done,
    applied: (result: ApplyResult, replicas: number) => void,
  ): void {
    call.mayHaveTakenEffect = true;
    this.#parts.host.propose(shard, head, payload, 'majorityFsync', (outcome) => {
      if (outcome.status === 'applied') {
        const result = outcome.result as ApplyResult;
        if (result.type === 'refused') done(appliedError(result), undefined);
        else applied(result, outcome.replicas);
      } else if (outcome.status === 'written') {
        done(new CallError('INTERNAL', 'written is not applied'), undefined);
      } else {
        call.mayHaveTakenEffect = outcome.status === 'unknown';
        done(proposalError(outcome, shard), undefined);
      }
    });
  }
}

function endAnswer({ state, parts }: Pick<TransactionView, 'state' | 'parts'>): Buffer {
  const shown = parts.flatMap(({ topic, queue, count, baseOffset }) =>
    baseOffset === undefined ? [] : [{ topic, queue, baseOffset, count }],
  );
  return encodeEndAnswer({ state: STATES[state], parts: shown });
}

function checkPrepare(head: PrepareHead): void {
  checkGroup(head.producerGroup);
  checkedId('transaction_id', head.transactionId);
  if (parseTransactionId(head.transactionId) !== undefined) {
    throw new CallError('INVALID_NAME', 'a transaction_id of your own must not begin like ours');
  }
  if (head.parts.length === 0) {
    throw new CallError('INVALID_REQUEST', 'a Prepare needs one part: the messages of one queue');
  }
}

function transactionRef(text: string): TransactionRef {
  const id = parseTransactionId(text);
  if (id === undefined) return { by: 'caller', callerId: text };
  return { by: 'id', id: { term: id.term, index: id.index } };
}

function checkEnd(end: EndHead): void {
  const decision = DECISIONS[end.decision] ?? '';
  if (decision === '') {
    throw new CallError('INVALID_REQUEST', 'decision must be COMMIT, ROLLBACK or UNKNOWN');
  }
  if (!end.operator) {
    checkGroup(end.producerGroup);
    return;
  }
  if (decision === 'unknown') {
    throw new CallError('INVALID_REQUEST', 'an operator decides: COMMIT or ROLLBACK');
  }
  if (end.producerGroup !== '') {
    throw new CallError(
      'INVALID_REQUEST',
      'an operator decides for any producer group: leave producer_group or operator out',
    );
  }
  if (parseTransactionId(end.transactionId) === undefined) {
    throw new CallError(
      'INVALID_REQUEST',
      `transaction_id ${JSON.stringify(end.transactionId.slice(0, 64))}: an operator names it ` +
        'as List answers it, hf.…',
    );
  }
}

function lostResolution(): CallError {
  return new CallError(
    'OUTCOME_UNKNOWN',
    'the outcome stands, but this node does not lead the transaction any more before every shard ' +
      'has applied it: send the same End again to hear when all have',
  );
}

export function checkGroup(producerGroup: string): void {
  if (producerGroup === '') {
    throw new CallError('INVALID_REQUEST', 'producer_group is missing: it says who may decide');
  }
  checkedId('producer_group', producerGroup, 127);
}

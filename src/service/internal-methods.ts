/**
 * What nodes ask of each other for the cold calls: short JSON in and out. Each runs on the leader
 * of a shard, after it has proved that it leads.
 */
import type { DataShard, TransactionView } from '../broker/api.ts';
import { decodeCommand } from '../broker/command-codec.ts';
import type { TransactionId, TransactionState } from '../broker/commands.ts';
import { offsetsName } from '../broker/group-shares.ts';
import type { ShardHost } from '../shards/api.ts';
import { type CallError, toCallError } from '../status.ts';
import type { Call, Done } from './call.ts';
import { gatherCallbacks } from './callbacks.ts';
import type { Fences } from './fences.ts';
import type { ShardMethod, Target } from './methods.ts';
import { proposalError, queueNotOpen, readError } from './refusals.ts';
import { refuseCommand } from './state-admission.ts';

const META_SHARD = 0;

const NO_BYTES = new Uint8Array(0);

export function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** From another node of this cluster and version: trusted to have the shape that it should. */
export function decodeJson<Value>(bytes: Uint8Array): Value {
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as Value;
}

export interface Proposed {
  readonly term: number;
  readonly index: number;
  readonly replicas: number;
  readonly result: unknown;
}

/** Start, end and offset at a time of queues, by queue id. */
export interface QueuesQuestion {
  readonly queueIds: readonly number[];
  readonly atMs?: number;
}
export interface QueueRange {
  readonly start: number;
  readonly end: number;
  readonly atTime: number;
}

export interface GroupQuestion {
  readonly group: string;
  readonly topicId: string;
  /** Whose, where each member has its own; '' = the group's. */
  readonly memberId: string;
}
export interface GroupAnswer {
  /** null = the group does not exist. */
  readonly epoch: number | null;
  readonly offsets: readonly { readonly queue: number; readonly offset: number }[];
}

export interface TransactionsQuestion {
  readonly afterIndex: number;
  readonly limit: number;
  /** '' = any. */
  readonly state: string;
  readonly producerGroup: string;
  readonly topic: string;
}
/** As the list shows it, and where it stands in its shard. */
export interface ListedTransaction {
  readonly id: TransactionId;
  readonly callerId: string;
  readonly producerGroup: string;
  readonly state: TransactionState;
  readonly preparedAtMs: number;
  readonly ageMs: number;
  readonly checkCount: number;
  readonly maxChecks: number;
  readonly dueAtMs: number;
  readonly parts: readonly ListedPart[];
  readonly offsetsGroup: string;
}
export interface ListedPart {
  readonly topic: string;
  readonly queue: number;
  readonly count: number;
  readonly shard: number;
  /** 0 = not stored yet. */
  readonly index: number;
}

export interface InternalMethods {
  /** → {index} of what the shard had committed. */
  readonly readIndex: ShardMethod;
  /** Head of a command → Proposed. */
  readonly propose: ShardMethod;
  /** QueuesQuestion → QueueRange[]. */
  readonly queues: ShardMethod;
  /** GroupQuestion → GroupAnswer. */
  readonly group: ShardMethod;
  /** TransactionsQuestion → ListedTransaction[]. */
  readonly transactions: ShardMethod;
}

export function createInternalMethods(host: ShardHost, fences: Fences): InternalMethods {
  return {
    readIndex: {
      name: '.shard/read-index',
      kind: 'read',
      perform: (_call, target, _body, _parsed, done) =>
        afterRound(host, target, done, (index) => done(undefined, encodeJson({ index }))),
    },
    propose: {
      name: '.shard/propose',
      kind: 'write',
      perform: (call, target, body, _parsed, done) => {
        if (target.shard === META_SHARD) propose(host, call, target, body, done);
        else proposeCommand(host, fences, call, target, body, done);
      },
    },
    queues: {
      name: '.shard/queues',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(host, target, done, () => queueRanges(host, target, decodeJson(body), done)),
    },
    group: {
      name: '.shard/group',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(host, target, done, () => {
          const question = decodeJson<GroupQuestion>(body);
          const data = host.data(target.shard);
          const answer: GroupAnswer = {
            epoch: data.groupEpoch(question.group) ?? null,
            offsets: data.groupOffsets(committerName(data, question), question.topicId),
          };
          done(undefined, encodeJson(answer));
        }),
    },
    transactions: {
      name: '.shard/transactions',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(host, target, done, () =>
          done(undefined, encodeJson(openTransactions(host, target.shard, decodeJson(body)))),
        ),
    },
  };
}

/** `then` runs when this node has applied all that was committed before the call (thesis, 6.4). */
export function afterRound(
  host: ShardHost,
  target: Target,
  done: Done,
  then: (index: number) => void,
): void {
  host.readIndex(target.shard, (outcome) => {
    if (outcome.status === 'ok') then(outcome.index);
    else done(readError(outcome, target.shard), undefined);
  });
}

function proposeCommand(
  host: ShardHost,
  fences: Fences,
  call: Call,
  target: Target,
  head: Uint8Array,
  done: Done,
): void {
  const command = decodeCommand(head);
  const refused = refuseCommand(host.data(target.shard), command);
  if (refused !== undefined) {
    done(refused, undefined);
    return;
  }
  const applied = fences.note(target.shard, command);
  propose(host, call, target, head, (error, answer) => {
    if (error === undefined) applied();
    done(error, answer);
  });
}

function propose(host: ShardHost, call: Call, target: Target, head: Uint8Array, done: Done): void {
  call.mayHaveTakenEffect = true;
  host.propose(target.shard, head, NO_BYTES, 'majorityFsync', (outcome) => {
    if (outcome.status === 'applied' || outcome.status === 'written') {
      const { term, index, replicas } = outcome;
      const result = outcome.status === 'applied' ? outcome.result : undefined;
      done(undefined, encodeJson({ term, index, replicas, result } satisfies Proposed));
      return;
    }
    call.mayHaveTakenEffect = outcome.status === 'unknown';
    done(proposalError(outcome, target.shard), undefined);
  });
}

/** Under whose name the offsets are kept. */
function committerName(data: DataShard, { group, memberId }: GroupQuestion): string {
  const mode = data.membership(group)?.mode ?? 'cluster';
  return memberId === '' ? group : offsetsName(group, mode, memberId);
}

function openTransactions(
  host: ShardHost,
  shard: number,
  question: TransactionsQuestion,
): ListedTransaction[] {
  const { afterIndex, limit, producerGroup, state, topic } = question;
  const nowMs = host.shardTimeMs(shard);
  const found: ListedTransaction[] = [];
  for (const transaction of host.data(shard).openTransactions(afterIndex)) {
    if (found.length >= limit) break;
    if (state !== '' && transaction.state !== state) continue;
    if (producerGroup !== '' && transaction.producerGroup !== producerGroup) continue;
    if (topic !== '' && !transaction.parts.some((part) => part.topic === topic)) continue;
    found.push(listed(transaction, nowMs));
  }
  return found;
}

function listed(transaction: TransactionView, nowMs: number): ListedTransaction {
  const { id, callerId, state, preparedAtMs, checkCount, maxChecks, dueAtMs } = transaction;
  const { offsets, producerGroup } = transaction;
  const ageMs = Math.max(0, nowMs - preparedAtMs);
  const when = { preparedAtMs, ageMs, checkCount, maxChecks, dueAtMs };
  const parts = transaction.parts.map(({ topic, queue, count, shard, at }) => ({
    ...{ topic, queue, count, shard, index: at.index },
  }));
  const offsetsGroup = offsets?.group ?? '';
  return { id, callerId, producerGroup, state, ...when, parts, offsetsGroup };
}

function queueRanges(host: ShardHost, target: Target, question: QueuesQuestion, done: Done): void {
  const data = host.data(target.shard);
  const range = (queueId: number, answer: (error?: CallError, range?: QueueRange) => void) => {
    const queue = data.queue(queueId);
    if (queue === undefined) {
      answer(queueNotOpen());
      return;
    }
    const { startOffset: start, endOffset: end } = queue;
    if (question.atMs === undefined) {
      answer(undefined, { start, end, atTime: end });
      return;
    }
    host.offsetAtTime(target.shard, queueId, question.atMs, (error, atTime) => {
      if (error !== undefined) answer(toCallError(error));
      else answer(undefined, { start, end, atTime });
    });
  };
  gatherCallbacks(question.queueIds, range, (error, ranges) => {
    if (error !== undefined) done(error, undefined);
    else done(undefined, encodeJson(ranges));
  });
}

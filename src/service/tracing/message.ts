/**
 * What the leader of a message's shard knows of it: facts of the replicated state and of the log
 * alone. A half message shows its outcome, never its content.
 */

import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import { decodeCommand } from '../../broker/command-codec.ts';
import type { Command, QueueId } from '../../broker/commands.ts';
import type { GlobalTransactionId } from '../../broker/transaction-commands.ts';
import type { ShardHost } from '../../shards/api.ts';
import { CallError } from '../../status.ts';
import type { Done } from '../call.ts';
import { afterRound, decodeJson, encodeJson } from '../internal-methods.ts';
import type { ShardMethod } from '../methods.ts';
import { findByFirstWrite } from './by-first-write.ts';
import { deliveriesOf, type GroupDelivery, heldPlace } from './deliveries.ts';
import { findInQueue } from './find-in-queue.ts';

export interface TracedMessage {
  readonly topicId: string;
  readonly queue: number;
  /** 0 = not known any more: its bytes were appended again. */
  readonly term: number;
  /** 0 = not known any more. */
  readonly storedAtMs: number;
  /** Of the shard's replicas, how many have the entry. */
  readonly replicas: number;
  readonly kind: 'plain' | 'delayed' | 'half';
  readonly deliverAtMs?: number;
  /** Of a half message: its coordinator knows the state. */
  readonly transaction?: GlobalTransactionId;
  /** Where it stands; absent = in no queue, or not found there. */
  readonly shown?: { readonly offset: number; readonly atMs: number };
  /** Groups that receive one by one. */
  readonly deliveries?: readonly GroupDelivery[];
}

export interface TraceQuestion {
  readonly index: LogIndex;
  readonly position: number;
}

type Known = TracedMessage & { readonly queueId: QueueId };

export function traceMessageMethod(host: ShardHost): ShardMethod {
  return {
    name: '.trace/message',
    kind: 'read',
    perform: (_call, target, body, _parsed, done) =>
      afterRound(host, target, done, () =>
        traceMessage(host, target.shard, decodeJson<TraceQuestion>(body), done),
      ),
  };
}

export function messageNotFound(): CallError {
  return new CallError(
    'MESSAGE_NOT_FOUND',
    'no such message: never stored under this id, or deleted since (retention, compaction)',
  );
}

function traceMessage(host: ShardHost, shard: ShardId, question: TraceQuestion, done: Done): void {
  const { index, position } = question;
  host.readEntry(shard, index, (error, entry) => {
    if (error !== undefined && !isGone(error)) {
      const text = `entry ${index} of shard ${shard}: ${error.message}`;
      done(new CallError('DATA_DAMAGED', text), undefined);
      return;
    }
    const command = entry === undefined ? undefined : storedBy(entry);
    if (command !== undefined && position < command.count) {
      const known = factsOf(host, shard, entry!, command);
      place(host, shard, question, known, (found) => done(undefined, encodeJson(found)));
      return;
    }
    const moved = movedFacts(host, shard, question);
    if (moved !== undefined) done(undefined, encodeJson(moved));
    else copiedFacts(host, shard, question, done);
  });
}

/** The log begins behind it. */
function isGone(error: Error): boolean {
  return 'code' in error && error.code === 'COMPACTED';
}

/** Of a message that its queue still shows. */
function copiedFacts(host: ShardHost, shard: ShardId, question: TraceQuestion, done: Done): void {
  findByFirstWrite(host, shard, question, (shown) => {
    if (shown === undefined) {
      done(messageNotFound(), undefined);
      return;
    }
    const facts = queueFacts(host, shard, shown.queueId, question.index);
    const known = { ...facts, term: 0, storedAtMs: shown.atMs, kind: 'plain' as const, shown };
    done(undefined, encodeJson(withDeliveries(host, shard, known)));
  });
}

/** Where it stands, and who was given it. */
function place(
  host: ShardHost,
  shard: ShardId,
  { index, position }: TraceQuestion,
  known: Known,
  done: (found: TracedMessage) => void,
): void {
  const { queueId, deliverAtMs = 0, kind, storedAtMs } = known;
  if (kind === 'delayed' && host.data(shard).delayed(index) !== undefined) {
    done(known);
    return;
  }
  const held = heldPlace(host, shard, index, position);
  if (held !== undefined) {
    done(withDeliveries(host, shard, { ...known, shown: held }));
    return;
  }
  const fromMs = Math.max(storedAtMs, deliverAtMs);
  findInQueue(host, { shard, queueId, index, position, fromMs }, (shown) => {
    done(shown === undefined ? known : withDeliveries(host, shard, { ...known, shown }));
  });
}

function withDeliveries(host: ShardHost, shard: ShardId, known: Known): TracedMessage {
  const deliveries = deliveriesOf(host, shard, known.queueId, known.shown!.offset);
  return { ...known, deliveries };
}

type Stored = Extract<Command, { readonly type: 'produce' | 'prepare' | 'preparePart' }>;

function storedBy(entry: Entry): Stored | undefined {
  if (entry.head.length === 0) return undefined;
  const command = decodeCommand(entry.head);
  const { type } = command;
  return type === 'produce' || type === 'prepare' || type === 'preparePart' ? command : undefined;
}

function factsOf(host: ShardHost, shard: ShardId, entry: Entry, command: Stored): Known {
  const { index, term, timeMs: storedAtMs } = entry;
  const known = { ...queueFacts(host, shard, command.queueId, index), term, storedAtMs };
  if (command.type === 'prepare') {
    return { ...known, kind: 'half', transaction: { shard, term, index } };
  }
  if (command.type === 'preparePart') {
    return { ...known, kind: 'half', transaction: command.transaction };
  }
  const { deliverAtMs } = command;
  return deliverAtMs === undefined
    ? { ...known, kind: 'plain' }
    : { ...known, kind: 'delayed', deliverAtMs };
}

/** The entry is gone, but its bytes were appended again for who needs them. */
function movedFacts(
  host: ShardHost,
  shard: ShardId,
  { index, position }: TraceQuestion,
): TracedMessage | undefined {
  const delayed = host.data(shard).delayed(index);
  if (delayed !== undefined && position < delayed.count) {
    const { dueAtMs, id, queueId } = delayed;
    const known = { ...queueFacts(host, shard, queueId, index), term: id.term, storedAtMs: 0 };
    return { ...known, kind: 'delayed', deliverAtMs: dueAtMs };
  }
  const half =
    undecidedHalf(host, shard, { index, position }) ?? knownPart(host, shard, { index, position });
  if (half !== undefined) return half;
  const held = heldPlace(host, shard, index, position);
  if (held === undefined) return undefined;
  const { atMs, queueId } = held;
  const known = { ...queueFacts(host, shard, queueId, index), term: 0, storedAtMs: atMs };
  return withDeliveries(host, shard, { ...known, kind: 'plain', shown: held });
}

/** Of a transaction that this shard coordinates alone. */
function undecidedHalf(
  host: ShardHost,
  shard: ShardId,
  { index, position }: TraceQuestion,
): TracedMessage | undefined {
  for (const { id, parts, preparedAtMs } of host.data(shard).openTransactions(index - 1)) {
    const [part] = parts;
    const isIt = id.index === index && part?.at.index === index && position < part.count;
    if (!isIt) return undefined;
    const { term } = id;
    const known = { ...queueFacts(host, shard, part.queueId, index), term };
    const transaction = { shard, term, index };
    return { ...known, storedAtMs: preparedAtMs, kind: 'half', transaction };
  }
  return undefined;
}

/** Of a transaction over several queues: while it has no outcome, and for some time after. */
function knownPart(
  host: ShardHost,
  shard: ShardId,
  { index, position }: TraceQuestion,
): TracedMessage | undefined {
  const part = host.data(shard).part(index);
  if (part === undefined || position >= part.count) return undefined;
  const { id, preparedAtMs: storedAtMs, queueId, shown, transaction } = part;
  const facts = { ...queueFacts(host, shard, queueId, index), term: id.term, storedAtMs };
  const known = { ...facts, kind: 'half', transaction } as const;
  if (shown === undefined) return known;
  const { atMs, baseOffset } = shown;
  return withDeliveries(host, shard, { ...known, shown: { offset: baseOffset + position, atMs } });
}

function queueFacts(host: ShardHost, shard: ShardId, queueId: QueueId, index: LogIndex) {
  const { topicId = '', queue = 0 } = host.data(shard).queue(queueId) ?? {};
  const status = host.status().find((one) => one.shard === shard);
  const replicas = status?.replicas.filter(({ matchIndex }) => matchIndex >= index) ?? [];
  return { queueId, topicId, queue, replicas: replicas.length };
}

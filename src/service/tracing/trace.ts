/** Trace: the life of one message, in order, put together from the shards that know of it. */
import type { GlobalTransactionId } from '../../broker/transaction-commands.ts';
import { parseMessageId, transactionIdText } from '../../convert.ts';
import { DEMANDS } from '../../security/permissions.ts';
import { CallError } from '../../status.ts';
import type { Call } from '../call.ts';
import { ask } from '../cold.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import { byKey, type FoundByKey } from './by-key.ts';
import type { GroupDelivery } from './deliveries.ts';
import { messageNotFound, type TracedMessage } from './message.ts';
import type { GroupPlace, TracedTransaction, TraceMethods } from './methods.ts';

export interface TraceRequest {
  readonly message_id: string;
  readonly topic: string;
  readonly dedup_key: string;
  readonly key: string;
}

interface TraceEvent {
  readonly what: string;
  /** 0 = not known. */
  readonly at_ms: number;
  readonly facts: Readonly<Record<string, string>>;
}

export type TraceParts = Pick<ExecutorParts, 'host' | 'router' | 'topics'> & {
  readonly traceMethods: TraceMethods;
};

export async function trace(parts: TraceParts, call: Call, request: TraceRequest): Promise<object> {
  checkRequest(request);
  if (request.topic !== '') call.demand(DEMANDS.readTopic, request.topic);
  if (request.message_id !== '') return lifeOf(parts, call, request.message_id);
  const found: FoundByKey = await byKey(parts, call, request);
  const life = await lifeOf(parts, call, found.matches[0]!.message_id);
  return { ...life, ...found };
}

function checkRequest({ dedup_key: dedupKey, key, message_id: id, topic }: TraceRequest): void {
  const given = [id, dedupKey, key].filter((text) => text !== '');
  if (given.length !== 1) {
    throw new CallError('INVALID_REQUEST', 'give one of message_id, dedup_key and key');
  }
  if (id === '' || topic === '') return;
  throw new CallError('INVALID_REQUEST', 'a message_id names its topic: leave `topic` out');
}

async function lifeOf(parts: TraceParts, call: Call, text: string): Promise<object> {
  const { host, router, traceMethods } = parts;
  const { shard, index, position } = parseMessageId('message_id', text);
  if (shard === 0 || !host.shards().includes(shard)) throw messageNotFound();
  const question = { index, position };
  const found = await ask<TracedMessage>(router, call, traceMethods.message, shard, question);
  const { deliveries = [], queue, shown, topicId } = found;
  const topic = host.meta().topicById(topicId)?.name ?? '';
  if (!call.may(DEMANDS.readTopic, topic)) throw messageNotFound();
  const places = shown === undefined ? [] : await committed(parts, call, { topicId, queue });
  const isShown = ({ group }: { readonly group: string }) => call.may(DEMANDS.readGroup, group);
  return {
    message_id: text,
    topic,
    ...{ topic_id: topicId, queue },
    events: [
      ...(await stored(parts, call, found, { shard, log_index: index })),
      ...places.filter(isShown).map((place) => readBy(place, shown!.offset)),
      ...deliveries.filter(isShown).map(delivery),
    ],
  };
}

async function committed(
  { host, router, traceMethods }: TraceParts,
  call: Call,
  where: { readonly topicId: string; readonly queue: number },
): Promise<GroupPlace[]> {
  const shards = host.shards().filter((one) => one !== 0);
  const lists = await Promise.all(
    shards.map((one) => ask<GroupPlace[]>(router, call, traceMethods.places, one, where)),
  );
  return lists.flat().sort((a, b) => (a.group < b.group ? -1 : 1));
}

async function stored(
  parts: TraceParts,
  call: Call,
  found: TracedMessage,
  where: { readonly shard: number; readonly log_index: number },
): Promise<TraceEvent[]> {
  const { term, storedAtMs, replicas, kind, deliverAtMs = 0, transaction, shown } = found;
  const known = term === 0 ? {} : { term };
  const events = [event('STORED', storedAtMs, { ...where, ...known, replicas, kind })];
  if (transaction !== undefined) {
    events.push(await half(parts, call, transaction, shown !== undefined));
  }
  if (kind === 'delayed') events.push(event('DELAYED_UNTIL', deliverAtMs, {}));
  if (shown !== undefined) events.push(event('VISIBLE', shown.atMs, { offset: shown.offset }));
  else if (kind === 'plain') events.push(event('NOT_IN_ITS_QUEUE', 0, {}));
  return events;
}

/** As its coordinator says; what it has forgotten and is seen was committed. */
async function half(
  { router, traceMethods }: TraceParts,
  call: Call,
  id: GlobalTransactionId,
  isShown: boolean,
): Promise<TraceEvent> {
  const { shard, index, term } = id;
  const method = traceMethods.transaction;
  const found = await ask<TracedTransaction | null>(router, call, method, shard, { index, term });
  const transaction = transactionIdText(id);
  if (found === null) {
    return event('HALF_MESSAGE', 0, { state: isShown ? 'committed' : 'forgotten', transaction });
  }
  const { checkCount, maxChecks, producerGroup, state } = found;
  return event('HALF_MESSAGE', 0, {
    state: state === 'rolledBack' ? 'rolled back' : state,
    ...{ transaction, producer_group: producerGroup, checks: `${checkCount} of ${maxChecks}` },
  });
}

function readBy({ group, offset, owner }: GroupPlace, shownAt: number): TraceEvent {
  const what = offset > shownAt ? 'COMMITTED_BY_GROUP' : 'NOT_COMMITTED_BY_GROUP';
  return event(what, 0, { group, committed: offset, ...(owner === '' ? {} : { owner }) });
}

function delivery({ atMs, facts, group, what }: GroupDelivery): TraceEvent {
  return event(what, atMs, { group, ...facts });
}

function event(
  what: string,
  atMs: number,
  facts: Readonly<Record<string, string | number>>,
): TraceEvent {
  const texts = Object.entries(facts).map(([name, value]) => [name, String(value)] as const);
  return { what, at_ms: atMs, facts: Object.fromEntries(texts) };
}

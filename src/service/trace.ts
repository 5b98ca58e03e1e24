/** Trace: the life of one message, in order, put together from the shards that know of it. */
import { parseMessageId } from '../convert.ts';
import type { Call } from './call.ts';
import { ask } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import {
  type createTraceMethods,
  type GroupPlace,
  messageNotFound,
  type TracedMessage,
} from './trace-methods.ts';

interface TraceEvent {
  readonly what: string;
  /** 0 = not known. */
  readonly at_ms: number;
  readonly facts: Readonly<Record<string, string>>;
}

type Parts = Pick<ExecutorParts, 'host' | 'router'> & {
  readonly traceMethods: ReturnType<typeof createTraceMethods>;
};

export async function trace(
  { host, router, traceMethods }: Parts,
  call: Call,
  { message_id: text }: { readonly message_id: string },
): Promise<object> {
  const { shard, index, position } = parseMessageId('message_id', text);
  if (shard === 0 || !host.shards().includes(shard)) throw messageNotFound();
  const question = { index, position };
  const found = await ask<TracedMessage>(router, call, traceMethods.message, shard, question);
  const { topicId, queue } = found;
  const places = found.shown === undefined ? [] : await committed();
  return {
    message_id: text,
    topic: host.meta().topicById(topicId)?.name ?? '',
    ...{ topic_id: topicId, queue },
    events: [...lifeOf(found, shard, index), ...places.map((place) => readBy(place, found))],
  };

  async function committed(): Promise<GroupPlace[]> {
    const shards = host.shards().filter((one) => one !== 0);
    const lists = await Promise.all(
      shards.map((one) =>
        ask<GroupPlace[]>(router, call, traceMethods.places, one, { topicId, queue }),
      ),
    );
    return lists.flat().sort((a, b) => (a.group < b.group ? -1 : 1));
  }
}

function lifeOf(found: TracedMessage, shard: number, index: number): TraceEvent[] {
  const { term, storedAtMs, replicas, kind, deliverAtMs = 0, transaction, shown } = found;
  const where = { shard, log_index: index, term, replicas };
  const events = [event('STORED', storedAtMs, { ...where, kind })];
  if (transaction !== undefined) events.push(event('HALF_MESSAGE', 0, { state: transaction }));
  if (kind === 'delayed') events.push(event('DELAYED_UNTIL', deliverAtMs, {}));
  if (shown !== undefined) events.push(event('VISIBLE', shown.atMs, { offset: shown.offset }));
  else if (kind === 'plain') events.push(event('NOT_IN_ITS_QUEUE', 0, {}));
  return events;
}

function readBy({ group, offset, owner }: GroupPlace, { shown }: TracedMessage): TraceEvent {
  const what = offset > shown!.offset ? 'COMMITTED_BY_GROUP' : 'NOT_COMMITTED_BY_GROUP';
  return event(what, 0, { group, committed: offset, ...(owner === '' ? {} : { owner }) });
}

function event(
  what: string,
  atMs: number,
  facts: Readonly<Record<string, string | number>>,
): TraceEvent {
  const texts = Object.entries(facts).map(([name, value]) => [name, String(value)] as const);
  return { what, at_ms: atMs, facts: Object.fromEntries(texts) };
}

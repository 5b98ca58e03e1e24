/** Half messages for several queues, and the line that every attempt to store them leaves. */
import type { MovedOffset, PreparedPart } from '../history.ts';
import { attemptOf, type Load } from './load.ts';
import type { Request, Response } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { keyedMessageOf, messageOf } from './payload.ts';
import { topicName } from './work-topic.ts';

export interface Transaction {
  readonly id: string;
  /** Of producers: who may end it, and will be asked. */
  readonly group: string;
  /** The first one is of the topic of the run. */
  readonly parts: readonly [PreparedPart, ...PreparedPart[]];
  readonly moves?: readonly MovedOffset[];
}

export function prepareRequest(
  load: Load,
  { id, group, parts, moves = [] }: Transaction,
): Request<'Transactions.Prepare'> {
  return {
    producer_group: group,
    transaction_id: id,
    parts: parts.map((part) => ({
      ...{ topic: topicName(part), queue: part.queue },
      messages: part.values.map((value) => {
        return part.key === undefined ? messageOf(value) : keyedMessageOf(value, part.key);
      }),
    })),
    offsets: moves.map(({ group: mover, queue, from, offset }) => ({
      ...{ group: mover, topic: load.work.name, topic_id: load.work.id },
      offsets: [{ queue, ...(from === undefined ? {} : { from }), offset }],
    })),
  };
}

export function recordPrepare(
  load: Load,
  process: string,
  { id, parts, moves }: Transaction,
  answer: Answer<Response<'Transactions.Prepare'>>,
): void {
  const [first, ...others] = parts;
  load.record({
    type: 'prepare',
    ...attemptOf(process, answer),
    ...{ transaction: id, ...first },
    ...(others.length === 0 ? {} : { others }),
    ...(moves === undefined ? {} : { moves }),
  });
}

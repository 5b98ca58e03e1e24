/** The End of a transaction, and the line that every attempt at it leaves. */
import type { Decision } from '../history.ts';
import type { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Request, Response } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { placeOf } from './work-topic.ts';

/** What an End has to name: the first part finds it, which is of the topic of the run. */
export interface Prepared {
  readonly id: string;
  readonly queue: number;
  readonly group: string;
}

/** Whoever decides: its producer group, or an operator. */
export interface Ending extends Prepared {
  readonly decision: Decision;
  /** As nodes name the transaction, for an operator. */
  readonly operatorId?: string;
}

/** Repeated until the outcome is known. */
export async function endTransaction(
  load: Load,
  client: Client,
  process: string,
  ending: Ending,
): Promise<Answer<Response<'Transactions.End'>>> {
  const { id, queue, decision } = ending;
  load.steps.pass('ending', queue);
  const answer = await client.settle('Transactions.End', requestOf(ending), (attempt) => {
    if (attempt.outcome === 'ok') load.steps.pass('ended', queue);
    load.record({
      type: 'end',
      ...attemptOf(process, attempt),
      ...{ transaction: id, queue, decision },
      ...stateIn(attempt),
      ...placesIn(load, attempt, queue),
    });
  });
  if (answer.outcome !== 'ok' && answer.reason !== 'TRANSACTION_ENDED') {
    load.trouble(process, `${decision} of ${id}: ${answer.text}`);
  }
  return answer;
}

function requestOf({
  id,
  queue,
  group,
  decision,
  operatorId,
}: Ending): Request<'Transactions.End'> {
  const wanted = decision === 'commit' ? 'COMMIT' : 'ROLLBACK';
  if (operatorId === undefined) {
    const which = { producer_group: group, transaction_id: id };
    return { ...which, decision: wanted, topic: TOPIC, queue };
  }
  return { producer_group: '', transaction_id: operatorId, decision: wanted, operator: true };
}

/** Where the messages are: of the first part, and of the others. */
function placesIn(load: Load, answer: Answer<Response<'Transactions.End'>>, first: number) {
  if (answer.outcome !== 'ok') return {};
  const places = answer.value.parts.map(({ topic, queue, base_offset: baseOffset }) => {
    return { ...placeOf(load, topic, queue), baseOffset };
  });
  const others = places.filter(({ topic, queue }) => topic !== undefined || queue !== first);
  const base = places.find((place) => !others.includes(place))?.baseOffset;
  return {
    ...(base === undefined ? {} : { baseOffset: base }),
    ...(others.length === 0 ? {} : { others }),
  };
}

const STATES = ['UNDECIDED', 'COMMITTED', 'ROLLED_BACK'] as const;

/** In an answer or in a refusal. */
function stateIn(answer: Answer<Response<'Transactions.End'>>) {
  const text = answer.outcome === 'ok' ? answer.value.state : answer.transactionState;
  const state = STATES.find((one) => one === text);
  return state === undefined ? {} : { state };
}

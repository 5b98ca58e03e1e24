/** What operators ask about half messages: List and Resume. */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, TransactionId } from '../broker/commands.ts';
import {
  checkedNumber,
  MAX_INT32,
  messageIdText,
  parseTransactionId,
  transactionIdText,
} from '../convert.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { ListedTransaction, Proposed, TransactionsQuestion } from './internal-methods.ts';
import { appliedError } from './produce.ts';
import { transactionNotFound } from './refusals.ts';
import { checkedState, STATES } from './transaction-states.ts';

export const LIST_PATH = '/holdfast.v1.Transactions/List';
export const RESUME_PATH = '/holdfast.v1.Transactions/Resume';

type Parts = Pick<ExecutorParts, 'host' | 'router' | 'methods' | 'config'>;

export interface ListRequest {
  readonly state: number;
  readonly producer_group: string;
  readonly topic: string;
  readonly page_size: number;
  readonly page_token: string;
}

/** Where a page begins: behind this transaction. */
interface Position {
  readonly shard: number;
  readonly afterIndex: number;
}

export async function listTransactions(
  parts: Parts,
  call: Call,
  request: ListRequest,
): Promise<object> {
  const { host, router, methods, config } = parts;
  const { maxPageSize, defaultPageSize } = config;
  const size = checkedNumber('page_size', request.page_size, maxPageSize) || defaultPageSize;
  const { producer_group: producerGroup, topic } = request;
  const what = { state: checkedState(request.state), producerGroup, topic };
  const from = readToken(request.page_token);
  const found: (readonly [shard: number, transaction: ListedTransaction])[] = [];
  for (const shard of host.shards()) {
    if (shard === 0 || shard < from.shard || found.length > size) continue;
    const afterIndex = shard === from.shard ? from.afterIndex : 0;
    // One more than fits tells whether there is another page.
    const question: TransactionsQuestion = { ...what, afterIndex, limit: size + 1 - found.length };
    const { transactions } = methods;
    const own = await ask<ListedTransaction[]>(router, call, transactions, shard, question);
    for (const transaction of own) found.push([shard, transaction]);
  }
  const page = found.slice(0, size);
  const [shard = 0, last] = page.at(-1) ?? [];
  const isShown = ([, one]: (typeof found)[number]) => mayBeSeen(call, one);
  const isMore = found.length > size && last !== undefined;
  return {
    transactions: page
      .filter(isShown)
      .map(([at, transaction]) => transactionFields(at, transaction)),
    next_page_token: isMore ? `${shard}.${last.id.index}` : '',
  };
}

/** By whoever has to do with its producer group, and with each topic that it writes to. */
function mayBeSeen(call: Call, { parts, producerGroup }: ListedTransaction): boolean {
  if (!call.may(DEMANDS.seeProducers, producerGroup)) return false;
  return parts.every(({ topic }) => call.may(DEMANDS.seeTopic, topic));
}

export async function resumeTransaction(
  parts: Parts,
  call: Call,
  request: { readonly transaction_id: string },
): Promise<object> {
  const { shard, id } = ownTransaction(parts, request.transaction_id);
  const command = encodeCommand({ type: 'resume', transaction: id });
  const { router, methods } = parts;
  const { result } = await ask<Proposed>(router, call, methods.propose, shard, command);
  const outcome = result as ApplyResult;
  if (outcome.type !== 'resumed') throw appliedError(outcome);
  return {};
}

/** An id as Prepare and List answer it; where it lives. */
export function ownTransaction(
  { host }: Pick<Parts, 'host'>,
  text: string,
): { readonly shard: number; readonly id: TransactionId } {
  const name = parseTransactionId(text);
  if (name === undefined) {
    throw new CallError(
      'INVALID_REQUEST',
      `transaction_id ${JSON.stringify(text.slice(0, 64))} is not an id that Prepare or List ` +
        'answered: those begin with hf.',
    );
  }
  const { shard, term, index } = name;
  if (shard === 0 || !host.shards().includes(shard)) throw transactionNotFound();
  return { shard, id: { term, index } };
}

const TOKEN = /^([0-9]{1,9})\.([0-9]{1,15})$/;

function readToken(text: string): Position {
  if (text === '') return { shard: 0, afterIndex: 0 };
  const match = TOKEN.exec(text);
  if (match === null) {
    throw new CallError('INVALID_REQUEST', 'page_token is not one that List answered');
  }
  const shard = checkedNumber('page_token', Number(match[1]), MAX_INT32);
  return { shard, afterIndex: Number(match[2]) };
}

function transactionFields(shard: number, transaction: ListedTransaction): object {
  const { id, callerId, producerGroup, state, preparedAtMs, ageMs } = transaction;
  return {
    transaction_id: transactionIdText({ shard, ...id }),
    caller_transaction_id: callerId,
    producer_group: producerGroup,
    state: STATES[state],
    prepared_at_ms: preparedAtMs,
    age_ms: ageMs,
    check_count: transaction.checkCount,
    max_checks: transaction.maxChecks,
    next_check_at_ms: state === 'parked' ? 0 : transaction.dueAtMs,
    parts: transaction.parts.map(({ topic, queue, count, shard: at, index }) => ({
      topic,
      queue,
      count,
      first_message_id: index === 0 ? '' : messageIdText(at, index, 0),
    })),
    offsets_group: transaction.offsetsGroup,
  };
}

/** What nodes list as not ended, page by page. */
import type { Client } from './client.ts';
import { attemptOf, type Load } from './load.ts';
import type { OpenTransaction, Response } from './methods.ts';
import type { Answer } from './node-stub.ts';

const PAGE_SIZE = 500;
/** Of refusals in a row. */
const FAILURES_MAX = 20;

type Page = Answer<Response<'Transactions.List'>>;

export async function listPage(client: Client, token: string, state?: 'PARKED'): Promise<Page> {
  return client.attempt('Transactions.List', {
    ...(state === undefined ? {} : { state }),
    ...{ page_size: PAGE_SIZE, page_token: token },
  });
}

/** After the run: all of them, in one line. */
export async function listOpen(load: Load, client: Client): Promise<void> {
  const all: OpenTransaction[] = [];
  let token = '';
  let failures = 0;
  for (;;) {
    const page = await listPage(client, token);
    if (page.outcome !== 'ok') {
      if (++failures < FAILURES_MAX && page.retryable) {
        await client.pauseAfter(page);
        continue;
      }
      load.trouble('final', `open transactions cannot be listed: ${page.text}`);
      return;
    }
    all.push(...page.value.transactions);
    token = page.value.next_page_token;
    if (token !== '') continue;
    const transactions = all.map(({ caller_transaction_id: transaction, state }) => {
      return { transaction, state };
    });
    load.record({ type: 'open', ...attemptOf('final', page), transactions });
    return;
  }
}

/** What nodes list as not ended, page by page. */
import type { Client } from './client.ts';
import { attemptOf, type Load } from './load.ts';
import type { OpenTransaction, Response } from './methods.ts';
import type { Answer, Refusal } from './node-stub.ts';

const PAGE_SIZE = 500;
/** Of refusals in a row. */
const FAILURES_MAX = 20;

type Page = Answer<Response<'Transactions.List'>>;
/** All of them, with the answer that brought the last ones. */
type Listed = Extract<Page, { outcome: 'ok' }> & { readonly all: readonly OpenTransaction[] };

export async function listPage(client: Client, token: string, state?: 'PARKED'): Promise<Page> {
  return client.attempt('Transactions.List', {
    ...(state === undefined ? {} : { state }),
    ...{ page_size: PAGE_SIZE, page_token: token },
  });
}

export async function listAll(client: Client): Promise<Listed | Refusal> {
  const all: OpenTransaction[] = [];
  let token = '';
  let failures = 0;
  for (;;) {
    const page = await listPage(client, token);
    if (page.outcome !== 'ok') {
      if (++failures >= FAILURES_MAX || !page.retryable) return page;
      await client.pauseAfter(page);
      continue;
    }
    all.push(...page.value.transactions);
    token = page.value.next_page_token;
    if (token === '') return { ...page, all };
  }
}

/** After the run, in one line. */
export async function recordOpen(load: Load, client: Client, afterChecks: boolean): Promise<void> {
  const listed = await listAll(client);
  if (listed.outcome !== 'ok') {
    load.trouble('final', `open transactions cannot be listed: ${listed.text}`);
    return;
  }
  const transactions = listed.all.map(({ caller_transaction_id: transaction, state }) => {
    return { transaction, state };
  });
  const checked = afterChecks ? ({ afterChecks } as const) : {};
  load.record({ type: 'open', ...attemptOf('final', listed), transactions, ...checked });
}

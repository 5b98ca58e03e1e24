/** `holdfast quota`: how much principals may ask for. */
import type { Command } from 'commander';
import type { Quota } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';
import { wholeNumber } from './options.ts';

interface QuotaOptions extends ClientOptions {
  readonly produce?: number;
  readonly fetch?: number;
  readonly requests?: number;
  readonly topics?: number;
  readonly transactions?: number;
}

const WHO = 'the name in its token or certificate; * = each that has no quota of its own';
const MOST = 999_999_999_999_999;

export function registerQuota(program: Command): void {
  const quota = program.command('quota').description('say how much principals may ask for');
  addClientOptions(quota.command('set').description('put a quota in the place of the one it had'))
    .argument('<PRINCIPAL>', WHO)
    .option('--produce <BYTES>', 'produced per second, on each node', wholeNumber(1, MOST))
    .option('--fetch <BYTES>', 'fetched per second, on each node', wholeNumber(1, MOST))
    .option('--requests <N>', 'requests per second, on each node', wholeNumber(1, MOST))
    .option('--topics <N>', 'topics that it created', wholeNumber(0, MOST))
    .option('--transactions <N>', 'open transactions, in each shard', wholeNumber(0, MOST))
    .action(setQuota);
  addClientOptions(quota.command('remove').description('let the quota of * hold again, if any'))
    .argument('<PRINCIPAL>', WHO)
    .action(removeQuota);
  addClientOptions(quota.command('list').description('all quotas')).action(listQuotas);
}

async function setQuota(principal: string, options: QuotaOptions): Promise<void> {
  const { fetch, produce, requests, topics, transactions } = options;
  const quota: Quota = {
    ...{ principal, producedBytesPerSecond: produce, fetchedBytesPerSecond: fetch },
    ...{ requestsPerSecond: requests, topics, openTransactions: transactions },
  };
  if (Object.values(quota).every((value) => value === principal || value === undefined)) {
    throw new Failure('give at least one limit: see holdfast quota set --help', ExitCode.usage);
  }
  await withClient(options, async (client) => {
    await client.quotas.set(quota);
    if (options.json === true) printJson(quota);
    else void print(`${principal} has a quota\n`);
  });
}

async function removeQuota(principal: string, options: ClientOptions): Promise<void> {
  await withClient(options, async (client) => {
    await client.quotas.remove(principal);
    if (options.json === true) printJson({ principal });
    else void print(`${principal} has no quota of its own\n`);
  });
}

async function listQuotas(options: ClientOptions): Promise<void> {
  await withClient(options, async (client) => {
    const quotas = await client.quotas.list();
    if (options.json === true) {
      printJson(quotas);
      return;
    }
    const head = ['PRINCIPAL', 'PRODUCE B/S', 'FETCH B/S', 'REQUESTS/S', 'TOPICS', 'TRANSACTIONS'];
    printTable(head, quotas.map(rowOf));
  });
}

function rowOf(quota: Quota): string[] {
  const limits = [
    ...[quota.producedBytesPerSecond, quota.fetchedBytesPerSecond, quota.requestsPerSecond],
    ...[quota.topics, quota.openTransactions],
  ];
  return [quota.principal, ...limits.map((limit) => (limit === undefined ? '-' : String(limit)))];
}

/** `holdfast ack`, `nack`, `extend`: what to do with messages that `receive --hold` leased. */
import type { Command } from 'commander';
import type { Deliveries, SettleResult, SettleStatus, SubscriptionName } from '../client/index.ts';
import { ExitCode } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  durationOption,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';

interface SettleOptions extends ClientOptions {
  readonly group: string;
}

type Settle = (deliveries: Deliveries, name: SubscriptionName) => Promise<SettleResult[]>;

/** For what nothing is left to do; any other status makes the exit code 1. */
const FINE: readonly SettleStatus[] = ['SETTLED', 'DECIDED'];

function settleCommand(program: Command, name: string, text: string): Command {
  const command = program.command(`${name} <TOPIC> <TOKEN...>`).description(text);
  return addClientOptions(command.requiredOption('-g, --group <NAME>', 'the group'));
}

export function registerAck(program: Command): void {
  settleCommand(program, 'ack', 'done with leased messages, by their tokens').action(
    (topic: string, tokens: string[], options: SettleOptions) =>
      settle(topic, options, (deliveries, name) => deliveries.ack(name, tokens)),
  );
}

export function registerNack(program: Command): void {
  const text = 'give leased messages back: each comes again, or is a dead letter after 16 attempts';
  settleCommand(program, 'nack', text)
    .option('--delay <TIME>', 'when, at most 12h (default: 10s, 30s, 1m, … by its attempt)', delay)
    .action((topic: string, tokens: string[], options: SettleOptions & { delay?: number }) => {
      const nacks = tokens.map((token) => ({ token, delayMs: options.delay }));
      return settle(topic, options, (deliveries, name) => deliveries.nack(name, nacks));
    });
}

export function registerExtend(program: Command): void {
  settleCommand(program, 'extend', 'keep leased messages longer, under the same tokens')
    .requiredOption('--lease <TIME>', 'how long from now, 1s to 12h', durationOption)
    .action((topic: string, tokens: string[], options: SettleOptions & { lease: number }) =>
      settle(topic, options, (deliveries, name) => deliveries.extend(name, tokens, options.lease)),
    );
}

function delay(text: string): number {
  return text === '0' ? 0 : durationOption(text);
}

async function settle(topic: string, options: SettleOptions, call: Settle): Promise<void> {
  await withClient(options, async ({ deliveries }) => {
    const results = await call(deliveries, { group: options.group, topic });
    if (results.some(({ status }) => !FINE.includes(status))) process.exitCode = ExitCode.failed;
    if (options.json === true) printJson(results.map(resultJson));
    else {
      const rows = results.map(({ token, status, deadLetter, dueAtMs, reason }) => [
        ...[token, deadLetter ? `${status}, a dead letter now` : status],
        dueAtMs === undefined ? reason : new Date(dueAtMs).toISOString(),
      ]);
      printTable(['TOKEN', 'STATUS', 'DUE'], rows);
    }
  });
}

function resultJson({ token, status, dueAtMs, deadLetter, reason }: SettleResult): object {
  return { token, status, due_at_ms: dueAtMs ?? null, dead_letter: deadLetter, reason };
}

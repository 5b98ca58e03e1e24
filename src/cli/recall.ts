/** `holdfast recall`: takes delayed messages back. */
import type { Command } from 'commander';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  withClient,
} from './client-options.ts';

export function registerRecall(program: Command): void {
  const recall = program
    .command('recall <MESSAGE_ID>')
    .description('take delayed messages back: all that were sent under this first message id');
  addClientOptions(recall).action(recallMessages);
}

async function recallMessages(messageId: string, options: ClientOptions): Promise<void> {
  await withClient(options, async (client) => {
    const count = await client.recall(messageId);
    if (options.json === true) printJson({ count });
    else void print(`${count === 1 ? '1 message' : `${count} messages`} taken back\n`);
  });
}

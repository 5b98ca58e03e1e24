/** `holdfast dlq`: what a group could not digest. */
import type { Command } from 'commander';
import type { DeadLetter, DeadLetters, ReadDeadLetter, WhichDeadLetters } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';
import { jsonLine, messageJson, rawLine } from './message-lines.ts';

interface DlqOptions extends ClientOptions {
  readonly topic?: string;
}

interface SettleOptions extends DlqOptions {
  readonly all?: boolean;
}

export function registerDlq(program: Command): void {
  const dlq = program
    .command('dlq')
    .description('list, read, resend, purge the dead letters of a group');
  const named = (words: string, text: string) =>
    addClientOptions(
      dlq.command(words).description(text).option('-t, --topic <TOPIC>', 'only of this topic'),
    );
  named('list <GROUP>', 'what is there, and how it came to that').action(list);
  named('read <GROUP>', 'print the messages; they stay').action(read);
  named('resend <GROUP> [MESSAGE_ID...]', 'give them to the group again, with 16 new attempts')
    .option('--all', 'all of them, or all of --topic')
    .action(resend);
  named('purge <GROUP> [MESSAGE_ID...]', 'drop them, for good')
    .option('--all', 'all of them, or all of --topic')
    .action(purge);
}

async function list(group: string, options: DlqOptions): Promise<void> {
  await withClient(options, async ({ deadLetters }) => {
    const found: DeadLetter[] = [];
    for await (const one of deadLetters.list(group, options.topic)) found.push(one);
    if (options.json === true) printJson(found.map(letterJson));
    else {
      const heads = [
        'MESSAGE',
        'TOPIC',
        'QUEUE',
        'OFFSET',
        'ATTEMPTS',
        'CAUSE',
        'DIED',
        'CONSUMER',
      ];
      printTable(heads, found.map(letterRow));
    }
  });
}

function letterRow(letter: DeadLetter): readonly unknown[] {
  const { messageId, topic, queue, offset, attempts, cause, diedAtMs, consumer } = letter;
  const died = new Date(diedAtMs).toISOString();
  return [messageId, topic, queue, offset, attempts, cause.toLowerCase(), died, consumer];
}

function letterJson(letter: DeadLetter) {
  return {
    message_id: letter.messageId,
    topic: letter.topic,
    queue: letter.queue,
    offset: letter.offset,
    attempts: letter.attempts,
    cause: letter.cause,
    died_at_ms: letter.diedAtMs,
    stored_at_ms: letter.storedAtMs,
    consumer: letter.consumer,
  };
}

/** One that can not be read now is left out, and the exit code is 1. */
async function read(group: string, options: DlqOptions): Promise<void> {
  await withClient(options, async ({ deadLetters }) => {
    const unreadable: string[] = [];
    for await (const letter of deadLetters.read(group, options.topic)) {
      if (letter.message === undefined) unreadable.push(letter.messageId);
      else await print(Buffer.concat(letterLine(letter, letter.message, options)));
    }
    if (unreadable.length === 0) return;
    const what = `${unreadable.length} dead letters cannot be read now, and are not lost`;
    throw new Failure(`${what} (${unreadable[0]}): try again`);
  });
}

function letterLine(
  letter: ReadDeadLetter,
  message: NonNullable<ReadDeadLetter['message']>,
  options: DlqOptions,
): Buffer[] {
  if (options.json !== true) return rawLine(message);
  return jsonLine({ ...letterJson(letter), ...messageJson(message) });
}

async function resend(group: string, ids: string[], options: SettleOptions): Promise<void> {
  await settle('sent again', options, (deadLetters) =>
    deadLetters.resend(group, which(ids, options)),
  );
}

async function purge(group: string, ids: string[], options: SettleOptions): Promise<void> {
  await settle('dropped', options, (deadLetters) => deadLetters.purge(group, which(ids, options)));
}

function which(messageIds: readonly string[], { all, topic }: SettleOptions): WhichDeadLetters {
  if ((all === true) === messageIds.length > 0) {
    throw new Failure('name message ids, or give --all: one of the two', ExitCode.usage);
  }
  if (all === true) return { all, topic };
  if (topic === undefined) return { messageIds };
  throw new Failure('message ids name their topic: leave --topic out', ExitCode.usage);
}

async function settle(
  what: string,
  options: ClientOptions,
  call: (deadLetters: DeadLetters) => Promise<number>,
): Promise<void> {
  await withClient(options, async ({ deadLetters }) => {
    const count = await call(deadLetters);
    if (options.json === true) printJson({ count });
    else void print(`${count === 1 ? '1 dead letter' : `${count} dead letters`} ${what}\n`);
  });
}

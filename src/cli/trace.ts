/** `holdfast trace`: what became of one message. */
import type { Command } from 'commander';
import type { MessageTrace, TraceTarget } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';

interface TraceOptions extends ClientOptions {
  readonly topic?: string;
  readonly key?: string;
  readonly dedupKey?: string;
}

export function registerTrace(program: Command): void {
  const trace = program
    .command('trace [MESSAGE_ID]')
    .description('the life of one message: stored, delayed, visible, committed or held by whom')
    .option('-t, --topic <TOPIC>', 'where to look for a key')
    .option('-k, --key <KEY>', 'the newest message with this key, not too far back')
    .option('--dedup-key <KEY>', 'the message that brought this dedup key, while it is remembered');
  addClientOptions(trace).action(traceMessage);
}

async function traceMessage(id: string | undefined, options: TraceOptions): Promise<void> {
  const target = targetOf(id, options);
  await withClient(options, async ({ admin }) => {
    const found = await admin.trace(target);
    if (options.json === true) printJson(traceJson(found));
    else printTrace(found);
  });
}

function targetOf(id: string | undefined, { dedupKey, key, topic }: TraceOptions): TraceTarget {
  const given = [id, dedupKey, key].filter((text) => text !== undefined);
  if (given.length !== 1) {
    throw new Failure('give a message id, --key or --dedup-key: one of them', ExitCode.usage);
  }
  if (id !== undefined) {
    if (topic === undefined) return id;
    throw new Failure('a message id names its topic: leave --topic out', ExitCode.usage);
  }
  if (topic === undefined) throw new Failure('a key needs --topic', ExitCode.usage);
  return dedupKey === undefined ? { topic, key: key! } : { topic, dedupKey };
}

function printTrace(found: MessageTrace): void {
  const { messageId, topic, queue, events, matches, scanned } = found;
  const messages = scanned.reduce((sum, one) => sum + one.endOffset - one.fromOffset, 0);
  const among = scanned.length === 0 ? '' : ` among the newest ${messages}`;
  if (matches.length > 1) {
    void print(`${matches.length} messages${among} have this key; this is the newest\n`);
    printTable(
      ['MESSAGE', 'QUEUE', 'OFFSET', 'STORED'],
      matches.map((one) => [
        ...[one.messageId, one.queue, one.offset ?? ''],
        one.storedAtMs === undefined ? '' : new Date(one.storedAtMs).toISOString(),
      ]),
    );
    void print('\n');
  }
  void print(`message ${messageId} of topic ${topic}, queue ${queue}\n`);
  const rows = events.map(({ what, atMs, facts }) => {
    const time = atMs === undefined ? '' : new Date(atMs).toISOString();
    const text = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
    return [time, what.toLowerCase().replaceAll('_', ' '), text.join(', ')];
  });
  printTable(['TIME', 'WHAT', 'FACTS'], rows);
}

function traceJson({ messageId, topic, topicId, queue, ...more }: MessageTrace) {
  const { events, matches, scanned } = more;
  return {
    message_id: messageId,
    topic,
    topic_id: topicId,
    queue,
    events: events.map(({ what, atMs, facts }) => ({ what, at_ms: atMs ?? null, facts })),
    matches: matches.map((one) => ({
      ...{ message_id: one.messageId, queue: one.queue, offset: one.offset ?? null },
      stored_at_ms: one.storedAtMs ?? null,
    })),
    scanned: scanned.map((one) => ({
      ...{ queue: one.queue, from_offset: one.fromOffset, end_offset: one.endOffset },
    })),
  };
}

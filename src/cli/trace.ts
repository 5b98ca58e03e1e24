/** `holdfast trace`: what became of one message. */
import type { Command } from 'commander';
import type { MessageTrace } from '../client/index.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';

export function registerTrace(program: Command): void {
  const trace = program
    .command('trace <MESSAGE-ID>')
    .description('the life of one message: stored, delayed, visible, committed by which groups');
  addClientOptions(trace).action(traceMessage);
}

async function traceMessage(messageId: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const found = await admin.trace(messageId);
    if (options.json === true) printJson(traceJson(found));
    else printTrace(found);
  });
}

function printTrace({ messageId, topic, queue, events }: MessageTrace): void {
  void print(`message ${messageId} of topic ${topic}, queue ${queue}\n`);
  const rows = events.map(({ what, atMs, facts }) => {
    const time = atMs === undefined ? '' : new Date(atMs).toISOString();
    const text = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
    return [time, what.toLowerCase().replaceAll('_', ' '), text.join(', ')];
  });
  printTable(['TIME', 'WHAT', 'FACTS'], rows);
}

function traceJson({ messageId, topic, topicId, queue, events }: MessageTrace) {
  return {
    message_id: messageId,
    topic,
    topic_id: topicId,
    queue,
    events: events.map(({ what, atMs, facts }) => ({ what, at_ms: atMs ?? null, facts })),
  };
}

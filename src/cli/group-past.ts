/** `holdfast group at`, `holdfast group fork`: where a group stood, and a new one from there. */
import type { Command } from 'commander';
import type { ForkedOffset, PastOffset } from '../client/index.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  timeOption,
  withClient,
} from './client-options.ts';

interface PastOptions extends ClientOptions {
  readonly time: Date;
  readonly topic?: string;
  readonly member?: string;
}

export function registerGroupPast(group: Command): void {
  const past = (words: string, text: string) =>
    addClientOptions(group.command(words).description(text))
      .requiredOption('--time <TIME>', 'such as 2026-01-31T12:00Z, or Unix ms', timeOption)
      .option('-t, --topic <TOPIC>', 'only this one')
      .option('--member <ID>', 'whose offsets, in a broadcast group');
  past('at <GROUP>', 'where it stood at a time, and how far behind').action(groupAt);
  past('fork <GROUP> <NEW>', 'a new group that begins where this one stood').action(forkGroup);
}

async function groupAt(group: string, options: PastOptions): Promise<void> {
  const { json, member: memberId, time: at, topic } = options;
  await withClient(options, async ({ groups }) => {
    const { queues, totalLag } = await groups.describeAt({ group, at, topic, memberId });
    if (json === true) {
      printJson({ group, at_ms: at.getTime(), queues: queues.map(pastJson), total_lag: totalLag });
      return;
    }
    void print(`group ${group} at ${at.toISOString()}: lag ${totalLag}\n`);
    const rows = queues.map((one) => [
      ...[one.topic, one.queue, one.offset ?? unknownText(one), timeText(one.recordedAtMs)],
      ...[one.endOffset, one.lag],
    ]);
    printTable(['TOPIC', 'QUEUE', 'COMMITTED', 'RECORDED', 'END', 'LAG'], rows);
  });
}

async function forkGroup(group: string, newGroup: string, options: PastOptions): Promise<void> {
  const { json, member: memberId, time: at, topic } = options;
  await withClient(options, async ({ groups }) => {
    const queues = await groups.fork({ group, newGroup, at, topic, memberId });
    if (json === true) {
      printJson({ group: newGroup, queues: queues.map(forkedJson) });
      return;
    }
    void print(`group ${newGroup} begins where ${group} stood at ${at.toISOString()}\n`);
    const rows = queues.map((one) => [
      ...[one.topic, one.queue, one.offset, timeText(one.recordedAtMs)],
      one.offset === one.recordedOffset ? '' : `${one.recordedOffset} is gone`,
    ]);
    printTable(['TOPIC', 'QUEUE', 'OFFSET', 'RECORDED', ''], rows);
  });
}

function unknownText({ knownSinceMs }: PastOffset): string {
  return knownSinceMs === undefined ? 'not known' : `not known before ${timeText(knownSinceMs)}`;
}

function timeText(atMs: number | undefined): string {
  return atMs === undefined ? '' : new Date(atMs).toISOString();
}

function pastJson(one: PastOffset) {
  const { knownSinceMs, offset, recordedAtMs } = one;
  return {
    topic: one.topic,
    queue: one.queue,
    ...(offset === undefined ? {} : { offset, recorded_at_ms: recordedAtMs }),
    ...(knownSinceMs === undefined ? {} : { known_since_ms: knownSinceMs }),
    start_offset: one.startOffset,
    end_offset: one.endOffset,
    lag: one.lag,
  };
}

function forkedJson(one: ForkedOffset) {
  return {
    topic: one.topic,
    queue: one.queue,
    offset: one.offset,
    recorded_offset: one.recordedOffset,
    recorded_at_ms: one.recordedAtMs,
  };
}

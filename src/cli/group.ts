/** `holdfast group`: who reads what, how far behind, and how to put it somewhere else. */
import { type Command, InvalidArgumentError } from 'commander';
import type { GroupDescription, GroupSummary, QueueOffset, ResetOffsets } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  timeOption,
  withClient,
} from './client-options.ts';
import { registerGroupPast } from './group-past.ts';

interface ResetOptions extends ClientOptions {
  readonly topic: string;
  readonly earliest?: boolean;
  readonly latest?: boolean;
  readonly time?: Date;
  readonly toOffset?: readonly QueueOffset[];
}

export function registerGroup(program: Command): void {
  const group = program
    .command('group')
    .description('list, describe, reset, fork, delete consumer groups');
  addClientOptions(group.command('list').description('all groups')).action(listGroups);
  const named = (name: string, text: string) =>
    addClientOptions(group.command(`${name} <GROUP>`).description(text));
  named('describe', 'members, their queues, offsets and lag').action(describeGroup);
  named('delete', 'forget a group without members, and all that it committed').action(deleteGroup);
  named('reset', 'put the offsets of a group somewhere else; its members go on from there')
    .requiredOption('-t, --topic <TOPIC>', 'the topic')
    .option('--earliest', 'to the oldest messages kept')
    .option('--latest', 'to the ends')
    .option('--time <TIME>', 'to what was stored since 2026-01-31T12:00Z, or Unix ms', timeOption)
    .option(
      '--to-offset <Q=O,…>',
      'queues and their next offsets, such as 0=100,1=0',
      offsetsOption,
    )
    .action(resetGroup);
  registerGroupPast(group);
}

function offsetsOption(text: string): QueueOffset[] {
  return text.split(',').map((pair) => {
    const match = /^(\d{1,4})=(\d{1,15})$/.exec(pair);
    if (match !== null) return { queue: Number(match[1]), offset: Number(match[2]) };
    throw new InvalidArgumentError('must be queues and offsets, such as 0=100,1=0.');
  });
}

async function listGroups(options: ClientOptions): Promise<void> {
  await withClient(options, async ({ groups }) => {
    const found = await groups.list();
    if (options.json === true) {
      printJson(found);
      return;
    }
    const rows = found.map(({ group, mode, members, topics, shard }: GroupSummary) => [
      ...[group, mode, members, topics, shard],
    ]);
    printTable(['GROUP', 'MODE', 'MEMBERS', 'TOPICS', 'SHARD'], rows);
  });
}

async function describeGroup(name: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ groups }) => {
    const description = await groups.describe(name);
    if (options.json === true) printJson(descriptionJson(description));
    else printDescription(description);
  });
}

function printDescription(found: GroupDescription): void {
  const { group, mode, generation, epoch, members, queues, totalLag } = found;
  const state = `${mode}, generation ${generation}, epoch ${epoch}`;
  void print(`group ${group}: ${state}, ${members.length} members, lag ${totalLag}\n`);
  const rows = members.map(({ memberId, clientName, sessionMs, topics }) => [
    ...[memberId, clientName, `${sessionMs / 1000} s`, topics.join(' ')],
  ]);
  if (rows.length > 0) printTable(['MEMBER', 'CLIENT', 'SESSION', 'TOPICS'], rows);
  const lines = queues.map((queue) => [
    ...[queue.topic, queue.queue, ownerText(queue), queue.offset ?? 'never', queue.endOffset],
    queue.lag,
  ]);
  printTable(['TOPIC', 'QUEUE', 'OWNER', 'COMMITTED', 'END', 'LAG'], lines);
}

function ownerText({ owner, nextOwner }: GroupDescription['queues'][number]): string {
  if (nextOwner !== '') return `${owner} -> ${nextOwner}`;
  return owner === '' ? 'none' : owner;
}

async function deleteGroup(name: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ groups }) => {
    await groups.delete(name);
    if (options.json === true) printJson({ group: name, deleted: true });
    else await print(`group ${name} deleted\n`);
  });
}

async function resetGroup(group: string, options: ResetOptions): Promise<void> {
  const { topic } = options;
  const to = target(options);
  await withClient(options, async ({ admin }) => {
    const offsets = await admin.resetOffsets({ group, topic, to });
    if (options.json === true) printJson({ group, topic, offsets });
    else
      printTable(
        ['QUEUE', 'OFFSET'],
        offsets.map(({ queue, offset }) => [queue, offset]),
      );
  });
}

function target({ earliest, latest, time, toOffset }: ResetOptions): ResetOffsets['to'] {
  const given: ResetOffsets['to'][] = [];
  if (earliest === true) given.push('earliest');
  if (latest === true) given.push('latest');
  if (time !== undefined) given.push(time);
  if (toOffset !== undefined) given.push(toOffset);
  if (given.length === 1) return given[0]!;
  const choices = '--earliest, --latest, --time or --to-offset';
  throw new Failure(`say where to: one of ${choices}`, ExitCode.usage);
}

function descriptionJson(found: GroupDescription) {
  return {
    group: found.group,
    mode: found.mode,
    generation: found.generation,
    epoch: found.epoch,
    shard: found.shard,
    members: found.members.map((member) => ({
      member_id: member.memberId,
      instance_id: member.instanceId,
      client_name: member.clientName,
      session_ms: member.sessionMs,
      topics: member.topics,
    })),
    queues: found.queues.map((queue) => ({
      topic: queue.topic,
      queue: queue.queue,
      owner: queue.owner,
      next_owner: queue.nextOwner,
      ...(queue.offset === undefined ? {} : { offset: queue.offset }),
      start_offset: queue.startOffset,
      end_offset: queue.endOffset,
      lag: queue.lag,
    })),
    total_lag: found.totalLag,
  };
}

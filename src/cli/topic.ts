import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Durability, Topic, TopicDescription } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  bytesOption,
  type ClientOptions,
  durabilityOption,
  durationOption,
  print,
  printJson,
  printTable,
  untilInterrupted,
  withClient,
} from './client-options.ts';
import { growDrained } from './drain.ts';
import { wholeNumber } from './options.ts';
import { topicRetention } from './topic-retention.ts';

interface TopicOptions extends ClientOptions {
  readonly queues?: number;
  readonly retention?: number;
  readonly retentionBytes?: number;
  readonly durability?: Durability;
  readonly dedupWindow?: number;
  readonly order?: 'NORMAL' | 'STRICT';
  readonly diskPolicy?: 'PREFER_DATA' | 'PREFER_AVAILABILITY';
}
interface CreateOptions extends TopicOptions {
  readonly compact?: boolean;
  readonly compactLag?: number;
  readonly tombstones?: number;
}
interface UpdateOptions extends TopicOptions {
  readonly writes?: 'ACCEPTED' | 'REFUSED';
  readonly drain?: boolean;
}

export function registerTopic(program: Command): void {
  const topic = program
    .command('topic')
    .description('create, list, describe, update, delete topics');
  const named = (name: string, text: string) =>
    addClientOptions(topic.command(`${name} <TOPIC>`).description(text));
  addCompaction(addSettings(named('create', 'make a topic; done when every queue is open'))).action(
    createTopic,
  );
  addSettings(named('update', 'change what is given; queues only grow'))
    .option(
      '--writes <WRITES>',
      'ACCEPTED or REFUSED: what is stored stays, and is read on',
      oneOf('ACCEPTED', 'REFUSED'),
    )
    .option(
      '--drain',
      'with --queues, for order STRICT: refuse writes until all is read and decided, then grow',
    )
    .action(updateTopic);
  named('describe', 'queues of a topic: shard, leader, offsets').action(describeTopic);
  named('delete', 'remove a topic and all its messages').action(deleteTopic);
  addClientOptions(
    topic
      .command('retention [TOPIC]')
      .description('what is kept, what would go now, and why the logs are so long'),
  )
    .option('--retention <TIME>', 'what would go with this: 30m, 72h, 7d', durationOption)
    .option('--retention-bytes <BYTES>', 'what would go with this per queue: 10GiB', bytesOption)
    .option(
      '--at <LEVEL>',
      'what would go if a disk were low, high, critical or full',
      oneOf('low', 'high', 'critical', 'full'),
    )
    .action(topicRetention);
  addClientOptions(topic.command('list').description('all topics')).action(listTopics);
}

function addSettings(command: Command): Command {
  return command
    .option(
      '-q, --queues <N>',
      'number of queues (default for a new topic: 3)',
      wholeNumber(1, 1024),
    )
    .option(
      '--retention <TIME>',
      'keep messages this long: 30m, 72h, 7d; 0s = for ever',
      durationOption,
    )
    .option(
      '--retention-bytes <BYTES>',
      'keep this much per queue: 10GiB; 0 = no limit',
      bytesOption,
    )
    .option(
      '--durability <LEVEL>',
      'default of its producers: MAJORITY_FSYNC, MAJORITY, LEADER, NONE',
      durabilityOption,
    )
    .option(
      '--dedup-window <TIME>',
      'remember dedup keys this long: 10m, 7d; 0s = not at all',
      durationOption,
    )
    .option(
      '--order <ORDER>',
      'NORMAL: more queues at any time; STRICT: only by update --drain, for the order of keys',
      oneOf('NORMAL', 'STRICT'),
    )
    .option(
      '--disk-policy <POLICY>',
      'on a full disk: PREFER_DATA refuses writes, PREFER_AVAILABILITY lets the oldest go',
      oneOf('PREFER_DATA', 'PREFER_AVAILABILITY'),
    );
}

function addCompaction(command: Command): Command {
  const duration = (flags: string, text: string) =>
    new Option(flags, text).argParser(durationOption).implies({ compact: true });
  return command
    .option(
      '--compact',
      'of each key the newest message stays, for ever; an empty one deletes its key',
    )
    .addOption(
      duration('--compact-lag <TIME>', '… but all that was sent within this time (default: 0s)'),
    )
    .addOption(
      duration(
        '--tombstones <TIME>',
        '… and what deletes a key is read for so long (default: 24h)',
      ),
    );
}

function oneOf<Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one.toUpperCase() === text.toUpperCase());
    if (word !== undefined) return word;
    throw new InvalidArgumentError(`must be ${words.join(' or ')}.`);
  };
}

async function createTopic(name: string, options: CreateOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const compaction = compactionOf(options);
    const topic = await admin.createTopic({ name, ...settings(options), compaction });
    if (options.json === true) printJson(topicJson(topic));
    else await print(`topic ${name} created with ${queueText(topic.queueCount)}\n`);
  });
}

async function updateTopic(name: string, options: UpdateOptions): Promise<void> {
  const { drain, json, queues, writes } = options;
  if (drain === true && (queues === undefined || writes !== undefined)) {
    throw new Failure('--drain needs --queues, and sees to writes by itself', ExitCode.usage);
  }
  await withClient(options, async ({ admin }) => {
    const change = { name, ...settings(options), ...(writes === undefined ? {} : { writes }) };
    const onLeft = (text: string) => void (json === true || print(`${text}\n`));
    await untilInterrupted(async (signal) => {
      const topic =
        drain === true
          ? await growDrained(admin, change, { signal, onLeft })
          : await admin.updateTopic(change);
      if (json === true) printJson(topicJson(topic));
      else await print(`topic ${name} updated: ${configText(topic)}\n`);
    });
  });
}

async function deleteTopic(name: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    await admin.deleteTopic(name);
    if (options.json === true) printJson({ name, deleted: true });
    else await print(`topic ${name} deleted\n`);
  });
}

async function listTopics(options: ClientOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const topics = await admin.listTopics();
    if (options.json === true) {
      printJson(topics.map(topicJson));
      return;
    }
    const rows = topics.map((topic) => [topic.name, topic.queueCount, ...configCells(topic)]);
    printTable(['TOPIC', 'QUEUES', 'RETENTION', 'DURABILITY'], rows);
  });
}

async function describeTopic(name: string, options: ClientOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const description = await admin.describeTopic(name);
    if (options.json === true) printJson(descriptionJson(description));
    else printDescription(description);
  });
}

function printDescription({ topic, queues }: TopicDescription): void {
  void print(`topic ${topic.name}, id ${topic.topicId}: ${configText(topic)}\n`);
  const rows = queues.map((queue) => [
    queue.queue,
    queue.shard,
    queue.leader === 0 ? 'none' : `node ${queue.leader}`,
    queue.startOffset,
    queue.endOffset,
  ]);
  printTable(['QUEUE', 'SHARD', 'LEADER', 'START', 'END'], rows);
}

function settings(options: TopicOptions) {
  const { queues, retention, retentionBytes, durability, dedupWindow } = options;
  const { diskPolicy, order } = options;
  return {
    ...(queues === undefined ? {} : { queueCount: queues }),
    ...(retention === undefined ? {} : { retentionMs: retention }),
    ...(retentionBytes === undefined ? {} : { retentionBytes }),
    ...(durability === undefined ? {} : { durability }),
    ...(dedupWindow === undefined ? {} : { dedupWindowMs: dedupWindow }),
    ...(order === undefined ? {} : { order }),
    ...(diskPolicy === undefined ? {} : { diskPolicy }),
  };
}

function compactionOf({ compact, compactLag, tombstones }: CreateOptions) {
  if (compact !== true) return undefined;
  return {
    ...(compactLag === undefined ? {} : { minLagMs: compactLag }),
    ...(tombstones === undefined ? {} : { tombstoneMs: tombstones }),
  };
}

function topicJson(topic: Topic) {
  const { name, topicId, queueCount, queueEpoch, config, createdAtMs } = topic;
  return {
    name,
    topic_id: topicId,
    queue_count: queueCount,
    queue_epoch: queueEpoch,
    retention_ms: config.retentionMs,
    retention_bytes: config.retentionBytes,
    durability: config.durability,
    dedup_window_ms: config.dedupWindowMs,
    order: config.order,
    writes: config.writes,
    disk_policy: config.diskPolicy,
    ...compactionJson(config),
    created_at_ms: createdAtMs,
  };
}

/** Absent: not compacted. */
function compactionJson({ compaction }: Topic['config']) {
  if (compaction === undefined) return {};
  const { minLagMs, tombstoneMs } = compaction;
  return { compaction: { min_lag_ms: minLagMs, tombstone_ms: tombstoneMs } };
}

function descriptionJson({ topic, queues }: TopicDescription) {
  const rows = queues.map(({ queue, shard, leader, startOffset, endOffset }) => ({
    queue,
    shard,
    leader,
    start_offset: startOffset,
    end_offset: endOffset,
  }));
  return { ...topicJson(topic), queues: rows };
}

function compactionText({ config: { compaction } }: Topic): string {
  if (compaction === undefined) return '';
  const { minLagMs, tombstoneMs } = compaction;
  const lag = minLagMs === 0 ? '' : `, all of the last ${hours(minLagMs)}`;
  return `${lag}, deletions for ${hours(tombstoneMs)}`;
}

function queueText(count: number): string {
  return count === 1 ? '1 queue' : `${count} queues`;
}

function configCells({ config }: Topic): [string, string] {
  const time = config.retentionMs === 0 ? 'for ever' : hours(config.retentionMs);
  const bytes = config.retentionBytes === 0 ? '' : `, ${config.retentionBytes} bytes per queue`;
  const only = config.compaction === undefined ? '' : ', newest of each key';
  return [time + bytes + only, config.durability];
}

function hours(ms: number): string {
  return `${ms / 3_600_000} h`;
}

function configText(topic: Topic): string {
  const [retention, durability] = configCells(topic);
  const order = topic.config.order === 'STRICT' ? ', strict order' : '';
  const writes = topic.config.writes === 'REFUSED' ? ', writes refused' : '';
  const policy = topic.config.diskPolicy === 'PREFER_DATA' ? '' : ', prefers availability';
  const kept = retention + compactionText(topic);
  const rest = order + policy + writes;
  return `${queueText(topic.queueCount)}, kept ${kept}, ${durability}${rest}`;
}

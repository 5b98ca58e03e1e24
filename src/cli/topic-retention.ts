/** `holdfast topic retention`: what is kept, what would go, and why the logs are so long. */
import type { HeldLog, LogHolder, NodeLog, QueueRetention } from '../client/index.ts';
import { type ClientOptions, print, printJson, printTable, withClient } from './client-options.ts';

export interface RetentionOptions extends ClientOptions {
  readonly retention?: number;
  readonly retentionBytes?: number;
  readonly at?: 'low' | 'high' | 'critical' | 'full';
}

/** Of each node: those that hold the most, with their first reason. */
const SHARDS_SHOWN = 5;

const REASONS: Readonly<Record<string, string>> = {
  MESSAGES: 'messages that are kept',
  SHOWN_LATE: 'messages that were half or delayed before they were shown',
  HALF: 'half messages without an outcome',
  DELAYED: 'delayed messages',
  LEASED: 'messages that are leased',
  RETRY: 'messages that wait for their next attempt',
  DEAD_LETTER: 'dead letters',
  DAMAGE: 'a damaged index: nothing goes',
  SLOW_REPLICA: 'a replica that is behind',
  SNAPSHOT: 'a snapshot that is being sent',
  TRIM: 'nothing, it goes with a next trim',
  CHECKPOINT: 'nothing, it goes after a next checkpoint',
};

export async function topicRetention(
  topic: string | undefined,
  options: RetentionOptions,
): Promise<void> {
  const { at: disk, json, retention: retentionMs, retentionBytes } = options;
  await withClient(options, async ({ admin }) => {
    const query = { topic, retentionMs, retentionBytes, disk };
    const { nodes, queues } = await admin.describeRetention(query);
    if (json === true) {
      printJson({ queues: queues.map(queueJson), nodes: nodes.map(nodeJson) });
      return;
    }
    const heads = ['TOPIC', 'QUEUE', 'MESSAGES', 'BYTES', 'OLDEST', 'WOULD GO', 'BYTES GOING'];
    printTable(heads, queues.map(queueCells));
    for (const node of nodes) printNode(node);
  });
}

function queueCells(one: QueueRetention): unknown[] {
  const { bytes, endOffset, goingBytes, goingMessages, oldestAtMs, queue, startOffset } = one;
  const oldest = oldestAtMs === undefined ? '' : new Date(oldestAtMs).toISOString();
  const going = goingMessages === 0 ? ['nothing', 0] : [goingMessages, goingBytes];
  return [one.topic, queue, endOffset - startOffset, bytes, oldest, ...going];
}

function printNode({ bytes, node, shards }: NodeLog): void {
  void print(`\nnode ${node}: ${bytes} bytes of log\n`);
  const rows = shards
    .slice(0, SHARDS_SHOWN)
    .map((held) => [...[held.shard, held.bytes, entriesText(held)], reasonsText(held)]);
  printTable(['SHARD', 'HOLDS', 'ENTRIES', 'BECAUSE OF'], rows);
}

function entriesText({ lastIndex, startIndex }: HeldLog): string {
  return lastIndex === startIndex ? 'none' : `${startIndex + 1} to ${lastIndex}`;
}

/** The first reason, and what would be the next. */
function reasonsText({ holders }: HeldLog): string {
  return holders.slice(0, 2).map(reasonText).join('; then ') || 'nothing';
}

function reasonText(holder: LogHolder): string {
  const { index, node, queue, topic, what } = holder;
  const place = topic === '' ? '' : ` of ${topic} queue ${queue}`;
  const where = node === undefined ? '' : ` on node ${node}`;
  return `${REASONS[what] ?? what}${place}${where}, from ${index} on`;
}

function queueJson(one: QueueRetention) {
  return {
    topic: one.topic,
    queue: one.queue,
    shard: one.shard,
    start_offset: one.startOffset,
    end_offset: one.endOffset,
    bytes: one.bytes,
    ...(one.oldestAtMs === undefined ? {} : { oldest_at_ms: one.oldestAtMs }),
    new_start_offset: one.newStartOffset,
    going_messages: one.goingMessages,
    going_bytes: one.goingBytes,
  };
}

function nodeJson({ bytes, node, shards }: NodeLog) {
  return { node, bytes, shards: shards.map(heldJson) };
}

function heldJson(held: HeldLog) {
  return {
    shard: held.shard,
    bytes: held.bytes,
    start_index: held.startIndex,
    trim_index: held.trimIndex,
    last_index: held.lastIndex,
    holders: held.holders.map(({ index, node, queue, topic, what }) => ({
      ...{ what, index },
      ...(topic === '' ? {} : { topic }),
      ...(queue === undefined ? {} : { queue }),
      ...(node === undefined ? {} : { node }),
    })),
  };
}

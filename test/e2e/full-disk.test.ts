/** Nodes that may fill no more than a part of their disk, filled to their marks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, type Holdfast, type TopicDescription } from '../../src/client/index.ts';
import { UpProcess } from '../processes/up-process.ts';

const MIB = 1024 * 1024;
const SETTINGS = [
  `retention.maxDataBytes=${160 * MIB}`,
  `log.segmentBytes=${18 * MIB}`,
  `retention.checkpointBytes=${MIB}`,
  'retention.checkIntervalMs=500',
  'retention.diskHighPercent=75',
  'retention.diskCriticalPercent=85',
  'retention.diskFullPercent=90',
];
const BODY = Buffer.alloc(32_768, 'x');
const AT_ONCE = 16;

const root = mkdtempSync(join(tmpdir(), 'holdfast-full-disk-'));
let cluster: UpProcess;
let client: Holdfast;

beforeAll(async () => {
  cluster = await UpProcess.start({ data: join(root, 'data'), settings: SETTINGS });
  client = connect({ servers: cluster.servers });
});

afterAll(async () => {
  await client?.close();
  await cluster?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Sends until a disk takes no more, or so much was sent; answers where each acked one is. */
async function fill(topic: string, bytes: number): Promise<Set<string>> {
  const producer = client.producer({ topic, maxInFlight: 4, timeoutMs: 3000 });
  let sent = 0;
  const acked = new Set<string>();
  let isFull = false;
  const loop = async (): Promise<void> => {
    while (!isFull && sent * BODY.length < bytes) {
      sent += 1;
      const error = await producer.send({ body: BODY }).then(
        (ack) => void acked.add(placeOf(ack)),
        (refused: Error) => refused,
      );
      // A machine that is busy may not answer in time: that says nothing.
      if (error?.message.includes('full to its last mark') === true) isFull = true;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  await producer.close().catch(() => undefined);
  return acked;
}

function placeOf({ queue, offset }: { queue: number; offset: number | undefined }): string {
  return `${queue}/${offset}`;
}

const held = ({ queues }: TopicDescription) =>
  queues.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0);

async function untilStored(topic: string): Promise<void> {
  const producer = client.producer({ topic, timeoutMs: 3000 });
  for (;;) {
    const isStored = await producer.send({ body: 'room' }).then(
      () => true,
      () => false,
    );
    if (isStored) break;
  }
  await producer.close();
}

it('a topic that prefers data keeps all, and is written again when it may keep less', async () => {
  const topic = 'kept';
  await client.admin.createTopic({ name: topic, queueCount: 12, retentionMs: 3_600_000 });
  const acked = await fill(topic, Number.POSITIVE_INFINITY);
  expect(acked.size * BODY.length).toBeGreaterThan(60 * MIB);
  expect(held(await client.admin.describeTopic(topic))).toBeGreaterThanOrEqual(acked.size);
  const { nodes } = await client.admin.describeCluster();
  expect(nodes.map(({ disk }) => disk)).toContain('full');
  for await (const message of client.consumer({ topic, from: 'earliest' })) {
    if (message.body.equals(BODY)) acked.delete(placeOf(message));
    if (acked.size === 0) break;
  }
  await client.admin.updateTopic({ name: topic, retentionMs: 1 });
  await untilStored(topic);
  await client.admin.deleteTopic(topic);
}, 120_000);

it('a topic that prefers availability takes more than a disk holds; the newest stay', async () => {
  const topic = 'flowing';
  const diskPolicy = 'PREFER_AVAILABILITY';
  await client.admin.createTopic({ name: topic, queueCount: 12, retentionMs: 0, diskPolicy });
  let stored = 0;
  while (stored * BODY.length < 300 * MIB) {
    stored += (await fill(topic, 300 * MIB - stored * BODY.length)).size;
  }
  const described = await client.admin.describeTopic(topic);
  expect(held(described) * BODY.length).toBeLessThan(160 * MIB);
  for (const { startOffset, endOffset } of described.queues) {
    expect(endOffset).toBeGreaterThan(startOffset);
  }
}, 180_000);

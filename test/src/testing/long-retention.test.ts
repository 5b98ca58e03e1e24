/** Queues of one shard that keep for different times: none holds the log of the others. */
import { afterEach, expect, test } from 'vitest';
import type { Holdfast, Message } from '../../../src/client/index.ts';
import { startTestCluster, type TestCluster } from '../../../src/testing/index.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;

let cluster: TestCluster | undefined;
afterEach(() => cluster?.stop());

async function allOf(client: Holdfast, topic: string, count: number): Promise<Message[]> {
  const found: Message[] = [];
  for await (const message of client.consumer({ topic, from: 'earliest' })) {
    found.push(message);
    if (found.length === count) break;
  }
  return found;
}

test('what is kept for ever beside much that is not gives its log back', async () => {
  cluster = await startTestCluster({
    ...{ nodes: 3, dataShards: 1 },
    settings: { retention: { checkpointBytes: 64 * 1024 } },
  });
  const client = cluster.connect();
  const { admin } = client;
  await admin.createTopic({ name: 'passing', queueCount: 1, retentionMs: HOUR_MS });
  await admin.createTopic({ name: 'kept', queueCount: 1, retentionMs: 0 });
  const passing = client.producer({ topic: 'passing' });
  const kept = client.producer({ topic: 'kept' });
  const deliverAtMs = cluster.now() + HOUR_MS / 2;
  await kept.send({ body: 'late', deliverAtMs });
  const body = Buffer.alloc(64 * 1024);
  for (let at = 0; at < 128; at += 1) {
    await passing.send({ body });
    if (at % 16 === 0) await kept.send({ body: `kept ${at}` });
  }
  const before = await allOf(client, 'kept', 8);
  const logBytes = async () => (await admin.describeRetention({})).nodes[0]!.bytes;
  expect(await logBytes()).toBeGreaterThan(8 * MIB);
  await cluster.advance('2h');

  expect(await logBytes()).toBeLessThan(4 * MIB);
  const after = await allOf(client, 'kept', 9);
  expect(after.slice(0, 8)).toEqual(before);
  const { events } = await admin.trace(before[3]!.messageId);
  const visible = events.find(({ what }) => what === 'VISIBLE');
  expect(visible).toMatchObject({ facts: { offset: String(before[3]!.offset) } });
  expect(after[8]!.body.toString()).toBe('late');

  // Whoever leads next, after a start from its own disk: it finds them where they lie now.
  for (const node of [1, 2, 3]) {
    await cluster.kill(node);
    await cluster.advance('1m');
    expect(await allOf(client, 'kept', 9)).toEqual(after);
    await cluster.restart(node);
    await cluster.advance('1m');
  }
});

/** Readers of a compacted topic after its log got smaller: by time, by id, at the end. */
import { expect, onTestFinished, test } from 'vitest';
import { startTestCluster } from '../../../src/testing/index.ts';

/** Offsets that are written again together. */
const BUCKET = 1024;

test('a time names the first message that is left; a consumer hears of the next', async () => {
  const cluster = await startTestCluster({ nodes: 3, dataShards: 1 });
  onTestFinished(() => cluster.stop());
  const client = cluster.connect();
  await client.admin.createTopic({ name: 'prices', queueCount: 1, compaction: {} });
  const producer = client.producer({ topic: 'prices' });
  const early = await producer.send({ key: 'early', body: '1' });
  await cluster.advance('1h');
  const late = await producer.send({ key: 'late', body: '1' });
  const [first] = (await client.fetch({ topic: 'prices', queue: 0, offset: 1 })).messages;
  const atMs = first!.storedAtMs;
  await cluster.advance('1h');
  // Of the first bucket only two messages are left: the newest of this key stands behind it.
  for (let sent = 0; sent < BUCKET; sent += 64) {
    const some = Array.from({ length: 64 }, (_, at) => ({ key: 'k', body: `${sent + at}` }));
    await Promise.all(some.map((message) => producer.send(message)));
  }
  await cluster.advance('10m');

  const offsetAt = async (time: number) => {
    const [found] = await client.admin.listOffsets({ topic: 'prices', atMs: time });
    return found!.offsetAtTime;
  };
  expect(await offsetAt(atMs)).toBe(1);
  // It would be 2 had nothing gone.
  expect(await offsetAt(atMs + 1)).toBeGreaterThan(BUCKET - 64);
  for (const { messageId } of [early, late]) {
    const { events } = await client.admin.trace(messageId!);
    expect(events.map(({ what }) => what)).toEqual(['STORED', 'VISIBLE']);
  }

  const consumer = client.consumer({ topic: 'prices', from: 'earliest' });
  const next = async () => (await consumer.next()).value;
  for (const key of ['early', 'late', 'k']) expect(await next()).toMatchObject({ key });
  const waiting = next();
  await producer.send({ key: 'early', body: '2' });
  expect(await waiting).toMatchObject({ key: 'early', offset: BUCKET + 2 });
  await consumer.close();
});

/** A compacted topic as an application keeps its table in it. */
import { expect, onTestFinished, test } from 'vitest';
import type { Holdfast } from '../../../src/client/index.ts';
import { startTestCluster } from '../../../src/testing/index.ts';

/** What a reader from the beginning has in the end. */
async function tableOf(client: Holdfast, topic: string): Promise<Record<string, string>> {
  const table = new Map<string, string>();
  const { queues } = await client.admin.describeTopic(topic);
  for (const { endOffset, queue } of queues) {
    for (let offset = 0; offset < endOffset; ) {
      const { messages, nextOffset } = await client.fetch({ topic, queue, offset });
      for (const { body, key } of messages) {
        if (body.length === 0) table.delete(key);
        else table.set(key, body.toString());
      }
      expect(nextOffset).toBeGreaterThan(offset);
      offset = nextOffset;
    }
  }
  return Object.fromEntries([...table].sort());
}

test('the newest of each key stays, and what is deleted does not come back', async () => {
  const cluster = await startTestCluster({ nodes: 3, dataShards: 2 });
  onTestFinished(() => cluster.stop());
  const client = cluster.connect();
  await client.admin.createTopic({ name: 'prices', queueCount: 2, compaction: {} });
  const producer = client.producer({ topic: 'prices' });
  for (let round = 0; round < 50; round += 1) {
    const price = (key: string) => producer.send({ key, body: `${key} ${round}` });
    await Promise.all(['apple', 'plum', 'pear', 'quince'].map(price));
  }
  await producer.send({ key: 'plum' });
  await expect(producer.send({ body: 'x' })).rejects.toMatchObject({ reason: 'KEY_REQUIRED' });
  const table = { apple: 'apple 49', pear: 'pear 49', quince: 'quince 49' };
  expect(await tableOf(client, 'prices')).toEqual(table);

  await cluster.advance('4d');
  for (const node of [1, 2, 3]) {
    await cluster.kill(node);
    await cluster.advance('1m');
    expect(await tableOf(client, 'prices')).toEqual(table);
    await cluster.restart(node);
    await cluster.settle();
  }
  await producer.send({ key: 'plum', body: 'again' });
  expect(await tableOf(client, 'prices')).toEqual({ ...table, plum: 'again' });
});

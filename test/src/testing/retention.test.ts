import { afterEach, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../../../src/testing/index.ts';

let cluster: TestCluster | undefined;
afterEach(() => cluster?.stop());

test('what would go, why the log is there, and where a group stood an hour ago', async () => {
  cluster = await startTestCluster({ nodes: 3 });
  const client = cluster.connect();
  const { admin, groups } = client;
  await admin.createTopic({ name: 'orders', queueCount: 1 });
  const producer = client.producer({ topic: 'orders' });
  await producer.send({ body: 'one' });
  await producer.send({ body: 'two' });
  const commit = (offset: number) =>
    admin.commitOffsets({ group: 'g', topic: 'orders', offsets: [{ queue: 0, offset }] });
  await commit(1);
  const { recordedAtMs } = (await groups.describeAt({ group: 'g', at: new Date(9e12) })).queues[0]!;
  await cluster.advance('2h');
  await commit(2);

  const hourAgo = new Date(recordedAtMs! + 3_600_000);
  const past = await groups.describeAt({ group: 'g', at: hourAgo });
  expect(past).toMatchObject({ totalLag: 1, queues: [{ offset: 1, recordedAtMs, endOffset: 2 }] });

  const goingWith = async (retentionMs: number) => {
    const { nodes, queues } = await admin.describeRetention({ topic: 'orders', retentionMs });
    expect(nodes.map(({ node }) => node)).toEqual([1, 2, 3]);
    const { shard } = queues[0]!;
    const [holder] = nodes[0]!.shards.find((one) => one.shard === shard)!.holders;
    expect(holder).toMatchObject({ what: 'MESSAGES', topic: 'orders', queue: 0 });
    return queues[0]!.goingMessages;
  };
  expect(await goingWith(3 * 3_600_000)).toBe(0);
  expect(await goingWith(3_600_000)).toBe(2);
});

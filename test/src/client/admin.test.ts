import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Holdfast } from '../../../src/client/holdfast.ts';
import { connect } from '../../../src/client/index.ts';
import { FakeCluster } from './fake-cluster.ts';

describe('Admin', () => {
  const cluster = new FakeCluster();
  let client: Holdfast;

  beforeAll(async () => {
    client = connect({ servers: await cluster.start() });
  });

  afterAll(async () => {
    await client.close();
    cluster.stop();
  });

  it('creates, updates, lists, describes, deletes', async () => {
    const { admin } = client;
    const created = await admin.createTopic({ name: 'a', queueCount: 2, retentionMs: 5 });
    expect(created).toMatchObject({ name: 'a', queueCount: 2, queueEpoch: 1 });
    expect(created.config).toMatchObject({ retentionMs: 259_200_000 });
    const grown = await admin.updateTopic({ name: 'a', queueCount: 4 });
    expect(grown).toMatchObject({ queueCount: 4, queueEpoch: 2 });
    expect((await admin.listTopics()).map((topic) => topic.name)).toEqual(['a']);
    const { queues } = await admin.describeTopic('a');
    expect(queues[3]).toEqual({ queue: 3, shard: 4, leader: 1, startOffset: 0, endOffset: 0 });
    await admin.deleteTopic('a');
    expect(await admin.listTopics()).toEqual([]);
  });

  it('passes on the server’s refusal', async () => {
    const { admin } = client;
    await admin.createTopic({ name: 'twice' });
    await expect(admin.createTopic({ name: 'twice' })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      reason: 'TOPIC_EXISTS',
      outcomeUnknown: false,
      retryable: false,
    });
  });

  it('tells offsets and those of a group that never committed', async () => {
    const { admin } = client;
    cluster.createTopic('offsets', 2);
    expect(await admin.listOffsets({ topic: 'offsets' })).toEqual([
      { queue: 0, startOffset: 0, endOffset: 0, offsetAtTime: undefined },
      { queue: 1, startOffset: 0, endOffset: 0, offsetAtTime: undefined },
    ]);
    const offsets = [{ queue: 1, offset: 4 }];
    await admin.commitOffsets({ group: 'g', topic: 'offsets', offsets });
    const places = await admin.groupOffsets({ group: 'g', topic: 'offsets' });
    expect(places.map(({ offset }) => offset)).toEqual([undefined, 4]);
  });

  it('describes the cluster', async () => {
    expect(await client.admin.describeCluster()).toMatchObject({
      clusterId: 'c0ffee',
      nodes: [{ id: 1, pid: 42, up: true }],
      shards: [{ id: 0, leader: 1, term: 3, commitIndex: 10, appliedIndex: 9 }],
    });
  });

  it('leaves nodes that send it away', async () => {
    const several = new FakeCluster();
    const servers = await several.start(3);
    several.createTopic('a', 1);
    for (const node of several.nodes.slice(1)) node.retired = true;
    for (let run = 0; run < 5; run++) {
      const other = connect({ servers });
      expect(await other.admin.listTopics({ timeoutMs: 2000 })).toHaveLength(1);
      const producer = other.producer({ topic: 'a', timeoutMs: 2000 });
      expect(await producer.send({ queue: 0, body: 'x' })).toMatchObject({ offset: run });
      await other.close();
    }
    several.stop();
  });

  it('aborts and times out', async () => {
    const signal = AbortSignal.abort();
    await expect(client.admin.listTopics({ signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    cluster.stall = true;
    await expect(client.admin.listTopics({ timeoutMs: 50 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      outcomeUnknown: false,
    });
    const write = client.admin.createTopic({ name: 'slow' }, { timeoutMs: 50 });
    await expect(write).rejects.toMatchObject({ outcomeUnknown: true });
    cluster.stall = false;
  });
});

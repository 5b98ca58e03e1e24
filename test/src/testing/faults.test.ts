import { describe, expect, it, onTestFinished } from 'vitest';
import type { Holdfast } from '../../../src/client/index.ts';
import {
  startTestCluster,
  type TestCluster,
  type TestClusterOptions,
} from '../../../src/testing/index.ts';

interface Stage {
  readonly cluster: TestCluster;
  readonly client: Holdfast;
}

/** A cluster with one topic of one queue. */
async function stage(options?: TestClusterOptions): Promise<Stage> {
  const cluster = await startTestCluster(options);
  onTestFinished(() => cluster.stop());
  const client = cluster.connect();
  await client.admin.createTopic({ name: 'orders', queueCount: 1 });
  return { cluster, client };
}

async function bodies(client: Holdfast): Promise<string[]> {
  const query = { topic: 'orders', queue: 0, offset: 0, linearizable: true };
  const { messages } = await client.fetch(query);
  return messages.map(({ body }) => body.toString());
}

const others = (node: number): number[] => [1, 2, 3].filter((one) => one !== node);

describe('kill', () => {
  it('of the leader between produce and acknowledgement: stored once', async () => {
    const { cluster, client } = await stage();
    const producer = client.producer({ topic: 'orders' });
    await producer.send({ body: 'before' });
    const leader = cluster.leaderOf('orders', 0)!;
    const sending = producer.send({ body: 'meanwhile' });
    await cluster.kill(leader);
    expect(cluster.leaderOf('orders', 0)).toBeUndefined();
    await cluster.settle();
    expect(cluster.leaderOf('orders', 0)).not.toBe(leader);
    await sending;
    expect(await bodies(client)).toEqual(['before', 'meanwhile']);
    await cluster.restart(leader);
    await cluster.settle();
    await cluster.kill(cluster.leaderOf('orders', 0)!);
    await cluster.settle();
    expect(await bodies(client)).toEqual(['before', 'meanwhile']);
  });

  it('leaves the node its port, which is open again after restart', async () => {
    const { cluster } = await stage();
    const servers = [...cluster.servers];
    await cluster.kill(2);
    await cluster.restart(2);
    await cluster.settle();
    expect(cluster.servers).toEqual(servers);
    const client = cluster.connect();
    const { nodes } = await client.admin.describeCluster();
    expect(nodes.map(({ id, up }) => [id, up])).toEqual([1, 2, 3].map((id) => [id, true]));
  });

  it('of a majority: settle says why there is no leader', async () => {
    const { cluster, client } = await stage();
    await cluster.kill(1);
    await cluster.kill(3);
    await expect(cluster.settle()).rejects.toThrow(
      /no leader of shard 0, 1, 2 after 120 s of virtual time: of 3 nodes 2 are up/,
    );
    await cluster.restart();
    await cluster.settle();
    await client.producer({ topic: 'orders' }).send({ body: 'back' });
    expect(await bodies(client)).toEqual(['back']);
  });
});

describe('powerCut', () => {
  it('of all machines loses nothing that was acknowledged', async () => {
    const { cluster, client } = await stage();
    const producer = client.producer({ topic: 'orders' });
    const sent = Array.from({ length: 30 }, (_, i) => `${i}`);
    for (const body of sent) await producer.send({ body });
    for (let round = 0; round < 3; round++) {
      await cluster.powerCut();
      await cluster.restart();
      await cluster.settle();
    }
    expect(await bodies(client)).toEqual(sent);
  });
});

describe('partition', () => {
  it('leaves the shard to the majority, and what it took in stays', async () => {
    const { cluster } = await stage();
    const leader = cluster.leaderOf('orders', 0)!;
    cluster.partition([leader], others(leader));
    await cluster.settle();
    const successor = cluster.leaderOf('orders', 0)!;
    expect(others(leader)).toContain(successor);
    const client = cluster.connect({ nodes: others(leader) });
    await client.producer({ topic: 'orders' }).send({ body: 'to the majority' });
    cluster.heal();
    await cluster.settle();
    await cluster.kill(successor);
    await cluster.settle();
    expect(await bodies(client)).toEqual(['to the majority']);
  });

  it('knows its nodes', async () => {
    const { cluster } = await stage();
    expect(() => cluster.partition([1], [2, 4])).toThrow('there is no node 4');
    await expect(cluster.kill(0)).rejects.toThrow('there is no node 0');
    expect(() => cluster.leaderOf('orders', 1)).toThrow('no queue 1 of a topic orders');
  });
});

describe('the seed', () => {
  const storyOf = async (seed: number): Promise<readonly unknown[]> => {
    const { cluster } = await stage({ seed, dataShards: 4 });
    const story: unknown[] = [];
    for (let round = 0; round < 6; round++) {
      const leader = cluster.leaderOf('orders', 0)!;
      cluster.partition([leader]);
      await cluster.settle();
      cluster.heal();
      await cluster.settle();
      story.push(leader, cluster.now());
    }
    return story;
  };

  it('decides what elections do', async () => {
    const one = await storyOf(1);
    expect(await storyOf(1)).toEqual(one);
    expect(await storyOf(2)).not.toEqual(one);
  });
});

describe('retention', () => {
  it('leaves a node that was away long a snapshot to begin with', async () => {
    const retention = { checkpointBytes: 1000, slowReplicaGraceMs: 1000, checkIntervalMs: 10_000 };
    const { cluster, client } = await stage({ settings: { retention }, dataShards: 1 });
    await client.admin.updateTopic({ name: 'orders', retentionMs: 60_000 });
    await cluster.kill(3);
    await cluster.settle();
    const producer = client.producer({ topic: 'orders' });
    const body = Buffer.alloc(500);
    for (let i = 0; i < 400; i++) void producer.send({ queue: 0, body });
    await producer.send({ body: 'last' });
    await cluster.advance('5m');
    await cluster.restart(3);
    await cluster.settle();
    // Only node 3 can make a majority with the other one now.
    await cluster.kill(cluster.leaderOf('orders', 0) === 1 ? 1 : 2);
    await cluster.settle();
    await producer.send({ body: 'young' });
    const query = { topic: 'orders', queue: 0, linearizable: true };
    const { endOffset, startOffset } = await client.fetch({ ...query, offset: 402 });
    expect([startOffset, endOffset]).toEqual([401, 402]);
  });
});

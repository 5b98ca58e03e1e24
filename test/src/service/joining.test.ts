/** A node whose replica of the metadata is behind says so, or waits: it never denies a topic. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect, message, type TestClient, trailer, until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const NEWCOMER = 3;

let cluster: FakeCluster;
let client: TestClient;
let watcher: Client;
/** What the health service last said. */
let health = 0;

beforeEach(async () => {
  cluster = new FakeCluster(3, 3);
  cluster.createTopic('orders', 3);
  cluster.node(NEWCOMER).renewMeta();
  await cluster.start();
  const { port } = cluster.node(NEWCOMER);
  client = connect(port);
  watcher = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  watchHealth();
  await until(() => health !== 0, 'the first word on health');
});
afterEach(async () => {
  client.close();
  health = 0;
  // The open watch must not hold it up.
  await cluster.stop();
  watcher.close();
});

/** HealthCheckResponse has one field, an enum. */
function watchHealth(): void {
  const same = (bytes: Buffer): Buffer => bytes;
  const path = '/grpc.health.v1.Health/Watch';
  const watch = watcher.makeServerStreamRequest(path, same, same, Buffer.alloc(0));
  watch.on('data', (answer: Buffer) => {
    health = answer[1]!;
  });
  watch.on('error', () => {});
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a node that joins', () => {
  const calls: [string, object][] = [
    ['Admin/DescribeTopic', { name: 'orders' }],
    ['Admin/ListTopics', {}],
    ['Admin/CreateTopic', { name: 'more', queue_count: 1 }],
    ['Log/Produce', { topic: 'orders', messages: [message('x')] }],
    ['Log/Fetch', { topic: 'orders', queue: 0, offset: '0' }],
    ['Log/ListOffsets', { topic: 'orders' }],
    ['Log/GetOffset', { topic: 'orders', group: 'billing' }],
  ];

  test.each(calls)('%s: later, not never', async (method, request) => {
    const failed = await client.call(method, request, 150).then(
      () => undefined,
      (error: ServiceError) => error,
    );
    expect(failed?.details).toMatch(/deadline|exceeded/i);
    const answer = client.call<object>(method, request).catch((error: ServiceError) => error);
    await until(() => cluster.node(NEWCOMER).service.stats().waitingCalls > 0, 'a call that waits');
    cluster.node(NEWCOMER).releaseMeta();
    const outcome = await answer;
    if (method === 'Log/GetOffset') {
      expect(trailer(outcome as ServiceError, 'reason')).toBe('GROUP_NOT_FOUND');
    } else if (method === 'Admin/CreateTopic') {
      // The first call took effect, though nobody here could tell.
      expect(trailer(outcome as ServiceError, 'reason')).toBe('TOPIC_EXISTS');
    } else expect(outcome).not.toBeInstanceOf(Error);
  });

  test('is recommended to clients once it has caught up', async () => {
    await turns();
    expect(health).toBe(NOT_SERVING);
    cluster.node(NEWCOMER).releaseMeta();
    await until(() => health === SERVING, 'health');
  });

  test('a node that was removed stays unrecommended', async () => {
    cluster.node(NEWCOMER).service.retire();
    cluster.node(NEWCOMER).releaseMeta();
    await turns();
    expect(health).toBe(NOT_SERVING);
  });
});

describe('a node that is removed while calls wait on it', () => {
  /** Once as many calls wait as are to, it is removed: the call ends now, not at its deadline. */
  async function reasonOf(method: string, request: object, waiting: number): Promise<string> {
    const { service } = cluster.node(NEWCOMER);
    const answer = client.call(method, request).catch((error: ServiceError) => error);
    await until(() => service.stats().waitingCalls === waiting, 'a call that waits');
    service.retire();
    const { stats } = service;
    expect(stats().waitingCalls).toBe(0);
    return trailer((await answer) as ServiceError, 'reason')!;
  }

  test('for its metadata: another node is to be asked', async () => {
    // Its own question, whether it has caught up, waits too.
    expect(await reasonOf('Admin/DescribeTopic', { name: 'orders' }, 2)).toBe('NODE_STOPPING');
  });

  test('for the queues of a topic that is committed: nobody here can say', async () => {
    const request = { name: 'more', queue_count: 1 };
    expect(await reasonOf('Admin/CreateTopic', request, 2)).toBe('OUTCOME_UNKNOWN');
  });

  test('for a leader: another node is to be asked', async () => {
    cluster.node(NEWCOMER).releaseMeta();
    await until(() => health === SERVING, 'health');
    const { shard } = cluster.node(NEWCOMER).meta.topic('orders')!.queues[0]!;
    cluster.setLeader(shard, undefined);
    const request = { topic: 'orders', queue: 0, messages: [message('x')] };
    expect(await reasonOf('Log/Produce', request, 1)).toBe('NODE_STOPPING');
  });
});

describe('a replica that takes the place of another one on its node', () => {
  beforeEach(async () => {
    cluster.node(NEWCOMER).releaseMeta();
    await until(() => health === SERVING, 'health');
  });

  test('without a leader nobody has caught up', async () => {
    const node = cluster.node(NEWCOMER);
    cluster.setLeader(0, undefined);
    node.renewMeta();
    node.releaseMeta();
    await turns();
    expect(health).toBe(NOT_SERVING);
    cluster.setLeader(0, 1);
    await until(() => health === SERVING, 'health');
  });

  test('streams wait while it learns, and end only when it knows the topic gone', async () => {
    const stream = client.stream<object, object>('Log/Subscribe');
    let error: ServiceError | undefined;
    stream
      .on('data', () => {})
      .on('error', (failure: ServiceError) => {
        error = failure;
      });
    stream.write({ start: { topic: 'orders', credit: 10 } });
    await until(() => cluster.logs.get(1)!.waiters.size > 0, 'a poll');
    const node = cluster.node(NEWCOMER);
    node.renewMeta();
    // An entry of long ago, such as a member's address, is all that it has so far.
    node.metaApplied = 1;
    node.tellApplied(0);
    await turns();
    expect(error).toBeUndefined();
    expect(health).toBe(NOT_SERVING);
    node.releaseMeta();
    await until(() => health === SERVING, 'health');
    expect(error).toBeUndefined();
    await client.call('Admin/DeleteTopic', { name: 'orders' }, 300).catch(() => undefined);
    cluster.reconcile();
    await until(() => error !== undefined, 'the end of the stream');
    expect(trailer(error!, 'reason')).toBe('TOPIC_NOT_FOUND');
  });

  test('a deletion is not done because it does not know the topic yet', async () => {
    const node = cluster.node(NEWCOMER);
    let isDone = false;
    const deleted = client.call('Admin/DeleteTopic', { name: 'orders' }).then(() => {
      isDone = true;
    });
    await until(() => node.service.stats().waitingCalls > 0, 'a call that waits');
    node.renewMeta();
    node.metaApplied = 1;
    node.tellApplied(0);
    await turns();
    expect(isDone).toBe(false);
    cluster.reconcile();
    node.releaseMeta();
    await deleted;
  });
});

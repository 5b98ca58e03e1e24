import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Batch,
  bodies,
  connect,
  message,
  type TestClient,
  trailer,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

interface Frame {
  readonly queue: number;
  readonly next_offset: string;
  readonly batches: readonly Batch[];
}

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
const streams: ClientDuplexStream<object, Frame>[] = [];

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 3);
  client = connect(cluster.node(1).port);
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.cancel();
  client.close();
  await until(() => cluster.nodes.every((node) => node.fetchWaiters === 0), 'no waiter left');
  await until(() => cluster.node(1).service.stats().streams === 0, 'no stream left');
});

interface Subscription {
  readonly stream: ClientDuplexStream<object, Frame>;
  readonly frames: Frame[];
  error?: ServiceError;
  ended: boolean;
  count(): number;
}

function subscribe(start: object): Subscription {
  const stream = client.stream<object, Frame>('Log/Subscribe');
  streams.push(stream);
  const frames: Frame[] = [];
  const count = (): number =>
    frames.reduce((sum, frame) => sum + frame.batches.reduce((all, one) => all + one.count, 0), 0);
  const subscription: Subscription = { stream, frames, ended: false, count };
  stream.on('data', (frame: Frame) => frames.push(frame));
  stream.on('end', () => {
    subscription.ended = true;
  });
  stream.on('error', (error: ServiceError) => {
    subscription.error = error;
  });
  stream.write({ start: { topic, ...start } });
  return subscription;
}

async function produce(queue: number, ...texts: string[]): Promise<void> {
  const messages = texts.map((text) => message(text));
  await client.call('Log/Produce', { topic, queue, messages });
}

const everyQueue = [0, 1, 2].map((queue) => ({ queue, offset: 0 }));

describe('credit', () => {
  test('counts messages; a batch is trimmed to what is left', async () => {
    await produce(0, 'a', 'b', 'c', 'd', 'e');
    const one = subscribe({ queues: [{ queue: 0, offset: 0 }], credit: 2 });
    await until(() => one.count() === 2);
    one.stream.write({ credit: 1 });
    await until(() => one.count() === 3);
    one.stream.write({ credit: 100 });
    await until(() => one.count() === 5);
    expect(bodies(one.frames.flatMap((frame) => frame.batches))).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('shared by the queues, never overdrawn', async () => {
    for (const queue of [0, 1, 2]) await produce(queue, 'x', 'y', 'z');
    const one = subscribe({ queues: everyQueue, credit: 4 });
    await until(() => one.count() === 4);
    // A round trip later nothing more came.
    await client.call('Admin/DescribeLimits', {});
    expect(one.count()).toBe(4);
    one.stream.write({ credit: 5 });
    await until(() => one.count() === 9);
  });

  test('a half-closed client still gets what it gave credit for, then the end', async () => {
    const one = subscribe({ queues: everyQueue, credit: 3 });
    one.stream.end();
    await until(() => cluster.nodes.some((node) => node.fetchWaiters > 0));
    await produce(1, 'a', 'b', 'c', 'd');
    await until(() => one.ended);
    expect(one.count()).toBe(3);
  });

  test('too much of it is refused', async () => {
    const one = subscribe({ queues: everyQueue, credit: 1_000_001 });
    await until(() => one.error !== undefined);
    expect(trailer(one.error!, 'reason')).toBe('NUMBER_OUT_OF_RANGE');
  });
});

describe('where it starts', () => {
  test('its headers come when it is in place, though no message is there', async () => {
    const one = subscribe({ queues: everyQueue, credit: 1 });
    const headers = new Promise<string>((resolve) => {
      one.stream.once('metadata', () => resolve('headers'));
    });
    expect(await headers).toBe('headers');
    expect(one.count()).toBe(0);
    const refused = subscribe({ topic: 'nowhere', credit: 1 });
    let accepted = false;
    refused.stream.once('metadata', () => {
      accepted = true;
    });
    await until(() => refused.error !== undefined);
    expect(accepted).toBe(false);
  });

  test('a group goes on where it committed, else at `from`; it never commits itself', async () => {
    for (const queue of [0, 1, 2]) await produce(queue, 'old', 'new');
    const commit = { topic, group: 'g', offsets: [{ queue: 0, offset: 1 }] };
    await client.call('Log/CommitOffset', commit);
    const one = subscribe({ group: 'g', from: 2, credit: 100 });
    await until(() => one.count() === 1);
    await produce(1, 'late');
    await until(() => one.count() === 2);
    const all = one.frames.flatMap((frame) => frame.batches);
    expect(bodies(all).sort()).toEqual(['late', 'new']);
    const { queues } = await client.call<{ queues: { offset?: string }[] }>('Log/GetOffset', {
      ...{ topic, group: 'g' },
    });
    expect(queues.map((queue) => queue.offset)).toEqual(['1', undefined, undefined]);
  });

  test('queues that are added later join by themselves', async () => {
    const one = subscribe({ from: 1, credit: 100 });
    await until(() => cluster.nodes.some((node) => node.fetchWaiters > 0));
    const update = client.call('Admin/UpdateTopic', { name: topic, queue_count: 5 });
    await until(() => cluster.node(1).meta.pendingTopics().length > 0);
    cluster.reconcile();
    await update;
    await produce(4, 'hello');
    await until(() => one.count() === 1);
    expect(one.frames[0]!.queue).toBe(4);
  });

  test('a deleted topic ends the stream', async () => {
    const one = subscribe({ from: 1, credit: 100 });
    await until(() => cluster.nodes.some((node) => node.fetchWaiters > 0));
    const deleted = client.call('Admin/DeleteTopic', { name: topic });
    await until(() => cluster.node(1).meta.pendingTopics().length > 0);
    cluster.reconcile();
    await deleted;
    await until(() => one.error !== undefined);
    expect(trailer(one.error!, 'reason')).toBe('TOPIC_NOT_FOUND');
  });
});

describe('errors and changes', () => {
  test.each([
    ['TOPIC_NOT_FOUND', { topic: 'nowhere', from: 1 }],
    ['QUEUE_NOT_FOUND', { queues: [{ queue: 9, offset: 0 }] }],
    ['OFFSET_OUT_OF_RANGE', { queues: [{ queue: 0, offset: 5 }], credit: 1 }],
    ['NUMBER_OUT_OF_RANGE', { queues: [{ queue: 0, offset: -5 }], credit: 1 }],
    ['INVALID_REQUEST', { queues: [{ queue: 0, offset: 0 }], group: 'g' }],
  ])('%s', async (reason, start) => {
    const one = subscribe(start);
    await until(() => one.error !== undefined);
    expect(trailer(one.error!, 'reason')).toBe(reason);
  });

  test('the first frame must be `start`', async () => {
    const stream = client.stream<object, Frame>('Log/Subscribe');
    const failed = new Promise<ServiceError>((resolve) => stream.on('error', resolve as never));
    stream.write({ credit: 5 });
    expect(trailer(await failed, 'reason')).toBe('INVALID_REQUEST');
  });

  test('a leader change is not seen', async () => {
    const { shard } = cluster.node(1).meta.topic(topic)!.queues[1]!;
    const leader = cluster.leaders.get(shard)!;
    const one = subscribe({ queues: everyQueue, credit: 100 });
    await until(() => cluster.nodes.reduce((sum, node) => sum + node.fetchWaiters, 0) === 3);
    cluster.setLeader(shard, undefined);
    cluster.setLeader(shard, (leader % 3) + 1);
    await produce(1, 'after');
    await until(() => one.count() === 1);
    cluster.setLeader(shard, leader);
  });

  test('a client that never reads holds no more than the stream may', async () => {
    const body = Buffer.alloc(100_000);
    for (let i = 0; i < 200; i += 1) {
      await client.call('Log/Produce', { topic, queue: 0, messages: [{ body }] });
    }
    const one = subscribe({ queues: [{ queue: 0, offset: 0 }], credit: 1_000 });
    one.stream.pause();
    await until(() => cluster.node(1).service.stats().streams === 1);
    // Then it reads, and gets everything in order.
    one.stream.resume();
    await until(() => one.count() === 200);
    const bases = one.frames.flatMap((frame) => frame.batches).map((one) => one.base_offset);
    expect(bases).toEqual(Array.from({ length: 200 }, (_, offset) => String(offset)));
  });

  const fetches = () => cluster.nodes.reduce((sum, node) => sum + node.fetchesFilled, 0);

  test('what is read waits for a slow client: nothing is read twice', async () => {
    const body = Buffer.alloc(100_000);
    for (let i = 0; i < 60; i += 1) {
      for (const queue of [0, 1, 2]) {
        await client.call('Log/Produce', { topic, queue, messages: [{ body }] });
      }
    }
    const before = fetches();
    const one = subscribe({ queues: everyQueue, credit: 1_000 });
    await until(() => one.count() === 180);
    expect(fetches() - before).toBe(one.frames.length);
    for (const queue of [0, 1, 2]) {
      const own = one.frames.filter((frame) => frame.queue === queue);
      const bases = own.flatMap((frame) => frame.batches).map((batch) => batch.base_offset);
      expect(bases).toEqual(Array.from({ length: 60 }, (_, offset) => String(offset)));
    }
  });

  test('credit in small pieces: at most one read for each, and nothing is left out', async () => {
    const texts = Array.from({ length: 40 }, (_, at) => `${at}`);
    for (const queue of [0, 1, 2]) await produce(queue, ...texts);
    const before = fetches();
    const one = subscribe({ queues: everyQueue, credit: 1 });
    for (let given = 1; given < 120; given += 1) {
      await until(() => one.count() === given);
      one.stream.write({ credit: 1 });
    }
    await until(() => one.count() === 120);
    const read = bodies(one.frames.flatMap((frame) => frame.batches));
    expect(read.sort()).toEqual([...texts, ...texts, ...texts].sort());
    expect(fetches() - before).toBeLessThanOrEqual(120 + 3);
  });
});

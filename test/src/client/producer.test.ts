import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Holdfast } from '../../../src/client/holdfast.ts';
import { connect, HoldfastError, type Producer, queueOfKey } from '../../../src/client/index.ts';
import { FakeCluster } from './fake-cluster.ts';
import { holdAnswers, later, numbers } from './helpers.ts';

describe('Producer', () => {
  let cluster: FakeCluster;
  let client: Holdfast;

  beforeEach(async () => {
    cluster = new FakeCluster();
    client = connect({ servers: await cluster.start() });
    cluster.createTopic('orders', 3);
    cluster.createTopic('one', 1);
  });

  afterEach(async () => {
    await client.close();
    cluster.stop();
  });

  it('acknowledges a message with its place', async () => {
    const producer = client.producer({ topic: 'one' });
    const message = { key: 'k', tag: 't', properties: { a: 'b', ö: 'ü' }, body: 'hällo' };
    const ack = await producer.send({ ...message, bornAtMs: 1_700_000_000_123 });
    expect(ack).toMatchObject({ queue: 0, offset: 0, term: 7, durability: 'MAJORITY_FSYNC' });
    expect(ack.messageId).toMatch(/^1-\d+-0$/);
    const stored = cluster.topics.get('one')!.queues[0]![0]!;
    expect(stored).toMatchObject({ ...message, body: Buffer.from('hällo') });
    expect(stored.born_at_ms).toBe('1700000000123');
  });

  it('sends what is sent in one turn as one request per queue', async () => {
    const producer = client.producer({ topic: 'one' });
    await producer.send({ body: 'first' });
    const acks = await Promise.all(numbers(100).map((i) => producer.send({ body: `${i}` })));
    expect(cluster.requests).toHaveLength(2);
    expect(acks.map((ack) => ack.offset)).toEqual(numbers(100).map((i) => i + 1));
    expect(cluster.requests.map((request) => request.sequence)).toEqual(['0', '1']);
  });

  it('gathers what waits while requests are under way', async () => {
    const producer = client.producer({ topic: 'one', maxInFlight: 1 });
    await producer.send({ body: 'first' });
    const release = holdAnswers(cluster);
    const acks = numbers(5).map((i) => later(i).then(() => producer.send({ body: `${i}` })));
    await later(10);
    release();
    await Promise.all(acks);
    expect(cluster.requests.map((request) => request.messages.length)).toEqual([1, 1, 4]);
    expect(cluster.bodies('one', 0)).toEqual(['first', '0', '1', '2', '3', '4']);
  });

  it('puts an ordering key on the published queue and keeps its order', async () => {
    const producer = client.producer({ topic: 'orders' });
    const keys = ['a', 'b', 'order-17', 'käse'];
    const sends = keys.flatMap((key) =>
      numbers(20).map((i) => producer.send({ orderingKey: key, body: `${key}:${i}` })),
    );
    const acks = await Promise.all(sends);
    keys.forEach((key, k) => {
      const queue = queueOfKey(key, 3);
      const own = cluster.bodies('orders', queue).filter((body) => body.startsWith(`${key}:`));
      expect(own).toEqual(numbers(20).map((i) => `${key}:${i}`));
      expect(acks[k * 20]!.queue).toBe(queue);
    });
  });

  it('puts messages of a compacted topic where their keys fall, also after a refresh', async () => {
    const made = await client.admin.createTopic({ name: 'latest', compaction: { minLagMs: 5 } });
    expect(made.config.compaction).toEqual({ minLagMs: 5, tombstoneMs: 0 });
    expect((await client.admin.describeTopic('orders')).topic.config.compaction).toBeUndefined();
    const producer = client.producer({ topic: 'latest', maxInFlight: 1 });
    const keys = ['a', 'b', 'order-17', 'käse'];
    const send = (key: string, more: object = {}) => producer.send({ key, body: 'x', ...more });
    const home = (key: string) => queueOfKey(key, 3);
    const queuesOf = async (sends: Promise<{ queue: number }>[]) =>
      (await Promise.all(sends)).map(({ queue }) => queue);
    expect(await queuesOf(keys.map((key) => send(key)))).toEqual(keys.map(home));
    // Its batches wait, and are looked at again when the epoch is another one.
    const release = holdAnswers(cluster);
    const first = keys.map((key) => send(key));
    await later(5);
    cluster.grow('latest', 3);
    const dedupKey = (key: string) => `not-${key}`;
    const waiting = keys.map((key) => send(key, { dedupKey: dedupKey(key) }));
    release();
    expect(await queuesOf([...first, ...waiting])).toEqual([...keys, ...keys].map(home));
    const orderingKey = 'elsewhere';
    expect(await queuesOf([send('a', { orderingKey })])).toEqual([home(orderingKey)]);
    expect(await queuesOf([send('a', { queue: 2 }), send('b', { queue: 2 })])).toEqual([2, 2]);
  });

  it('refuses alone what has no key for a compacted topic', async () => {
    await client.admin.createTopic({ name: 'latest', queueCount: 1, compaction: {} });
    const producer = client.producer({ topic: 'latest' });
    const sends = [{}, { key: '' }, { key: 'k' }, { key: `${'x'.repeat(255)}é` }].map((fields) =>
      producer.send({ body: 'x', ...fields }).then(
        () => 'stored',
        ({ message, reason }: HoldfastError) => `${reason}: ${message}`,
      ),
    );
    const [none, empty, keyed, long] = await Promise.all(sends);
    expect([none, empty]).toEqual(Array(2).fill(expect.stringMatching(/^KEY_REQ.*has no key/)));
    expect([keyed, long]).toEqual(['stored', expect.stringMatching(/^INVALID_REQ.*257 bytes/)]);
    expect(cluster.requests).toHaveLength(1);
  });

  it('sends a compacted topic as many messages at once as it takes', async () => {
    await client.admin.createTopic({ name: 'latest', queueCount: 1, compaction: {} });
    const producer = client.producer({ topic: 'latest' });
    const sends = (topic: Producer) =>
      Promise.all(numbers(1500).map((i) => topic.send({ key: `${i}` })));
    await sends(producer);
    await sends(producer);
    const sizes = () => cluster.requests.splice(0).map(({ messages }) => messages.length);
    expect(sizes()).toEqual([1024, 476, 1024, 476]);
    const plain = client.producer({ topic: 'one' });
    await sends(plain);
    expect(sizes()).toEqual([1500]);
  });

  it('sends what is delayed to the same time together, and says until when', async () => {
    const producer = client.producer({ topic: 'one' });
    await producer.send({ body: 'first' });
    const [soon, later] = [Date.now() + 60_000, Date.now() + 120_000];
    const at = (deliverAtMs: number | undefined, body: string) =>
      producer.send({ deliverAtMs, body });
    const sends = [at(soon, 'a'), at(soon, 'b'), at(later, 'c'), at(undefined, 'd')];
    const [a, b, c, d] = await Promise.all(sends);
    expect([a, b].map((ack) => ack?.deliverAtMs)).toEqual([soon, soon]);
    expect(a?.offset).toBeUndefined();
    expect(b?.messageId).toBe(a?.messageId.replace(/0$/, '1'));
    expect(c).toMatchObject({ offset: undefined, deliverAtMs: later });
    expect(d).toMatchObject({ offset: 1, deliverAtMs: undefined });
    expect(cluster.requests.map((request) => request.messages.length)).toEqual([1, 2, 1, 1]);
    expect(cluster.bodies('one', 0)).toEqual(['first', 'd']);
  });

  it('takes delayed messages back, once', async () => {
    const producer = client.producer({ topic: 'one' });
    const { messageId } = await producer.send({ body: 'x', deliverAtMs: Date.now() + 60_000 });
    expect(await client.recall(messageId)).toBe(1);
    await expect(client.recall(messageId)).rejects.toMatchObject({ reason: 'NOT_DELAYED' });
  });

  it.each([
    [{ orderingKey: 'k', deliverAtMs: 5e12 }, /leave orderingKey out/],
    [{ deliverAtMs: -1 }, /must be a time in Unix milliseconds/],
    [{ deliverAtMs: 1.5 }, /must be a time in Unix milliseconds/],
  ])('refuses a delay that cannot be: %o', async (fields, text) => {
    const producer = client.producer({ topic: 'one' });
    await expect(producer.send({ body: 'x', ...fields })).rejects.toThrow(text);
    expect(cluster.requests).toEqual([]);
  });

  it('spreads messages without a key over the queues', async () => {
    const producer = client.producer({ topic: 'orders' });
    for (const i of numbers(9)) await producer.send({ body: `${i}` });
    expect(numbers(3).map((queue) => cluster.bodies('orders', queue).length)).toEqual([3, 3, 3]);
  });

  it('splits by maxBatchBytes, and one message always fits', async () => {
    const producer = client.producer({ topic: 'one', maxBatchBytes: 1000 });
    const sizes = [400, 400, 400, 5000, 10];
    await Promise.all(sizes.map((size) => producer.send({ body: Buffer.alloc(size) })));
    const lengths = cluster.requests.map((request) =>
      request.messages.map((message) => message.body.length),
    );
    expect(lengths).toEqual([[400, 400], [400], [5000], [10]]);
  });

  it('refuses a message over the limit and takes one exactly at it', async () => {
    const producer = client.producer({ topic: 'one' });
    const refused = producer.send({ body: Buffer.alloc(4_000_000 - 4) });
    await expect(refused).rejects.toMatchObject({ reason: 'MESSAGE_TOO_LARGE' });
    const ack = await producer.send({ body: Buffer.alloc(4_000_000 - 5) });
    expect(ack.offset).toBe(0);
  });

  it('reports an unknown topic and an unknown queue', async () => {
    const lost = client.producer({ topic: 'nowhere' });
    await expect(lost.send({ body: 'x' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TOPIC_NOT_FOUND',
      outcomeUnknown: false,
    });
    const producer = client.producer({ topic: 'orders' });
    await expect(producer.send({ body: 'x', queue: 3 })).rejects.toThrow('queues 0 to 2, not 3');
    expect((await producer.send({ body: 'x', queue: 2 })).queue).toBe(2);
    await expect(producer.send({ body: 'x', queue: -1 })).rejects.toThrow(HoldfastError);
  });

  it('rejects when its buffer is full and tells when there is room', async () => {
    const producer = client.producer({ topic: 'one', maxBufferedBytes: 1000 });
    const release = holdAnswers(cluster);
    const sends = numbers(10).map((i) => producer.send({ body: Buffer.alloc(300, i) }));
    const settled = Promise.allSettled(sends);
    release();
    await producer.whenRoom();
    const rejected = (await settled).filter((result) => result.status === 'rejected');
    expect(rejected).toHaveLength(7);
    expect(rejected[0]!.reason).toMatchObject({ reason: 'CLIENT_BUFFER_FULL', retryable: true });
    await producer.send({ body: 'room again' });
  });

  it('flush resolves after every send has its answer, refusals too', async () => {
    const producer = client.producer({ topic: 'orders' });
    const answers: string[] = [];
    producer.send({ body: 'x', queue: 9 }).catch(() => answers.push('refused'));
    producer.send({ body: 'x', queue: 1 }).then(() => answers.push('stored'));
    await producer.flush();
    expect(answers.sort()).toEqual(['refused', 'stored']);
    producer.send({ body: 'x', queue: 9 }).catch(() => answers.push('refused'));
    await producer.flush();
    expect(answers).toHaveLength(3);
  });

  it('close waits for what was sent and refuses what comes later', async () => {
    const producer = client.producer({ topic: 'one' });
    const sends = numbers(3).map((i) => producer.send({ body: `${i}` }));
    await producer.close();
    expect((await Promise.all(sends)).map((ack) => ack.offset)).toEqual([0, 1, 2]);
    await expect(producer.send({ body: 'late' })).rejects.toMatchObject({
      reason: 'CLIENT_CLOSED',
    });
  });

  it('a send that was aborted before it began does not leave', async () => {
    const producer = client.producer({ topic: 'one' });
    const signal = AbortSignal.abort();
    const send = producer.send({ body: 'x' }, { signal });
    await expect(send).rejects.toMatchObject({ code: 'CANCELLED', outcomeUnknown: false });
    await producer.send({ body: 'y' });
    expect(cluster.topics.get('one')!.queues[0]!.map(({ body }) => String(body))).toEqual(['y']);
  });

  it('an aborted send is unknown: the message may have left', async () => {
    const producer = client.producer({ topic: 'one' });
    const release = holdAnswers(cluster);
    const abort = new AbortController();
    const send = producer.send({ body: 'x' }, { signal: abort.signal });
    abort.abort();
    await expect(send).rejects.toMatchObject({ code: 'CANCELLED', outcomeUnknown: true });
    release();
  });
});

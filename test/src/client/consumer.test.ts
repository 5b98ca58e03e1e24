import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Holdfast } from '../../../src/client/holdfast.ts';
import { type Consumer, connect, type Message } from '../../../src/client/index.ts';
import { FakeCluster } from './fake-cluster.ts';
import type { Stored } from './fake-wire.ts';
import { numbers } from './helpers.ts';

function stored(body: string | Buffer): Stored {
  return { body: Buffer.from(body), key: 'k', tag: 't', properties: { a: 'b' }, born_at_ms: '5' };
}

describe('Consumer', () => {
  let cluster: FakeCluster;
  let client: Holdfast;

  beforeEach(async () => {
    cluster = new FakeCluster();
    client = connect({ servers: await cluster.start(2) });
    cluster.createTopic('orders', 2);
  });

  afterEach(async () => {
    await client.close();
    cluster.stop();
  });

  function put(queue: number, ...bodies: string[]): void {
    cluster.topics.get('orders')!.queues[queue]!.push(...bodies.map(stored));
    for (const node of cluster.nodes) node.wake();
  }

  async function take(consumer: Consumer, count: number): Promise<Message[]> {
    const messages: Message[] = [];
    for (let i = 0; i < count; i++) {
      const { value } = await consumer.next();
      if (value !== undefined) messages.push(value);
    }
    return messages;
  }

  const texts = (messages: readonly Message[]) => messages.map(({ body }) => body.toString());

  it('gives messages with everything that is known of them', async () => {
    put(1, 'first', 'second');
    const consumer = client.consumer({ topic: 'orders' });
    const [, message] = await take(consumer, 2);
    expect(message).toEqual({
      topic: 'orders',
      queue: 1,
      offset: 1,
      key: 'k',
      tag: 't',
      properties: { a: 'b' },
      body: Buffer.from('second'),
      bornAtMs: 5,
      storedAtMs: 1_700_000_000_001,
      messageId: '1-5-1',
    });
  });

  it('from latest gives only what comes later; for await ends with close', async () => {
    put(0, 'old');
    const consumer = client.consumer({ topic: 'orders', from: 'latest' });
    const first = consumer.next();
    await until(() => cluster.nodes.some((node) => node.subscriptions > 0));
    put(0, 'new');
    expect((await first).value?.body.toString()).toBe('new');
    const rest: Message[] = [];
    setImmediate(() => void consumer.close());
    for await (const message of consumer) rest.push(message);
    expect(rest).toEqual([]);
  });

  it('begins where it is told: offsets, queues', async () => {
    put(0, 'a', 'b', 'c');
    put(1, 'x');
    const from = [{ queue: 0, offset: 2 }];
    await using consumer = client.consumer({ topic: 'orders', from });
    expect(texts(await take(consumer, 1))).toEqual(['c']);
    await using other = client.consumer({ topic: 'orders', queues: [1] });
    expect(texts(await take(other, 1))).toEqual(['x']);
  });

  it('commits what was taken, and a group goes on from there', async () => {
    put(0, 'a', 'b', 'c');
    const consumer = client.consumer({ topic: 'orders', group: 'g' });
    await take(consumer, 2);
    await consumer.commit();
    await consumer.close();
    expect(cluster.groups.get('g')!.get('orders/0')).toBe(2);
    await using next = client.consumer({ topic: 'orders', group: 'g' });
    expect(texts(await take(next, 1))).toEqual(['c']);
  });

  it('gives credit as messages are taken, never more than it may hold', async () => {
    put(0, ...numbers(50).map(String));
    await using consumer = client.consumer({ topic: 'orders', credits: 10 });
    expect(texts(await take(consumer, 50))).toEqual(numbers(50).map(String));
    expect(cluster.creditOutstandingMax).toBeLessThanOrEqual(10);
  });

  it('goes on at the next offset on another node when its node dies', async () => {
    put(0, ...numbers(30).map(String));
    await using consumer = client.consumer({ topic: 'orders', credits: 10 });
    const before = await take(consumer, 7);
    const serving = cluster.nodes.find((node) => node.subscriptions > 0)!;
    serving.kill();
    const after = await take(consumer, 23);
    expect(texts([...before, ...after])).toEqual(numbers(30).map(String));
  });

  it('on a quiet topic, survives as many nodes as die, however long after one another', {
    timeout: 20_000,
  }, async () => {
    const many = new FakeCluster();
    await using own = connect({ servers: await many.start(3) });
    many.createTopic('quiet', 1);
    await using consumer = own.consumer({ topic: 'quiet', reconnectTimeoutMs: 60_000 });
    const first = consumer.next();
    const serving = () => many.nodes.find((node) => node.subscriptions > 0);
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => {
      vi.useRealTimers();
      many.stop();
    });
    for (const _ of [1, 2]) {
      await until(() => serving() !== undefined);
      // Behind the subscription's headers, on the same connection.
      await own.admin.describeTopic('quiet');
      vi.setSystemTime(Date.now() + 3_600_000);
      serving()!.kill();
    }
    await until(() => serving() !== undefined);
    many.topics.get('quiet')!.queues[0]!.push(stored('at last'));
    serving()!.wake();
    expect((await first).value?.body.toString()).toBe('at last');
  });

  it('reports an unknown topic', async () => {
    const consumer = client.consumer({ topic: 'nowhere' });
    await expect(consumer.next()).rejects.toMatchObject({ reason: 'TOPIC_NOT_FOUND' });
    await expect(consumer.next()).rejects.toMatchObject({ reason: 'TOPIC_NOT_FOUND' });
  });

  it('a place that is gone: fails, or goes on at the end that was chosen', async () => {
    put(0, 'a', 'b', 'c');
    cluster.topics.get('orders')!.starts[0] = 2;
    const from = [{ queue: 0, offset: 0 }];
    const strict = client.consumer({ topic: 'orders', from });
    await expect(strict.next()).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await using lenient = client.consumer({ topic: 'orders', from, outOfRange: 'earliest' });
    expect(texts(await take(lenient, 1))).toEqual(['c']);
  });

  it('pauses reading when too many bytes wait', async () => {
    put(0, ...numbers(20).map(() => 'x'.repeat(1000)));
    await using consumer = client.consumer({ topic: 'orders', credits: 2, maxBufferedBytes: 500 });
    expect(await take(consumer, 20)).toHaveLength(20);
  });

  it('an abort signal ends the iteration', async () => {
    const abort = new AbortController();
    const consumer = client.consumer({ topic: 'orders', signal: abort.signal });
    const next = consumer.next();
    abort.abort();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  it('fetch reads one queue once', async () => {
    put(0, 'a', 'b', 'c');
    const result = await client.fetch({ topic: 'orders', queue: 0, offset: 1, maxMessages: 1 });
    expect(texts(result.messages)).toEqual(['b']);
    expect(result).toMatchObject({ nextOffset: 2, startOffset: 0, endOffset: 3 });
    expect(result.messages[0]).toMatchObject({ offset: 1, queue: 0, topic: 'orders' });
  });

  it('of a compacted topic it commits past what is hidden', async () => {
    cluster.topics.get('orders')!.compaction = {};
    cluster.topics
      .get('orders')!
      .queues[0]!.push({ ...stored('a'), key: 'x' }, ...['1', '2', ''].map(stored));
    const consumer = client.consumer({ topic: 'orders', queues: [0], group: 'g' });
    expect((await take(consumer, 2)).map(({ offset }) => offset)).toEqual([0, 2]);
    await consumer.commit();
    const query = { group: 'g', topic: 'orders', queues: [0] };
    const [place] = await client.admin.groupOffsets(query);
    expect(place).toMatchObject({ offset: 4, lag: 0 });
  });

  describe('with a filter', () => {
    const tagged = (body: string, tag: string): Stored => ({ ...stored(body), tag });
    const filter = { tag: 'paid' };

    function putTagged(...messages: readonly Stored[]): void {
      cluster.topics.get('orders')!.queues[0]!.push(...messages);
      for (const node of cluster.nodes) node.wake();
    }

    async function committed(): Promise<number | undefined> {
      const query = { group: 'g', topic: 'orders', queues: [0] };
      const [offset] = await client.admin.groupOffsets(query);
      return offset?.offset;
    }

    it('a consumer gets what matches, and commits past the rest', async () => {
      putTagged(tagged('a', 'new'), tagged('b', 'paid'), tagged('c', 'paid'), tagged('d', 'new'));
      const consumer = client.consumer({ topic: 'orders', queues: [0], group: 'g', filter });
      expect(texts(await take(consumer, 1))).toEqual(['b']);
      await consumer.commit();
      // What comes after `c` is not passed before `c` is.
      expect(await committed()).toBe(2);
      const [last] = await take(consumer, 1);
      expect(last).toMatchObject({ offset: 2, messageId: '1-5-2' });
      await consumer.commit();
      expect(await committed()).toBe(4);
      putTagged(tagged('e', 'new'));
      await vi.waitFor(async () => {
        await consumer.commit();
        expect(await committed()).toBe(5);
      });
    });

    it('a fetch says where to go on', async () => {
      putTagged(tagged('a', 'new'), tagged('b', 'paid'), tagged('c', 'new'));
      const query = { topic: 'orders', queue: 0, offset: 0, filter };
      const { messages, nextOffset } = await client.fetch(query);
      expect([texts(messages), nextOffset]).toEqual([['b'], 3]);
    });

    it('of both kinds, or of none, is refused', async () => {
      for (const wrong of [{}, { tag: 'a', sql: 'b' }] as unknown as (typeof filter)[]) {
        const query = { topic: 'orders', queue: 0, offset: 0, filter: wrong };
        await expect(client.fetch(query)).rejects.toThrow('either tag or sql');
      }
    });
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Holdfast } from '../../../src/client/holdfast.ts';
import { connect, queueOfKey } from '../../../src/client/index.ts';
import { FakeCluster } from './fake-cluster.ts';
import type { Mishap, WireRequest } from './fake-wire.ts';
import { later, numbers } from './helpers.ts';

/** Every promise of the Producer when things go wrong: nothing lost, doubled or out of order. */
describe('Producer under failures', () => {
  let cluster: FakeCluster;
  let client: Holdfast;

  beforeEach(async () => {
    cluster = new FakeCluster();
    client = connect({ servers: await cluster.start(2) });
    cluster.createTopic('one', 1);
    cluster.createTopic('orders', 3);
  });

  afterEach(async () => {
    await client.close();
    cluster.stop();
  });

  /** Produce request number n (from 0) meets the n-th mishap. */
  function mishaps(...list: (Mishap | undefined)[]): WireRequest[] {
    const seen: WireRequest[] = [];
    cluster.mishap = (request) => {
      seen.push(request);
      return list[seen.length - 1];
    };
    return seen;
  }

  async function sendOneByOne(count: number, timeoutMs = 10_000) {
    const producer = client.producer({ topic: 'one', maxBatchBytes: 1, timeoutMs });
    return await Promise.allSettled(numbers(count).map((i) => producer.send({ body: `${i}` })));
  }

  const bodies = (count: number) => numbers(count).map((i) => `${i}`);
  const unavailable = { code: 'UNAVAILABLE', reason: 'NO_LEADER', retryable: true } as const;

  it('repeats a retryable refusal, and what was behind it, in order', async () => {
    mishaps(undefined, { answer: unavailable }, undefined, undefined, { answer: unavailable });
    const results = await sendOneByOne(8);
    expect(results.every((result) => result.status === 'fulfilled')).toBe(true);
    expect(cluster.bodies('one', 0)).toEqual(bodies(8));
  });

  it.each(['stored', 'lost'] as const)('a stream that breaks with a request %s', async (fate) => {
    const seen = mishaps(undefined, { breaks: fate });
    const results = await sendOneByOne(8);
    const acks = results.map((result) =>
      result.status === 'fulfilled' ? result.value : undefined,
    );
    expect(acks.map((ack) => ack?.offset)).toEqual(numbers(8));
    expect(cluster.bodies('one', 0)).toEqual(bodies(8));
    expect(acks[1]!.duplicate).toBe(fate === 'stored');
    const again = seen.filter((request) => request.sequence === '1');
    expect(again.length).toBeGreaterThan(1);
    // What may be stored is settled on its queue whatever the queue count is now.
    expect(again[0]!._queue_epoch).toBe('queue_epoch');
    expect(again[1]!._queue_epoch).toBeUndefined();
  });

  it('an unknown outcome is settled by repeating the same sequence', async () => {
    const unknown = { code: 'UNAVAILABLE', reason: 'OUTCOME', outcomeUnknown: true } as const;
    mishaps({ answer: unknown });
    const [result] = await sendOneByOne(1);
    expect(result!.status).toBe('fulfilled');
    expect(cluster.bodies('one', 0)).toEqual(['0']);
  });

  it('a definite refusal rejects its own sends only, and the sequence closes up', async () => {
    mishaps(undefined, { answer: { code: 'INVALID_ARGUMENT', reason: 'MESSAGE_TOO_LARGE' } });
    const results = await sendOneByOne(6);
    expect(results.map((result) => result.status)).toEqual([
      'fulfilled',
      'rejected',
      ...Array(4).fill('fulfilled'),
    ]);
    expect(results[1]).toMatchObject({ reason: { outcomeUnknown: false } });
    expect(cluster.bodies('one', 0)).toEqual(['0', '2', '3', '4', '5']);
  });

  it('after a refused send alone, the next one takes its place in the sequence', async () => {
    mishaps(undefined, { answer: { code: 'INVALID_ARGUMENT', reason: 'MESSAGE_TOO_LARGE' } });
    const producer = client.producer({ topic: 'one' });
    await producer.send({ body: 'a' });
    await expect(producer.send({ body: 'b' })).rejects.toMatchObject({ retryable: false });
    await producer.send({ body: 'c' });
    expect(cluster.requests.at(-1)).toMatchObject({ sequence: '1', producer_epoch: 0 });
  });

  it.each(['stored', 'lost'] as const)(
    'a deadline is unknown (%s); later sends go on',
    async (fate) => {
      mishaps({ silent: fate });
      const producer = client.producer({ topic: 'one', timeoutMs: 300 });
      const late = producer.send({ body: 'doubtful' });
      await expect(late).rejects.toMatchObject({
        code: 'DEADLINE_EXCEEDED',
        outcomeUnknown: true,
        retryable: true,
      });
      const ack = await producer.send({ body: 'next' });
      expect(ack.duplicate).toBe(false);
      expect(cluster.bodies('one', 0)).toEqual(fate === 'stored' ? ['doubtful', 'next'] : ['next']);
      expect(cluster.requests.at(-1)).toMatchObject({ producer_epoch: 1, sequence: '0' });
    },
  );

  it('a sequence that the server forgot begins again under a higher epoch', async () => {
    const producer = client.producer({ topic: 'one' });
    await producer.send({ body: 'before' });
    cluster.producers.clear();
    await producer.send({ body: 'after' });
    expect(cluster.bodies('one', 0)).toEqual(['before', 'after']);
    expect(cluster.requests.at(-1)!.producer_epoch).toBe(1);
  });

  it('more queues: learns them and puts each key on its new queue', async () => {
    const key = ['a', 'b', 'c', 'd', 'e'].find((k) => queueOfKey(k, 3) !== queueOfKey(k, 7))!;
    const producer = client.producer({ topic: 'orders' });
    await producer.send({ orderingKey: key, body: 'before' });
    cluster.grow('orders', 7);
    const acks = await Promise.all(
      numbers(5).map((i) => producer.send({ orderingKey: key, body: `${i}` })),
    );
    expect(new Set(acks.map((ack) => ack.queue))).toEqual(new Set([queueOfKey(key, 7)]));
    expect(cluster.bodies('orders', queueOfKey(key, 7))).toEqual(bodies(5));
    expect(cluster.bodies('orders', queueOfKey(key, 3))).toEqual(['before']);
  });

  it('a killed node: moves to the other, nothing lost, doubled or out of order', async () => {
    const producer = client.producer({ topic: 'one', timeoutMs: 20_000 });
    await producer.send({ body: 'first' });
    const sends: Promise<unknown>[] = [];
    for (const round of numbers(30)) {
      for (const i of numbers(20)) sends.push(producer.send({ body: `${round * 20 + i}` }));
      await later(1);
      if (round === 10 || round === 20) {
        const node = cluster.nodes[round === 10 ? 0 : 1]!;
        node.kill();
        await node.start();
      }
    }
    await Promise.all(sends);
    expect(cluster.bodies('one', 0)).toEqual(['first', ...bodies(600)]);
  });

  it('a node that is silent: another one is tried', async () => {
    const silent = new Set<number>();
    cluster.mishap = (_, node) => {
      if (silent.size === 0) silent.add(node.id);
      return silent.has(node.id) ? { silent: 'lost' } : undefined;
    };
    const producer = client.producer({ topic: 'one', stallTimeoutMs: 200 });
    const acks = await Promise.all(numbers(5).map((i) => producer.send({ body: `${i}` })));
    expect(acks.map((ack) => ack.offset)).toEqual(numbers(5));
    expect(cluster.bodies('one', 0)).toEqual(bodies(5));
  });

  it('a cluster that is not there says so, quickly', async () => {
    const gone = connect({ servers: '127.0.0.1:1' });
    const send = gone.producer({ topic: 'one' }).send({ body: 'x' });
    await expect(send).rejects.toMatchObject({
      reason: 'CLIENT_UNREACHABLE',
      outcomeUnknown: false,
      retryable: true,
    });
    await gone.close();
  });

  it('random mishaps: each send once, in order', async () => {
    let seed = 12345;
    const random = () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed / 2 ** 32;
    };
    const choices: Mishap[] = [
      { answer: unavailable },
      { answer: { ...unavailable, outcomeUnknown: true } },
      { breaks: 'stored' },
      { breaks: 'lost' },
    ];
    cluster.mishap = () => (random() < 0.3 ? choices[Math.floor(random() * 4)] : undefined);
    const producer = client.producer({ topic: 'one', maxBatchBytes: 30, timeoutMs: 60_000 });
    const acks = await Promise.all(numbers(200).map((i) => producer.send({ body: `${i}` })));
    expect(acks.map((ack) => ack.offset)).toEqual(numbers(200));
    expect(cluster.bodies('one', 0)).toEqual(bodies(200));
  }, 60_000);
});

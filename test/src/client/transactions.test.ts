import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Holdfast } from '../../../src/client/holdfast.ts';
import { type Check, connect, queueOfKey } from '../../../src/client/index.ts';
import { FakeCluster } from './fake-cluster.ts';

describe('Transactions', () => {
  let cluster: FakeCluster;
  let client: Holdfast;

  beforeEach(async () => {
    cluster = new FakeCluster();
    client = connect({ servers: await cluster.start() });
    cluster.createTopic('orders', 3);
  });

  afterEach(async () => {
    await client.close();
    cluster.stop();
  });

  it('prepares under an id of its own, so that a retry happens once', async () => {
    const messages = [{ key: 'order-1', body: 'paid?' }];
    const transaction = await client
      .transactions('shop')
      .prepare({ topic: 'orders', orderingKey: 'order-1', messages });
    const queue = queueOfKey('order-1', 3);
    expect(transaction).toMatchObject({ transactionId: 'hf.1.1.5', queue, count: 1, term: 1 });
    const sent = cluster.requests[0]!;
    expect(sent.transaction_id).toBe(transaction.callerTransactionId);
    expect(sent.transaction_id).toMatch(/^[0-9a-f]{24}$/);
    expect(sent.parts[0]!.messages[0]).toMatchObject({
      key: 'order-1',
      body: Buffer.from('paid?'),
    });
  });

  it('prepares several queues and offsets as one', async () => {
    cluster.createTopic('invoices', 1);
    const parts = [
      { topic: 'orders', queue: 1, messages: [{ body: 'o' }] },
      { topic: 'invoices', queue: 0, messages: [{ body: 'i' }] },
    ];
    const offsets = {
      group: 'billing',
      topic: 'paid',
      offsets: [{ queue: 0, from: 3, offset: 5 }],
    };
    await client.transactions('shop').prepareMany({ parts, offsets });
    expect(cluster.requests[0]).toMatchObject({
      parts: [
        { topic: 'orders', queue: 1 },
        { topic: 'invoices', queue: 0 },
      ],
      offsets: [
        { group: 'billing', topic: 'paid', offsets: [{ queue: 0, from: '3', offset: '5' }] },
      ],
    });
  });

  it('ends with the decision', async () => {
    const transaction = await client
      .transactions('shop')
      .prepare({ topic: 'orders', queue: 1, messages: [{ body: 'x' }] });
    const result = await transaction.commit();
    expect(result).toEqual({
      state: 'committed',
      parts: [{ topic: '', queue: 1, baseOffset: 9, count: 1 }],
    });
    expect(cluster.ended[0]).toMatchObject({ transaction_id: 'hf.1.1.5', decision: 'COMMIT' });
  });

  it('answers check-backs; a handler that throws decides nothing', async () => {
    const part = { topic: 'orders', queue: 2, count: 1, messages: [{ body: Buffer.from('b') }] };
    const check = (id: string) => ({ transaction_id: id, check_count: 1, parts: [part] });
    cluster.checks = [check('t1'), check('t2')];
    const asked: Check[] = [];
    const errors: unknown[] = [];
    const handled = new Promise<void>((resolve) => {
      cluster.onEnd = resolve;
    });
    const loop = client.transactions('shop').checks(
      (one) => {
        asked.push(one);
        if (one.transactionId === 't1') throw new Error('no idea');
        return 'rollback';
      },
      { onError: (error) => errors.push(error) },
    );
    await handled;
    await loop.close();
    expect(asked.map((one) => one.parts[0]!.messages[0]!.body.toString())).toEqual(['b', 'b']);
    expect(cluster.ended).toHaveLength(1);
    expect(cluster.ended[0]).toMatchObject({
      transaction_id: 't2',
      decision: 'ROLLBACK',
      queue: 2,
    });
    expect(errors).toEqual([new Error('no idea')]);
  });
});

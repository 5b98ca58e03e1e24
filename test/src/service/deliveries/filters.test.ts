/** Receive for groups with a filter. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TopicView } from '../../../../src/cluster/api.ts';
import type { Router } from '../../../../src/router.ts';
import type { Call, Done } from '../../../../src/service/call.ts';
import { type ReceiveMethods, Receiving } from '../../../../src/service/deliveries/receive.ts';
import { connect, refusal, type TestClient, until } from '../../../harness/service-client.ts';
import { FakeCluster } from '../../../harness/service-cluster.ts';

interface Delivery {
  readonly offset: string;
  readonly attempt: number;
  readonly token: string;
  readonly messages: readonly { readonly body: Buffer }[];
}

const PAID = { type: 1, expression: 'paid' };

let cluster: FakeCluster;
let client: TestClient;
let topic = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start({ defaultCallTimeoutMs: 4000 });
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1);
  client = connect(cluster.node(1).port);
});
afterEach(() => client.close());

/** Bodies as they are; those with a `+` are paid, what comes before a `:` is the key. */
function produce(...bodies: string[]): Promise<object> {
  const messages = bodies.map((body) => ({
    body: Buffer.from(body),
    tag: body.includes('+') ? 'paid' : 'new',
    key: body.includes(':') ? body.split(':')[0] : '',
  }));
  return client.call('Log/Produce', { topic, queue: 0, messages });
}

async function receive(fields: object = {}): Promise<readonly Delivery[]> {
  const request = { group: 'g', topic, filter: PAID, ...fields };
  const answer = await client.call<{ deliveries: Delivery[] }>('Deliveries/Receive', request);
  return answer.deliveries;
}

const bodiesOf = (deliveries: readonly Delivery[]) =>
  deliveries.map(({ messages }) => messages.map(({ body }) => body.toString()).join());
const ack = (...deliveries: readonly Delivery[]) => {
  const tokens = deliveries.map(({ token }) => token);
  return client.call('Deliveries/Ack', { group: 'g', topic, tokens });
};
const entries = () => [...cluster.logs.values()].reduce((sum, log) => sum + log.entries.length, 0);

interface Described {
  readonly summary: { readonly lag: string; readonly pending: string; readonly filter: object };
  readonly queues: readonly { readonly cursor: string }[];
}
const describeGroup = () =>
  client.call<Described>('Deliveries/DescribeSubscription', { group: 'g', topic });

describe('a group with a filter', () => {
  it('gets what fits, several in one lease; the rest is passed over', async () => {
    await produce('a', 'b+', 'c');
    await produce('d+', 'e', 'f+', 'g');
    const found = await receive({ max_messages: 2 });
    expect(bodiesOf(found)).toEqual(['b+', 'd+']);
    expect(found.map(({ offset }) => offset)).toEqual(['1', '3']);
    expect((await describeGroup()).queues).toMatchObject([{ cursor: '4' }]);
    expect(bodiesOf(await receive())).toEqual(['f+']);
    expect(await describeGroup()).toMatchObject({
      summary: { lag: '0', pending: '3', filter: { type: 1, expression: 'paid' } },
      queues: [{ cursor: '7' }],
    });
    const before = entries();
    expect(await receive()).toEqual([]);
    // There was nothing left to pass over.
    expect(entries()).toBe(before);
  });

  it('goes through a long stretch that does not fit in one call', async () => {
    const many = Array.from({ length: 300 }, (_, at) => `${at}`);
    await produce(...many);
    await produce('last+');
    expect(bodiesOf(await receive({ max_messages: 1 }))).toEqual(['last+']);
  });

  it('waits through what does not fit', async () => {
    await receive();
    const waiting = receive({ max_wait_ms: 3000 });
    await until(() => cluster.nodes.some(({ service }) => service.stats().longPolls > 0));
    await produce('a', 'b');
    await produce('c+');
    expect(bodiesOf(await waiting)).toEqual(['c+']);
  });

  it('is refused by a leader that knows better than the node that was asked', async () => {
    const other = connect(cluster.node(2).port);
    await receive();
    await other.call('Deliveries/DeleteSubscription', { group: 'g', topic });
    const filter = { type: 1, expression: 'new' };
    await other.call('Deliveries/Receive', { group: 'g', topic, filter });
    expect((await refusal(receive())).reason).toBe('SUBSCRIPTION_FILTER');
    other.close();
  });

  it('a redelivery is of this group alone, whatever it is', async () => {
    await produce('a', 'b+');
    const [first] = await receive();
    const items = [{ token: first!.token, delay_ms: 0 }];
    await client.call('Deliveries/Nack', { group: 'g', topic, items });
    const again = await receive();
    expect(again).toMatchObject([{ offset: '1', attempt: 2 }]);
    await ack(...again);
    expect(bodiesOf(await receive({ group: 'h', filter: undefined }))).toEqual(['a', 'b+']);
  });

  it('FIFO: what was passed over holds up nobody', async () => {
    await produce('k:1+', 'k:2', 'k:3+', 'l:1', 'l:2+');
    const first = await receive({ fifo: true });
    expect(bodiesOf(first)).toEqual(['k:1+', 'l:2+']);
    expect(await receive({ fifo: true })).toEqual([]);
    await ack(first[0]!);
    expect(bodiesOf(await receive({ fifo: true }))).toEqual(['k:3+']);
  });

  it('keeps its filter: another, or none, is refused through every node', async () => {
    await produce('a', 'b+');
    await receive({ max_messages: 1 });
    for (const node of [1, 2, 3]) {
      const other = connect(cluster.node(node).port);
      for (const filter of [
        undefined,
        { type: 1, expression: 'new' },
        { type: 2, expression: 'a' },
      ]) {
        const found = await refusal(
          other.call('Deliveries/Receive', { group: 'g', topic, filter }),
        );
        expect(found.reason).toBe('SUBSCRIPTION_FILTER');
        expect(found.error.details).toMatch(/was subscribed with the filter paid/);
      }
      other.close();
    }
    expect((await describeGroup()).queues).toMatchObject([{ cursor: '2' }]);
  });

  it('`*` is no filter', async () => {
    await produce('a', 'b+');
    expect(bodiesOf(await receive({ filter: { type: 1, expression: '*' } }))).toEqual(['a', 'b+']);
    expect(await receive({ filter: undefined })).toEqual([]);
    expect((await describeGroup()).summary.filter).toBeNull();
  });
});

/** A shard that always says that something is free, and leases nothing of it. */
function receiveFromBarrenShard(filter: typeof PAID | undefined, stopAfter: number) {
  const queues = [{ queue: 0, queueId: 4, shard: 1 }];
  const question = { group: 'g', max: 1, leaseMs: 1000, fifo: false, consumer: '', filter };
  const receive = { topic: { queues } as unknown as TopicView, question, waitMs: 50, turn: 0 };
  const methods = { lease: { name: 'lease' }, wait: { name: 'wait' } };
  const child = (finish: Done) => ({ finish, cancel: () => undefined });
  let [nowMs, leases] = [0, 0];
  const route: Router['route'] = (_call, { method }, done) => {
    nowMs += 10;
    if (method.name === 'wait') done(undefined, Buffer.from('{"isFree":true}'));
    else if (leases < stopAfter) {
      leases += 1;
      setImmediate(() => done(undefined, new Uint8Array(0)));
    }
  };
  return new Promise<number>((resolve) => {
    const parts = { router: { route } as Router, nowMs: () => nowMs };
    const done = () => resolve(leases);
    const call = { child } as unknown as Call;
    new Receiving(parts, methods as unknown as ReceiveMethods, call, receive, done).start();
    setTimeout(() => resolve(leases), 300).unref();
  });
}

it('a Receive ends when its time is over, though what does not fit keeps coming', async () => {
  expect(await receiveFromBarrenShard(PAID, 100)).toBeLessThan(6);
  // Without a filter what is free is given, or was to somebody else: it asks again.
  expect(await receiveFromBarrenShard(undefined, 100)).toBe(100);
});

/** Filters of Fetch and Subscribe, through every node. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Batch,
  connect,
  type Fetched,
  type TestClient,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const [TAG, SQL] = [1, 2];

let cluster: FakeCluster;
let client: TestClient;
let topic = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
  client = connect(cluster.node(1).port);
});
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 3);
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

/** Message i has the tag `even` or `odd`, and a property `n`. */
async function fill(queue: number, from: number, count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, at) => ({
    tag: (from + at) % 2 === 0 ? 'even' : 'odd',
    properties: { n: String(from + at) },
    body: Buffer.from(`message ${from + at}`),
  }));
  await client.call('Log/Produce', { topic, queue, messages });
}

const places = (batches: readonly Batch[]) =>
  batches.flatMap(({ base_offset, messages }) =>
    messages.map(({ body }, at) => [Number(base_offset) + at, body.toString()]),
  );
const message = (at: number) => [at, `message ${at}`];

describe('fetch', () => {
  test.each([
    [{ type: TAG, expression: 'even' }, [0, 2, 4, 6, 8]],
    [{ type: TAG, expression: 'even || odd' }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [{ type: TAG, expression: '*' }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [{ type: SQL, expression: "n BETWEEN 3 AND 6 AND TAGS = 'odd'" }, [3, 5]],
    [{ type: SQL, expression: 'n > 100' }, []],
  ])('%o', async (filter, wanted) => {
    for (const queue of [0, 1, 2]) {
      await fill(queue, 0, 6);
      await fill(queue, 6, 4);
      const request = { topic, queue, offset: 0, filter };
      const found = await client.call<Fetched>('Log/Fetch', request);
      expect(places(found.batches)).toEqual(wanted.map(message));
      expect(found).toMatchObject({ next_offset: '10', end_offset: '10' });
    }
    expect(cluster.node(1).peers.sent.length).toBeGreaterThan(0);
  });

  test('ids are those of the messages, in the middle of a request as well', async () => {
    await fill(0, 0, 4);
    const all = await client.call<Fetched>('Log/Fetch', { topic, queue: 0, offset: 0 });
    const [first = ''] = all.batches.map((batch) => batch.first_message_id);
    const filter = { type: TAG, expression: 'odd' };
    const found = await client.call<Fetched>('Log/Fetch', { topic, queue: 0, offset: 2, filter });
    const id = first.replace(/0$/, '3');
    expect(found.batches.map((batch) => batch.first_message_id)).toEqual([id]);
  });
});

describe('subscribe', () => {
  interface Frame {
    readonly queue: number;
    readonly next_offset: string;
    readonly batches: readonly Batch[];
  }

  function subscribe(start: object): { frames: Frame[]; credit(more: number): void; end(): void } {
    const stream = client.stream<object, Frame>('Log/Subscribe');
    const frames: Frame[] = [];
    stream.on('data', (frame: Frame) => frames.push(frame));
    stream.on('error', () => undefined);
    stream.write({ start: { topic, ...start } });
    return { frames, credit: (credit) => stream.write({ credit }), end: () => stream.cancel() };
  }

  const all = (frames: readonly Frame[]) => places(frames.flatMap((frame) => frame.batches));

  test('credit counts what is sent, and only that', async () => {
    await fill(0, 0, 40);
    const filter = { type: SQL, expression: "n >= 10 AND n < 34 AND TAGS IN ('even')" };
    const one = subscribe({ queues: [{ queue: 0, offset: 0 }], credit: 3, filter });
    await until(() => all(one.frames).length === 3);
    await client.call('Admin/DescribeLimits', {});
    expect(all(one.frames)).toEqual([10, 12, 14].map(message));
    one.credit(2);
    await until(() => all(one.frames).length === 5);
    one.credit(100);
    await until(() => all(one.frames).length === 12);
    expect(all(one.frames)).toEqual(Array.from({ length: 12 }, (_, at) => message(10 + 2 * at)));
    one.end();
  });

  test('a stretch that does not match is told, once, and costs nothing', async () => {
    await fill(0, 0, 9);
    const filter = { type: TAG, expression: 'none' };
    const one = subscribe({ queues: [{ queue: 0, offset: 0 }], credit: 1, filter });
    await until(() => one.frames.length === 1);
    expect(one.frames).toMatchObject([{ queue: 0, next_offset: '9', batches: [] }]);
    await until(() => cluster.nodes.some((node) => node.fetchWaiters > 0));
    const messages = [{ tag: 'none', body: Buffer.from('message 9') }];
    await client.call('Log/Produce', { topic, queue: 0, messages });
    await until(() => all(one.frames).length === 1);
    expect(all(one.frames)).toEqual([message(9)]);
    one.end();
  });
});

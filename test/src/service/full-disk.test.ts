/** What a node without room for more still does, and what it refuses. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  type Ack,
  connect,
  type Fetched,
  message,
  refusal,
  type TestClient,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const NODE = 3;
const ROLLBACK = 2;

let cluster: FakeCluster;
let client: TestClient;
let topic = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 2);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 2);
  client = connect(cluster.node(1).port);
});
afterEach(() => {
  cluster.fullDisk = undefined;
  client.close();
});

const produce = () =>
  client.call<Ack>('Log/Produce', { topic, queue: 0, messages: [message('a')] });
const part = (queue: number) => ({ topic, queue, messages: [message('half')] });
const prepare = (...parts: object[]) =>
  client.call<{ transaction_id: string }>('Transactions/Prepare', {
    ...{ producer_group: 'shop', parts },
  });

it('new messages are refused before they are stored, and taken when there is room', async () => {
  await produce();
  cluster.fullDisk = NODE;
  const { proposals } = cluster;
  const calls = [produce, () => prepare(part(0)), () => prepare(part(0), part(1))];
  for (const call of calls) {
    const { reason, error } = await refusal(call());
    expect(reason).toBe('DISK_FULL');
    expect(error.details).toContain(`disk of node ${NODE}`);
  }
  expect(cluster.proposals).toBe(proposals);
  cluster.fullDisk = undefined;
  expect(await produce()).toMatchObject({ base_offset: '1' });
});

it('what is there is read, and what makes it less goes on', async () => {
  await produce();
  const { transaction_id: id } = await prepare(part(0));
  cluster.fullDisk = NODE;
  const { batches } = await client.call<Fetched>('Log/Fetch', { topic, queue: 0, offset: 0 });
  expect(batches).toHaveLength(1);
  const end = { producer_group: 'shop', transaction_id: id, decision: ROLLBACK };
  expect(await client.call('Transactions/End', end)).toMatchObject({ state: 3 });
  const offsets = [{ queue: 0, offset: 1 }];
  await client.call('Log/CommitOffset', { group: 'readers', topic, offsets });
});

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  type Ack,
  connect,
  message,
  refusal,
  type TestClient,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let shard = 0;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1);
  shard = cluster.node(1).meta.topic(topic)!.queues[0]!.shard;
  client = connect(cluster.node((cluster.leaders.get(shard)! % 3) + 1).port);
});
afterEach(() => client.close());

interface Trace {
  readonly topic: string;
  readonly queue: number;
  readonly events: readonly {
    readonly what: string;
    readonly at_ms: string;
    readonly facts: Readonly<Record<string, string>>;
  }[];
}

const trace = (id: string): Promise<Trace> => client.call<Trace>('Admin/Trace', { message_id: id });
const produce = (fields: object = {}): Promise<Ack> =>
  client.call<Ack>('Log/Produce', { topic, messages: [message('x'), message('y')], ...fields });
const what = ({ events }: Trace): string[] => events.map((event) => event.what);

it('a plain message: where it is stored, where it stands, who committed beyond it', async () => {
  await produce();
  const ack = await produce();
  const commit = (group: string, offset: number) =>
    client.call('Log/CommitOffset', { topic, group, offsets: [{ queue: 0, offset }] });
  await commit(`${topic}-a`, 4);
  await commit(`${topic}-b`, 3);
  const id = ack.first_message_id.replace(/-0$/, '-1');
  const found = await trace(id);
  expect(found).toMatchObject({ message_id: id, topic, queue: 0 });
  expect(what(found)).toEqual([
    'STORED',
    'VISIBLE',
    'COMMITTED_BY_GROUP',
    'NOT_COMMITTED_BY_GROUP',
  ]);
  const [stored, visible, first, second] = found.events;
  const { term, log_index } = ack;
  const where = { shard: String(shard), term, log_index, replicas: '3', kind: 'plain' };
  expect(stored).toMatchObject({ at_ms: String(cluster.timeMs), facts: where });
  expect(visible!.facts).toEqual({ offset: '3' });
  expect(first!.facts).toEqual({ group: `${topic}-a`, committed: '4' });
  expect(second!.facts).toEqual({ group: `${topic}-b`, committed: '3' });
});

it('a delayed message, before it is shown and after', async () => {
  const dueMs = cluster.timeMs + 5000;
  const { first_message_id: id } = await produce({ deliver_at_ms: dueMs });
  const before = await trace(id);
  expect(what(before)).toEqual(['STORED', 'DELAYED_UNTIL']);
  expect(before.events[1]!.at_ms).toBe(String(dueMs));
});

it('a half message shows its state and nothing of its content', async () => {
  const prepared = await client.call<{ transaction_id: string; parts: Ack[] }>(
    'Transactions/Prepare',
    {
      producer_group: 'g',
      parts: [{ topic, queue: 0, messages: [message('secret', { key: 'k' })] }],
    },
  );
  const id = prepared.parts[0]!.first_message_id;
  const found = await trace(id);
  expect(what(found)).toEqual(['STORED', 'HALF_MESSAGE']);
  expect(found.events[1]!.facts).toEqual({ state: 'undecided' });
  expect(JSON.stringify(found)).not.toContain('secret');
  const { transaction_id } = prepared;
  const end = { producer_group: 'g', transaction_id, decision: 1 };
  await client.call('Transactions/End', end);
  const after = await trace(id);
  expect(what(after)).toEqual(['STORED', 'HALF_MESSAGE', 'VISIBLE']);
  expect(after.events[2]!.facts).toEqual({ offset: '0' });
});

it('what was stored before under its sequence stands in its queue once', async () => {
  const by = { producer_id: 'p', sequence: 0, queue: 0 };
  await produce(by);
  await produce(by);
  const last = cluster.logs.get(shard)!.entries.length;
  expect(what(await trace(`${shard}-${last}-0`))).toEqual(['STORED', 'NOT_IN_ITS_QUEUE']);
});

it.each([
  ['INVALID_REQUEST', 'is not a message id', () => trace('nonsense')],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace('99-1-0')],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace('0-1-0')],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace(`${shard}-999999-0`)],
  ['MESSAGE_NOT_FOUND', 'never stored', () => trace(`${shard}-1-0`)],
])('%s: %s', async (reason, text, refused) => {
  const { reason: found, error } = await refusal(refused());
  expect(found).toBe(reason);
  expect(error.details).toContain(text);
});

import type { ClientDuplexStream } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import {
  type Ack,
  connect,
  message,
  type TestClient,
  until,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

interface Answer {
  readonly request_id: string;
  readonly ack?: Ack | null;
  readonly error?: { readonly reason: string; readonly outcome_unknown: boolean } | null;
}

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let stream: ClientDuplexStream<object, Answer>;
let answers: Answer[] = [];
let ended = (): boolean => false;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());

beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 3);
  client = connect(cluster.node(1).port);
  stream = client.stream<object, Answer>('Log/ProduceStream');
  // Late events of the last test's stream must not count here.
  const own: Answer[] = [];
  const state = { ended: false };
  answers = own;
  ended = () => state.ended;
  stream.on('data', (answer: Answer) => own.push(answer));
  stream.on('error', () => {});
  stream.on('end', () => {
    state.ended = true;
  });
});

afterEach(() => {
  stream.cancel();
  client.close();
  cluster.intercept = undefined;
  for (const node of cluster.nodes) node.peers.fate = undefined;
  for (const one of cluster.shards) cluster.setLeader(one, (one % 3) + 1);
});

function send(requestId: number, fields: object = {}, frame: object = {}): void {
  const request = { topic, queue: 0, messages: [message(`m${requestId}`)], ...fields };
  stream.write({ request_id: requestId, request, ...frame });
}

const said = (): string[] =>
  answers.map(
    (answer) => `${answer.request_id}:${answer.error?.reason ?? answer.ack!.base_offset}`,
  );

const shardOf = (queue: number): number => cluster.node(1).meta.topic(topic)!.queues[queue]!.shard;
const remoteQueue = (): number =>
  [0, 1, 2].find((queue) => cluster.leaders.get(shardOf(queue)) !== 1)!;

describe('answers', () => {
  test('one each, in request order per queue, local and forwarded', async () => {
    for (let id = 1; id <= 300; id += 1) send(id, { queue: id % 3 });
    await until(() => answers.length === 300);
    for (const queue of [0, 1, 2]) {
      const own = answers.filter((answer) => Number(answer.request_id) % 3 === queue);
      expect(own.map((answer) => Number(answer.ack!.base_offset))).toEqual(own.map((_, i) => i));
      const ids = own.map((answer) => Number(answer.request_id));
      expect(ids).toEqual([...ids].sort((a, b) => a - b));
    }
  });

  test('a half-closed stream ends after its last answer', async () => {
    for (let id = 1; id <= 5; id += 1) send(id);
    stream.end();
    await until(ended);
    expect(said()).toEqual(['1:0', '2:1', '3:2', '4:3', '5:4']);
    await until(() => cluster.node(1).service.stats().streams === 0);
    expect(cluster.node(1).service.stats().inflightRequestBytes).toBe(0);
  });
});

describe('errors', () => {
  test('after one on a queue the rest fails until `resume`; other queues go on', async () => {
    send(1);
    send(2, { messages: [] });
    send(3);
    send(4, { queue: 1 });
    await until(() => answers.length === 4);
    expect(said().sort()).toEqual(['1:0', '2:EMPTY_BATCH', '3:PRECEDING_FAILED', '4:0']);
    send(5);
    send(6, {}, { resume: true });
    send(7);
    await until(() => answers.length === 7);
    expect(said().slice(4)).toEqual(['5:PRECEDING_FAILED', '6:1', '7:2']);
  });

  test('a refusal of the state machine does the same on a forwarded queue', async () => {
    const queue = remoteQueue();
    send(1, { queue, producer_id: 'p', sequence: 5 });
    await until(() => answers.length === 1);
    send(2, { queue });
    send(3, { queue, producer_id: 'p', sequence: 0 }, { resume: true });
    await until(() => answers.length === 3);
    expect(said()).toEqual(['1:SEQUENCE_GAP', '2:PRECEDING_FAILED', '3:0']);
  });

  test('an unknown topic is told at once; the stream lives on', async () => {
    send(1, { topic: 'nowhere' });
    send(2);
    await until(() => answers.length === 2);
    expect(said()).toEqual(['1:TOPIC_NOT_FOUND', '2:0']);
  });

  test('a name that no topic can have holds nothing up; each request has one answer', async () => {
    for (const [at, name] of ['a/b', '', '..'].entries()) send(at, { topic: name });
    send(3);
    stream.end();
    await until(ended);
    expect(said()).toEqual(['0:INVALID_NAME', '1:INVALID_NAME', '2:INVALID_NAME', '3:0']);
    expect(cluster.node(1).service.stats().inflightRequestBytes).toBe(0);
  });

  test('what a lost connection leaves open is unknown, and what follows fails', async () => {
    const queue = remoteQueue();
    cluster.node(1).peers.fate = () => 'lostAfter';
    send(1, { queue });
    await until(() => answers.length === 1);
    cluster.node(1).peers.fate = undefined;
    send(2, { queue });
    await until(() => answers.length === 2);
    expect(said()).toEqual(['1:OUTCOME_UNKNOWN', '2:PRECEDING_FAILED']);
    expect(answers[0]!.error!.outcome_unknown).toBe(true);
  });
});

describe('a leader change', () => {
  test('requests that the old leader did not take go to the new one, in order', async () => {
    const queue = remoteQueue();
    const shard = shardOf(queue);
    cluster.setLeader(shard, undefined);
    for (let id = 1; id <= 100; id += 1) send(id, { queue });
    await until(() => cluster.node(1).service.stats().waitingCalls > 0);
    cluster.setLeader(shard, 3, false);
    cluster.setLeader(shard, 3);
    await until(() => answers.length === 100);
    expect(said()).toEqual(Array.from({ length: 100 }, (_, i) => `${i + 1}:${i}`));
  });

  test('in the middle of a flow: nothing lost, doubled or out of order', async () => {
    const queue = remoteQueue();
    const shard = shardOf(queue);
    for (let round = 0; round < 20; round += 1) {
      for (let i = 0; i < 20; i += 1) send(round * 20 + i, { queue });
      await until(() => answers.length > round * 20);
      cluster.setLeader(shard, undefined);
      cluster.setLeader(shard, (round % 3) + 1, false);
      cluster.setLeader(shard, (round % 3) + 1);
    }
    await until(() => answers.length === 400);
    expect(said()).toEqual(Array.from({ length: 400 }, (_, i) => `${i}:${i}`));
  });

  test('a forwarded failure closes its lane: what was behind it is not stored', async () => {
    const queue = remoteQueue();
    const shard = shardOf(queue);
    const before = cluster.logs.get(shard)!.entries.length;
    let seen = 0;
    cluster.intercept = () => {
      seen += 1;
      return seen === 1 ? { status: 'overloaded' } : undefined;
    };
    for (let id = 1; id <= 5; id += 1) send(id, { queue });
    await until(() => answers.length === 5);
    expect(said()).toEqual([
      '1:SHARD_OVERLOADED',
      ...[2, 3, 4, 5].map((id) => `${id}:PRECEDING_FAILED`),
    ]);
    expect(cluster.logs.get(shard)!.entries.length).toBe(before);
  });
});

describe('a client that goes', () => {
  const stats = (node: number) => cluster.node(node).service.stats();

  test('while its request waits for a leader leaves no waiting call', async () => {
    const queue = remoteQueue();
    cluster.setLeader(shardOf(queue), undefined);
    send(1, { queue });
    await until(() => stats(1).waitingCalls > 0);
    stream.cancel();
    await until(() => stats(1).waitingCalls === 0);
    expect(stats(1).inflightRequestBytes).toBe(0);
  });

  test('while its topic is looked up holds nothing, and nothing is stored', async () => {
    const node = cluster.node(2);
    const other = connect(node.port);
    const own = other.stream<object, Answer>('Log/ProduceStream');
    const seen: Answer[] = [];
    own.on('data', (answer: Answer) => seen.push(answer)).on('error', () => {});
    const request = { topic, queue: 0, messages: [message('x')] };
    own.write({ request_id: 1, request });
    await until(() => seen.length === 1);
    node.holdMeta = true;
    const grow = {
      type: 'updateTopic',
      name: topic,
      topicId: '',
      queueCount: 4,
      config: {},
    } as const;
    cluster.append(0, encodeMetaCommand(grow), new Uint8Array(0));
    cluster.reconcile();
    own.write({ request_id: 2, request: { ...request, queue_epoch: 2 } });
    await until(() => stats(2).waitingCalls > 0, 'a look-up');
    own.cancel();
    await until(() => stats(2).streams === 0, 'the end of the stream');
    await until(() => stats(2).waitingCalls === 0, 'the end of the look-up');
    node.releaseMeta();
    await until(() => stats(2).inflightRequestBytes === 0, 'its bytes to be given back');
    const { data } = cluster.logs.get(shardOf(0))!;
    expect(data.queue(node.meta.topic(topic)!.queues[0]!.queueId)!.endOffset).toBe(1);
    other.close();
  });
});

describe('a shard that lives elsewhere', () => {
  test('while nobody is in reach, a stream waits; it does not go round and round', async () => {
    const entry = cluster.node(1);
    entry.remote.add(shardOf(0));
    for (const node of [2, 3]) entry.peers.down.add(node);
    const before = entry.peers.sent.length;
    for (let id = 1; id <= 8; id++) send(id);
    await until(() => entry.service.stats().waitingCalls === 1);
    expect(entry.peers.sent.length - before).toBeLessThan(100);
    entry.peers.down.clear();
    await until(() => answers.length === 8);
    expect(said()).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((id) => `${id}:${id - 1}`));
    entry.remote.clear();
  });
});

describe('bounds', () => {
  test('a client that never reads holds only what the stream may hold', async () => {
    stream.pause();
    const quiet = client.stream<object, Answer>('Log/ProduceStream');
    quiet.on('error', () => {});
    for (let id = 1; id <= 3000; id += 1) {
      quiet.write({ request_id: id, request: { topic, queue: 0, messages: [message('x')] } });
    }
    await until(() => cluster.node(1).service.stats().streams === 2);
    quiet.cancel();
    await until(() => cluster.node(1).service.stats().streams === 1);
    await until(() => cluster.node(1).service.stats().inflightRequestBytes === 0);
  });

  test('garbage ends the stream with an error', async () => {
    const raw = client.stream<object, Answer>('Log/ProduceStream');
    const failed = new Promise<{ metadata: { get(name: string): unknown[] } }>((resolve) =>
      raw.on('error', (error) => resolve(error as never)),
    );
    raw.write({ request_id: -1 });
    expect((await failed).metadata.get('holdfast-reason')).toEqual(['NUMBER_OUT_OF_RANGE']);
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Router } from '../../src/router.ts';
import type { Caller } from '../../src/security/caller.ts';
import { DEMANDS } from '../../src/security/permissions.ts';
import { Calls, clientCall } from '../../src/service/call.ts';
import { Deadlines, SYSTEM_DEADLINE_CLOCK } from '../../src/service/deadlines.ts';
import type { ShardMethod } from '../../src/service/methods.ts';
import {
  type Ack,
  connect,
  message,
  refusal,
  type TestClient,
  trailer,
  until,
} from '../harness/service-client.ts';
import { FakeCluster } from '../harness/service-cluster.ts';

const PRODUCE = '/holdfast.v1.Log/Produce';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let shard = 0;
let leader = 0;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start({ maxWaitingCalls: 5 });
});

afterAll(() => cluster.stop());

/** A topic with one queue, and a client of a node that does not lead it. */
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1);
  shard = cluster.node(1).meta.topic(topic)!.queues[0]!.shard;
  leader = cluster.leaders.get(shard)!;
  client = connect(cluster.node(next(leader)).port);
});

afterEach(() => {
  client.close();
  for (const node of cluster.nodes) node.peers.fate = undefined;
  cluster.intercept = undefined;
  cluster.setLeader(shard, leader);
});

const next = (node: number): number => (node % 3) + 1;
const entry = () => cluster.node(next(leader));

const produce = (fields: object = {}, deadlineMs = 5_000): Promise<Ack> =>
  client.call<Ack>(
    'Log/Produce',
    { topic, queue: 0, messages: [message('x')], ...fields },
    deadlineMs,
  );

const sentProduces = (): number =>
  entry().peers.sent.filter(({ request }) => request.method.startsWith(PRODUCE)).length;

const stored = (): number => cluster.logs.get(shard)!.entries.length;

describe('forwarding', () => {
  test('the leader gets the very bytes of the request, and where they go in the name', async () => {
    await produce();
    const { to, request } = entry().peers.sent.at(-1)!;
    expect(to).toBe(leader);
    expect(request.method).toMatch(new RegExp(`^${PRODUCE}\\?${shard}\\.[0-9]+\\.0\\.1$`));
    const body = Buffer.from(request.body);
    expect(body.includes(Buffer.from(topic))).toBe(true);
    expect(request.timeoutMs).toBeLessThanOrEqual(5_000);
  });

  test('a write whose bytes went out is never sent again', async () => {
    entry().peers.fate = () => 'lostAfter';
    const before = stored();
    const sent = sentProduces();
    const { reason, error } = await refusal(produce());
    expect(reason).toBe('OUTCOME_UNKNOWN');
    expect(trailer(error, 'outcome-unknown')).toBe('true');
    expect(trailer(error, 'retryable')).toBe('true');
    expect(sentProduces()).toBe(sent + 1);
    expect(stored()).toBe(before + 1);
  });

  test('a read is sent again', async () => {
    await produce();
    let lost = 0;
    entry().peers.fate = () => {
      lost += 1;
      return lost === 1 ? { status: 'lost' } : undefined;
    };
    const fetched = client.call('Log/Fetch', { topic, queue: 0, offset: 0 });
    await until(() => lost === 1);
    entry().peers.setUp(leader, true);
    expect(await fetched).toMatchObject({ next_offset: '1' });
  });

  test('what was not sent waits for the connection, without polling', async () => {
    entry().peers.down.add(leader);
    const sent = sentProduces();
    const acked = produce();
    await until(() => entry().service.stats().waitingCalls === 1);
    expect(sentProduces()).toBe(sent + 1);
    entry().peers.setUp(leader, true);
    expect((await acked).base_offset).toBe('0');
  });
});

describe('without a leader', () => {
  test('a call waits for the next one and goes there', async () => {
    cluster.setLeader(shard, undefined);
    const acked = produce();
    await until(() => entry().service.stats().waitingCalls === 1);
    const successor = next(next(leader));
    cluster.setLeader(shard, successor, false);
    cluster.setLeader(shard, successor);
    expect((await acked).base_offset).toBe('0');
    expect(entry().peers.sent.at(-1)!.to).toBe(successor);
  });

  test('a call whose shard leaves this node goes to those that have it', async () => {
    cluster.setLeader(shard, undefined);
    const acked = produce();
    const node = entry();
    await until(() => node.service.stats().waitingCalls === 1);
    node.remote.add(shard);
    cluster.setLeader(shard, leader);
    for (const listener of node.leadershipListeners) listener(shard);
    expect((await acked).base_offset).toBe('0');
    node.remote.delete(shard);
  });

  test('a leader that is not ready yet lets a forwarded call wait there', async () => {
    cluster.setLeader(shard, leader, false);
    const acked = produce();
    await until(() => cluster.node(leader).service.stats().waitingCalls === 1);
    cluster.setLeader(shard, leader);
    expect((await acked).base_offset).toBe('0');
  });

  test('a deadline in the wait is definite: nothing was done, and it says so', async () => {
    cluster.setLeader(shard, undefined);
    const before = stored();
    // The stub gives up at its own deadline; ask the node itself what it would have said.
    const answered = new Promise<{ reason: string; outcomeUnknown: boolean }>((resolve) => {
      const command = { type: 'closeQueue', queueId: 1 } as const;
      entry().service.callShard(shard, command, (error) => resolve(error!));
    });
    const { reason } = await refusal(produce({}, 200));
    expect(['undefined', 'DEADLINE_BEFORE_START']).toContain(reason);
    await until(() => entry().service.stats().waitingCalls === 1);
    cluster.setLeader(shard, leader);
    await answered.catch(() => undefined);
    expect(stored()).toBe(before + 1);
  });

  test('more than maxWaitingCalls are told to come again', async () => {
    cluster.setLeader(shard, undefined);
    const waiting = Array.from({ length: 5 }, () => produce());
    await until(() => entry().service.stats().waitingCalls === 5);
    const { reason, error } = await refusal(produce());
    expect(reason).toBe('NODE_BUSY');
    expect(Number(trailer(error, 'retry-after-ms'))).toBeGreaterThan(0);
    cluster.setLeader(shard, leader);
    await Promise.all(waiting);
    expect(entry().service.stats().waitingCalls).toBe(0);
  });
});

describe('what the leader says', () => {
  test('NOT_LEADER with a hint leads to that node at once', async () => {
    const successor = next(next(leader));
    let asked = 0;
    entry().peers.fate = (to) => {
      if (to !== leader) return undefined;
      asked += 1;
      cluster.leaders.set(shard, successor);
      return undefined;
    };
    expect((await produce()).base_offset).toBe('0');
    expect(asked).toBe(1);
    expect(entry().peers.sent.at(-1)!.to).toBe(successor);
  });

  test('a proposal that was replaced is definite and routed again', async () => {
    let fates = 0;
    cluster.intercept = () => {
      fates += 1;
      if (fates > 1) return undefined;
      setImmediate(() => cluster.setLeader(shard, leader));
      return { status: 'replaced' };
    };
    expect((await produce()).base_offset).toBe('0');
    expect(fates).toBe(2);
  });

  test('unknown stays unknown; overloaded is later', async () => {
    cluster.intercept = () => ({ status: 'unknown', reason: 'deposed' });
    expect((await refusal(produce())).reason).toBe('OUTCOME_UNKNOWN');
    cluster.intercept = () => ({ status: 'overloaded' });
    const { reason, error } = await refusal(produce());
    expect(reason).toBe('SHARD_OVERLOADED');
    expect(trailer(error, 'outcome-unknown')).toBe('false');
  });
});

describe('metadata that lags', () => {
  test('an unknown topic is looked up behind the metadata leader before NOT_FOUND', async () => {
    entry().holdMeta = true;
    cluster.createTopic(`${topic}-new`, 1);
    const acked = produce({ topic: `${topic}-new` });
    await until(() => entry().service.stats().waitingCalls === 1);
    entry().releaseMeta();
    expect((await acked).count).toBe(1);
    expect((await refusal(produce({ topic: `${topic}-none` }))).reason).toBe('TOPIC_NOT_FOUND');
  });
});

describe('a shard that lives elsewhere', () => {
  beforeEach(() => void entry().remote.add(shard));
  afterEach(() => entry().remote.clear());

  test('is found without a replica here: by its placement, then by who is named', async () => {
    expect((await produce()).base_offset).toBe('0');
    const successor = next(next(leader));
    cluster.setLeader(shard, successor);
    expect((await produce()).base_offset).toBe('1');
    const sent = sentProduces();
    expect((await produce()).base_offset).toBe('2');
    // Whoever answered last time is asked first.
    expect(sentProduces()).toBe(sent + 1);
    expect(entry().peers.sent.at(-1)!.to).toBe(successor);
  });

  test('waits out an election without an event to wake it', async () => {
    cluster.setLeader(shard, undefined);
    const acked = produce();
    await until(() => entry().service.stats().waitingCalls === 1);
    cluster.setLeader(shard, leader);
    expect((await acked).base_offset).toBe('0');
  });
});

test('a call of which nobody asked whether it is allowed reaches no shard, on no node', () => {
  const deadlines = new Deadlines(SYSTEM_DEADLINE_CLOCK);
  const timers = { clock: SYSTEM_DEADLINE_CLOCK, deadlines };
  const limits = { maxWaitingCalls: 1, busyRetryAfterMs: 1 };
  const somebody = { owner: 'app', hold: () => undefined } as unknown as Caller;
  for (const { host, peers } of cluster.nodes) {
    const router = new Router(host, peers, limits, timers);
    const performed: string[] = [];
    const method: ShardMethod = {
      name: 'm',
      kind: 'read',
      perform: () => void performed.push('m'),
    };
    const sent = peers.sent.length;
    const answers: unknown[] = [];
    const route = (demands: boolean) => {
      const calls = new Calls(SYSTEM_DEADLINE_CLOCK, deadlines);
      const call = calls.open(1000, clientCall(somebody), () => undefined);
      if (demands) call.demand(DEMANDS.produceTo, topic);
      const target = { shard, queueId: 1, queue: 0, variant: 0 };
      const routed = { method, target, body: new Uint8Array(0) };
      router.route(call, routed, (error) => answers.push(error));
      call.cancel();
    };
    route(false);
    expect(answers).toMatchObject([
      { reason: 'INTERNAL', message: expect.stringMatching(/nobody asked whether m/) },
    ]);
    expect([performed.length, peers.sent.length]).toEqual([0, sent]);
    route(true);
    expect(performed.length + peers.sent.length).toBe(sent + 1);
    router.close();
  }
  deadlines.close();
});

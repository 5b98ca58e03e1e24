import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import { FIRST_LEVEL } from '../../../src/broker/feature-level.ts';
import { connect, message, refusal, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

const MINUTE_MS = 60_000;

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let group = '';
let beganMs = 0;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 2);
  client = connect(cluster.node(1).port);
  beganMs = cluster.timeMs;
});
afterEach(() => client.close());

interface Answer {
  readonly total_lag?: string;
  readonly queues: readonly Record<string, unknown>[];
}

const call = (method: string, request: object): Promise<Answer> =>
  client.call<Answer>(method, { group, ...request });

async function commit(queue: number, offset: number): Promise<void> {
  await call('Log/CommitOffset', { topic, offsets: [{ queue, offset }] });
}

/** Each minute a message in queue 0; the group commits it half a minute later. */
async function fiveMinutes(): Promise<void> {
  for (let at = 1; at <= 5; at += 1) {
    await client.call('Log/Produce', { topic, queue: 0, messages: [message('x')] });
    cluster.timeMs += MINUTE_MS / 2;
    await commit(0, at);
    cluster.timeMs += MINUTE_MS / 2;
  }
}

describe('where a group stood', () => {
  test('by queue, with the time of the record and how far behind it was', async () => {
    await fiveMinutes();
    const stood = async (afterMs: number) => {
      const answer = await call('Groups/DescribeAt', { at_ms: beganMs + afterMs });
      const { end_offset, known_since_ms, lag, offset, recorded_at_ms } = answer.queues[0]!;
      expect(known_since_ms).toBe(String(beganMs + MINUTE_MS / 2));
      expect([answer.queues.length, answer.total_lag]).toEqual([1, lag]);
      return [offset, Number(recorded_at_ms) - beganMs, end_offset, lag];
    };
    expect(await stood(2.7 * MINUTE_MS)).toEqual(['3', 2.5 * MINUTE_MS, '3', '0']);
    expect(await stood(3.2 * MINUTE_MS)).toEqual(['3', 2.5 * MINUTE_MS, '4', '1']);
    expect(await stood(1e9)).toEqual(['5', 4.5 * MINUTE_MS, '5', '0']);
    const before = await call('Groups/DescribeAt', { at_ms: beganMs + 1, topic });
    expect(before.queues[0]).toMatchObject({ recorded_at_ms: '0', lag: '1', topic, queue: 0 });
    expect(before.queues[0]!._offset).toBeUndefined();
  });

  test('of one topic, where it is asked for', async () => {
    const other = `${topic}-other`;
    cluster.createTopic(other, 1);
    await call('Log/CommitOffset', { topic: other, offsets: [{ queue: 0, offset: 0 }] });
    await commit(1, 0);
    const topics = async (request: object) =>
      (await call('Groups/DescribeAt', { at_ms: cluster.timeMs, ...request })).queues.map(
        (queue) => queue.topic,
      );
    expect((await topics({})).sort()).toEqual([topic, other]);
    expect(await topics({ topic: other })).toEqual([other]);
  });

  test('each member of a broadcast group has a past of its own', async () => {
    const member = { member_id: 'm', instance_id: 'i', mode: 2, topics: [topic] };
    const { assignment } = await client.call<{ assignment: { generation: string } }>(
      'Groups/Join',
      { group, ...member },
    );
    await client.call('Log/Produce', { topic, queue: 0, messages: [message('x')] });
    const { generation } = assignment;
    const offsets = [{ queue: 0, offset: 1 }];
    await call('Log/CommitOffset', { topic, offsets, member_id: 'm', generation });
    const at = { at_ms: cluster.timeMs };
    expect((await call('Groups/DescribeAt', at)).queues).toEqual([]);
    const own = await call('Groups/DescribeAt', { ...at, member_id: 'm' });
    expect(own.queues).toMatchObject([{ queue: 0, offset: '1' }]);
  });
});

describe('a fork', () => {
  test('begins where the group stood, and goes its own way', async () => {
    await fiveMinutes();
    const fork = { new_group: `${group}-new`, at_ms: beganMs + 3.2 * MINUTE_MS };
    const { queues } = await call('Groups/Fork', fork);
    expect(queues).toMatchObject([{ topic, queue: 0, offset: '3', recorded_offset: '3' }]);
    const offsetOf = async (name: string) =>
      (await client.call<Answer>('Log/GetOffset', { group: name, topic })).queues[0]!.offset;
    expect([await offsetOf(group), await offsetOf(fork.new_group)]).toEqual(['5', '3']);
    const { reason } = await refusal(call('Groups/Fork', fork));
    expect(reason).toBe('GROUP_EXISTS');
  });

  test('begins with the first message that is left, and says so', async () => {
    await fiveMinutes();
    const { queueId, shard } = cluster.node(1).meta.topic(topic)!.queues[0]!;
    const queues = [{ queueId, startOffset: 4, startIndex: 0 }];
    cluster.append(shard, encodeCommand({ type: 'trim', queues, logTrim: 0 }), Buffer.alloc(0));
    const at = { at_ms: beganMs + 2.7 * MINUTE_MS };
    const past = await call('Groups/DescribeAt', at);
    expect(past.queues).toMatchObject([{ offset: '3', start_offset: '4', lag: '0' }]);
    const forked = await call('Groups/Fork', { ...at, new_group: `${group}-new` });
    expect(forked.queues).toMatchObject([{ offset: '4', recorded_offset: '3' }]);
  });

  test('waits for the feature level at which every node can read it', async () => {
    const older = new FakeCluster(1, 1, FIRST_LEVEL);
    await older.start();
    const of = connect(older.node(1).port);
    const fork = of.call('Groups/Fork', { group, new_group: 'new', at_ms: 5 });
    expect((await refusal(fork)).reason).toBe('NOT_YET');
    of.close();
    await older.stop();
  });

  test('leaves out queues whose past is not known, and is refused where none is', async () => {
    await commit(0, 0);
    cluster.timeMs += MINUTE_MS;
    await commit(1, 0);
    const at_ms = beganMs + 1;
    const { queues } = await call('Groups/Fork', { at_ms, new_group: `${group}-new` });
    expect(queues.map(({ queue }) => queue)).toEqual([0]);
    const early = call('Groups/Fork', { at_ms: beganMs - 1, new_group: `${group}-early` });
    expect((await refusal(early)).reason).toBe('GROUP_NOT_FOUND');
  });
});

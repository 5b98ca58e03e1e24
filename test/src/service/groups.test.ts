import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import { refuseCommand } from '../../../src/service/state-admission.ts';
import {
  connect,
  message,
  refusal,
  type TestClient,
  trailer,
  until,
} from '../../harness/service-client.ts';
import { commandOf, FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let group = '';
let shard = 0;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start({ minSessionMs: 60, defaultSessionMs: 60_000 });
});
afterAll(() => cluster.stop());

/** Through a node that does not lead the group's shard. */
beforeEach(async ({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 4);
  shard = cluster.node(1).meta.shardOfGroup(group);
  client = connect(cluster.node((cluster.leaders.get(shard)! % 3) + 1).port);
  for (const queue of [0, 1, 2, 3]) {
    await client.call('Log/Produce', { topic, queue, messages: [message('x'), message('y')] });
  }
});
afterEach(() => client.close());

interface Assignment {
  readonly generation: string;
  readonly table: string;
  readonly epoch: string;
  readonly topics: readonly {
    readonly topic: string;
    readonly queues: readonly { readonly queue: number; readonly offset?: string }[];
    readonly revoked: readonly number[];
  }[];
}
interface Joined {
  readonly member_id: string;
  readonly session_ms: number;
  readonly assignment: Assignment;
}
interface Beat {
  readonly generation: string;
  readonly assignment: Assignment | null;
}

const call = <Answer>(method: string, fields: object = {}): Promise<Answer> =>
  client.call<Answer>(`Groups/${method}`, { group, ...fields });
const join = (member: string, fields: object = {}) =>
  call<Joined>('Join', { member_id: member, instance_id: '1', topics: [topic], ...fields });
const beat = (member: string, assignment: Partial<Assignment> = {}, waitMs = 0) =>
  call<Beat>('Heartbeat', {
    ...{ member_id: member, instance_id: '1', max_wait_ms: waitMs },
    ...{ generation: assignment.generation ?? 0, table: assignment.table ?? 0 },
  });
const queues = ({ topics }: Assignment): number[] => topics[0]!.queues.map(({ queue }) => queue);
const commit = (queue: number, offset: number, fields: object = {}) =>
  client.call('Log/CommitOffset', { topic, group, offsets: [{ queue, offset }], ...fields });

describe('members', () => {
  test('share the queues, each handed over by its old owner', async () => {
    const a = await join('a');
    expect(a).toMatchObject({ member_id: 'a', session_ms: 60_000 });
    expect(queues(a.assignment)).toEqual([0, 1, 2, 3]);
    await commit(2, 1, { member_id: 'a', generation: a.assignment.generation });

    const b = await join('b');
    expect(queues(b.assignment)).toEqual([]);
    const told = await beat('a', a.assignment);
    expect(told.assignment).toMatchObject({ topics: [{ revoked: [2, 3] }] });
    expect(queues(told.assignment!)).toEqual([0, 1]);
    // Told, but not yet acknowledged: it is still the owner.
    await commit(2, 2, { member_id: 'a', generation: told.generation });
    expect(queues((await beat('b')).assignment!)).toEqual([]);

    const gave = await beat('a', told.assignment!);
    expect(gave.generation).toBe(told.generation);
    expect(gave.assignment!.topics[0]!.revoked).toEqual([]);
    const has = (await beat('b', b.assignment)).assignment!;
    expect(has.topics[0]!.queues).toMatchObject([{ queue: 2, offset: '2' }, { queue: 3 }]);
    const { reason, error } = await refusal(
      commit(3, 1, { member_id: 'a', generation: gave.generation }),
    );
    expect(reason).toBe('STALE_GENERATION');
    expect(error.details).toContain('may not commit queue 3');
    await commit(3, 1, { member_id: 'b', generation: has.generation });
  });

  test('that join again get the same answer; another process takes the name over', async () => {
    const first = await join('a');
    expect(await join('a')).toEqual(first);
    const other = await join('a', { instance_id: '2' });
    expect(Number(other.assignment.generation)).toBeGreaterThan(
      Number(first.assignment.generation),
    );
    const { reason, error } = await refusal(beat('a', first.assignment));
    expect(reason).toBe('MEMBER_UNKNOWN');
    expect(error.details).toContain('Join again');
    expect((await refusal(call('Leave', { member_id: 'a', instance_id: '1' }))).reason).toBe(
      'MEMBER_UNKNOWN',
    );
  });

  test('get a name where they have none', async () => {
    const { member_id: name } = await join('');
    expect(name).toMatch(/^member-/);
    expect((await beat(name)).assignment!.topics[0]!.topic).toBe(topic);
  });

  test('that leave make room at once', async () => {
    await join('a');
    const b = await join('b');
    await call('Leave', { member_id: 'a', instance_id: '1' });
    expect(queues((await beat('b', b.assignment)).assignment!)).toEqual([0, 1, 2, 3]);
  });

  test('that are silent for their session are gone, others not', async () => {
    const a = await join('a', { session_ms: 250 });
    const b = await join('b');
    const over = await beat('b', b.assignment, 10_000);
    expect(queues(over.assignment!)).toEqual([0, 1, 2, 3]);
    expect((await refusal(beat('a', a.assignment))).reason).toBe('MEMBER_UNKNOWN');
  });

  test('that are heard of stay', async () => {
    const a = await join('a', { session_ms: 400 });
    for (let i = 0; i < 8; i += 1) {
      // Waits for a third of the session each time.
      await beat('a', a.assignment, 10_000);
    }
    expect((await beat('a', a.assignment)).assignment).toBeNull();
  });

  test('have a whole session with a new leader', async () => {
    await join('a', { session_ms: 300 });
    const old = cluster.leaders.get(shard)!;
    cluster.setLeader(shard, (old % 3) + 1);
    const view = () => cluster.logs.get(shard)!.data.membership(group)!;
    const startedMs = performance.now();
    await until(() => view().members.size === 0);
    expect(performance.now() - startedMs).toBeGreaterThan(250);
  });
});

describe('a heartbeat that waits', () => {
  test('answers when something changes', async () => {
    const a = await join('a');
    const told = beat('a', a.assignment, 10_000);
    await join('b');
    expect((await told).assignment!.topics[0]!.revoked).toEqual([2, 3]);
  });

  test('goes on at the next leader', async () => {
    const a = await join('a');
    const told = beat('a', a.assignment, 15_000);
    const leader = cluster.node(cluster.leaders.get(shard)!);
    await until(() => leader.service.stats().longPolls > 0);
    cluster.setLeader(shard, (leader.id % 3) + 1);
    await join('b');
    expect((await told).assignment!.topics[0]!.revoked).toEqual([2, 3]);
    await until(() => leader.service.stats().longPolls === 0);
  });

  test('leaves nothing behind when it is cancelled', async () => {
    const a = await join('a');
    const leader = cluster.node(cluster.leaders.get(shard)!);
    const { generation, table } = a.assignment;
    const waiting = client.start('Groups/Heartbeat', {
      ...{ group, member_id: 'a', instance_id: '1', generation, table, max_wait_ms: 15_000 },
    });
    await until(() => leader.service.stats().longPolls > 0);
    waiting.cancel();
    await refusal(waiting.answer);
    await until(() => leader.service.stats().longPolls === 0);
  });
});

describe('a group', () => {
  test('grows with its topics', async () => {
    const a = await join('a');
    const told = beat('a', a.assignment, 10_000);
    await client.call('Admin/DescribeTopic', { name: topic });
    const update = client.call('Admin/UpdateTopic', { name: topic, queue_count: 6 });
    await until(() => cluster.node(1).meta.pendingTopics().length > 0);
    cluster.reconcile();
    await update;
    expect(queues((await told).assignment!)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('is listed and described, with owners, offsets and lag', async () => {
    const a = await join('a', { client_name: 'the first' });
    await commit(0, 2, { member_id: 'a', generation: a.assignment.generation });
    await join('b');
    const all = await call<{ groups: { group: string }[] }>('List', { page_size: 1000 });
    expect(all.groups.find((one) => one.group === group)).toEqual({
      ...{ group, mode: 1, members: 2, topics: 1, shard },
    });
    const first = await call<typeof all & { next_page_token: string }>('List', { page_size: 1 });
    const second = await call<typeof all>('List', { page_token: first.next_page_token });
    // By name: sessions of other tests' members may run out between two calls.
    const names = ({ groups }: typeof all) => groups.map((one) => one.group);
    expect(names(first)).toHaveLength(1);
    expect([...names(first), ...names(second)]).toEqual(names(all));
    expect(await call('Describe')).toMatchObject({
      group,
      mode: 1,
      shard,
      members: [
        { member_id: 'a', client_name: 'the first', session_ms: 60_000, topics: [topic] },
        { member_id: 'b' },
      ],
      queues: [
        { topic, queue: 0, owner: 'a', next_owner: '', offset: '2', end_offset: '2', lag: '0' },
        { queue: 1, owner: 'a', next_owner: '', lag: '2' },
        { queue: 2, owner: 'a', next_owner: 'b', lag: '2' },
        { queue: 3, owner: 'a', next_owner: 'b', lag: '2' },
      ],
      total_lag: '6',
    });
  });

  test('is deleted when nobody is there', async () => {
    await join('a');
    const { reason, error } = await refusal(call('Delete'));
    expect(reason).toBe('GROUP_HAS_MEMBERS');
    expect(trailer(error, 'members')).toBe('1');
    await call('Leave', { member_id: 'a', instance_id: '1' });
    await call('Delete');
    expect((await refusal(call('Describe'))).reason).toBe('GROUP_NOT_FOUND');
  });

  test('whose offsets are reset tells its members, who cannot undo it', async () => {
    const a = await join('a');
    const mine = { member_id: 'a', generation: a.assignment.generation };
    await commit(0, 2, mine);
    await client.call('Log/ResetOffsets', { topic, group, queues: [0], from: 1 });
    expect((await refusal(commit(0, 2, mine))).reason).toBe('STALE_GENERATION');
    const told = await beat('a', a.assignment);
    expect(Number(told.assignment!.epoch)).toBeGreaterThan(Number(a.assignment.epoch));
    expect(told.assignment!.topics[0]!.queues[0]).toMatchObject({ queue: 0, offset: '0' });
    const now = { ...mine, generation: told.generation };
    const { error } = await refusal(commit(0, 2, now));
    expect(error.details).toContain('just reset');
    await beat('a', told.assignment!);
    await commit(0, 1, now);
  });

  test('of broadcast mode gives everything to everybody', async () => {
    const a = await join('a', { mode: 2 });
    const b = await join('b', { mode: 2 });
    expect(queues(a.assignment)).toEqual([0, 1, 2, 3]);
    const now = { generation: b.assignment.generation };
    await commit(0, 2, { member_id: 'a', ...now });
    await commit(0, 1, { member_id: 'b', ...now });
    const described = await call<{ queues: object[] }>('Describe');
    expect(described.queues).toHaveLength(8);
    const { assignment } = await beat('a', {});
    expect(assignment!.topics[0]!.queues[0]).toMatchObject({ queue: 0, offset: '2' });
    const own = async (member: string) => {
      const request = { group, topic, queues: [0], member_id: member };
      const { queues: found } = await client.call<{ queues: object[] }>('Log/GetOffset', request);
      return found;
    };
    expect(await own('a')).toMatchObject([{ offset: '2' }]);
    expect(await own('b')).toMatchObject([{ offset: '1' }]);
    expect(await own('')).not.toHaveProperty('0.offset');
    expect(await own('nobody')).not.toHaveProperty('0.offset');
    expect((await refusal(join('c'))).reason).toBe('GROUP_MODE');
  });
});

describe('refused', () => {
  const one = { member_id: 'a', generation: 1 };
  test.each([
    ['INVALID_NAME', 'is not a name', () => call('Join', { group: 'a@b', topics: [topic] })],
    ['INVALID_NAME', 'member_id has 65 bytes', () => join('x'.repeat(65))],
    ['INVALID_NAME', 'instance_id has 65', () => join('a', { instance_id: 'x'.repeat(65) })],
    ['INVALID_NAME', 'client_name has 128', () => join('a', { client_name: 'x'.repeat(128) })],
    ['INVALID_REQUEST', '0 topics', () => join('a', { topics: [] })],
    ['INVALID_REQUEST', '65 topics', () => join('a', { topics: Array(65).fill(topic) })],
    ['INVALID_REQUEST', 'named twice', () => join('a', { topics: [topic, topic] })],
    ['TOPIC_NOT_FOUND', 'topic create', () => join('a', { topics: ['nowhere'] })],
    ['NUMBER_OUT_OF_RANGE', 'between 60 and', () => join('a', { session_ms: 59 })],
    ['NUMBER_OUT_OF_RANGE', '1800000', () => join('a', { session_ms: 1_800_001 })],
    ['NUMBER_OUT_OF_RANGE', 'session_ms is -1', () => join('a', { session_ms: -1 })],
    ['INVALID_REQUEST', 'mode 3 does not exist', () => join('a', { mode: 3 })],
    ['INVALID_REQUEST', 'member_id is empty', () => beat('')],
    ['INVALID_REQUEST', 'member_id is empty', () => call('Leave')],
    ['NUMBER_OUT_OF_RANGE', 'generation', () => beat('a', { generation: '-1' })],
    ['NUMBER_OUT_OF_RANGE', 'max_wait_ms', () => beat('a', {}, -1)],
    ['MEMBER_UNKNOWN', 'Join again', () => beat('nobody')],
    ['MEMBER_UNKNOWN', 'Join again', () => call('Leave', { member_id: 'nobody' })],
    ['GROUP_NOT_FOUND', 'first Join', () => call('Describe')],
    ['GROUP_NOT_FOUND', 'first Join', () => call('Delete')],
    ['NUMBER_OUT_OF_RANGE', 'page_size', () => call('List', { page_size: -1 })],
    ['INVALID_REQUEST', 'belong together', () => commit(0, 1, { member_id: 'a' })],
    ['INVALID_REQUEST', 'belong together', () => commit(0, 1, { generation: 1 })],
    ['MEMBER_UNKNOWN', 'Join again', () => commit(0, 1, one)],
  ])('%s: %s', async (reason, text, refused) => {
    const { reason: found, error } = await refusal(refused());
    expect(found).toBe(reason);
    expect(error.details).toContain(text);
  });

  test('a commit of nobody in particular, while the group has members', async () => {
    await join('a');
    expect((await refusal(commit(0, 1))).reason).toBe('GROUP_HAS_MEMBERS');
    expect((await refusal(commit(0, 1, one))).error.details).toContain('the current one, which is');
  });

  test('a new member where the shard is full, but not one that is known', async () => {
    await join('a');
    const { data } = cluster.logs.get(shard)!;
    const last = cluster.logs
      .get(shard)!
      .entries.findLast((entry) => commandOf(entry).type === 'joinGroup')!;
    const command = commandOf(last) as Extract<ReturnType<typeof commandOf>, { type: 'joinGroup' }>;
    const full = (over: object, name: string) => {
      const view = {
        counts: () => ({ ...data.counts(), ...over }),
        groupEpoch: (one: string) => data.groupEpoch(one),
        membership: (one: string) => data.membership(one),
      } as typeof data;
      return refuseCommand(view, { ...command, memberId: name })?.reason;
    };
    const { maxGroupMembers: groupMembers } = DATA_SHARD_LIMITS;
    expect(full({ groupMembers }, 'a')).toBeUndefined();
    expect(full({ groupMembers }, 'z')).toBe('SHARD_STATE_FULL');
    expect(full({ groupQueues: DATA_SHARD_LIMITS.maxGroupQueues }, 'z')).toBeUndefined();
  });
});

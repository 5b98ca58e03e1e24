import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  connect,
  message,
  refusal,
  type TestClient,
  trailer,
} from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;
let topic = '';
let group = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
});
afterAll(() => cluster.stop());

/** Three queues with 5, 6 and 7 messages, each a second younger than the one before. */
beforeEach(async ({ task }) => {
  topic = `topic-${task.id}`;
  group = `group-${task.id}`;
  cluster.createTopic(topic, 3);
  client = connect(cluster.node(2).port);
  for (const queue of [0, 1, 2]) {
    for (let i = 0; i < 5 + queue; i += 1) {
      cluster.timeMs += 1_000;
      await client.call('Log/Produce', { topic, queue, messages: [message('x')] });
    }
  }
});
afterEach(() => client.close());

const call = (method: string, fields: object): Promise<Record<string, unknown>> =>
  client.call(`Log/${method}`, { topic, group, ...fields });
const commit = (...offsets: [number, number | string][]) =>
  call('CommitOffset', { offsets: offsets.map(([queue, offset]) => ({ queue, offset })) });

describe('list', () => {
  test('start and end of all or some queues, and the offset at a time', async () => {
    expect(await call('ListOffsets', {})).toEqual({
      queues: [5, 6, 7].map((count, queue) => ({
        ...{ queue, start_offset: '0', end_offset: String(count) },
      })),
    });
    const at = cluster.timeMs - 1_500;
    const { queues } = await call('ListOffsets', { queues: [2, 0], at_ms: at });
    expect(queues).toMatchObject([
      { queue: 2, offset_at_time: '5' },
      { queue: 0, offset_at_time: '5' },
    ]);
  });

  test('unknown queues and negative times are refused', async () => {
    expect((await refusal(call('ListOffsets', { queues: [3] }))).reason).toBe('QUEUE_NOT_FOUND');
    expect((await refusal(call('ListOffsets', { queues: [-1] }))).reason).toBe(
      'NUMBER_OUT_OF_RANGE',
    );
    expect((await refusal(call('ListOffsets', { at_ms: -1 }))).reason).toBe('NUMBER_OUT_OF_RANGE');
  });
});

describe('commit and get', () => {
  test('what was committed, what was not, and the lag', async () => {
    const { log_index: index } = await commit([0, 3], [2, 7]);
    expect(Number(index)).toBeGreaterThan(0);
    expect(await call('GetOffset', {})).toMatchObject({
      queues: [
        { queue: 0, offset: '3', end_offset: '5', lag: '2' },
        { queue: 1, end_offset: '6', lag: '6' },
        { queue: 2, offset: '7', end_offset: '7', lag: '0' },
      ],
    });
    const { queues } = await call('GetOffset', { queues: [1] });
    expect((queues as { offset?: string }[])[0]!.offset).toBeUndefined();
  });

  test('all or nothing: one falling offset refuses the whole commit', async () => {
    await commit([0, 3]);
    const { reason, error } = await refusal(commit([1, 4], [0, 2]));
    expect(reason).toBe('OFFSET_FALLS');
    expect(trailer(error, 'current-offset')).toBe('3');
    const { queues } = await call('GetOffset', { queues: [1] });
    expect((queues as { offset?: string }[])[0]!.offset).toBeUndefined();
  });

  test('the end may be committed, what lies past it may not', async () => {
    await commit([0, 5]);
    const { reason, error } = await refusal(commit([0, 6]));
    expect(reason).toBe('OFFSET_PAST_END');
    expect(trailer(error, 'end-offset')).toBe('5');
  });

  test.each([
    ['NUMBER_OUT_OF_RANGE', () => commit([0, -1])],
    ['NUMBER_OUT_OF_RANGE', () => commit([0, '9007199254740992'])],
    ['INVALID_REQUEST', () => commit()],
    ['INVALID_REQUEST', () => commit([0, 1], [0, 2])],
    ['QUEUE_NOT_FOUND', () => commit([9, 1])],
    ['INVALID_NAME', () => call('CommitOffset', { group: '', offsets: [{ queue: 0, offset: 1 }] })],
    ['GROUP_NOT_FOUND', () => call('GetOffset', { group: 'nobody' })],
    ['GROUP_NOT_FOUND', () => call('ResetOffsets', { group: 'nobody', from: 1 })],
    ['TOPIC_NOT_FOUND', () => call('GetOffset', { topic: 'nowhere' })],
  ])('%s', async (reason, refused) => {
    expect((await refusal(refused())).reason).toBe(reason);
  });
});

describe('reset', () => {
  test('moves anywhere and raises the epoch', async () => {
    await commit([0, 5], [1, 6], [2, 7]);
    const first = await call('ResetOffsets', { from: 1 });
    expect(first).toMatchObject({
      offsets: [0, 1, 2].map((queue) => ({ queue, offset: '0' })),
    });
    const second = await call('ResetOffsets', { queues: [2], from: 2 });
    expect(second).toMatchObject({ offsets: [{ queue: 2, offset: '7' }] });
    expect(Number(second.epoch)).toBe(Number(first.epoch) + 1);
    const third = await call('ResetOffsets', { offsets: { offsets: [{ queue: 1, offset: 2 }] } });
    expect(third).toMatchObject({ offsets: [{ queue: 1, offset: '2' }] });
    const fourth = await call('ResetOffsets', { queues: [2], at_ms: cluster.timeMs });
    expect(fourth).toMatchObject({ offsets: [{ queue: 2, offset: '6' }] });
    expect(await call('GetOffset', {})).toMatchObject({
      epoch: fourth.epoch,
      queues: [{ offset: '0' }, { offset: '2' }, { offset: '6' }],
    });
  });

  test('says what is missing or contradicts', async () => {
    await commit([0, 1]);
    for (const fields of [
      {},
      { from: 0 },
      { from: 9 },
      { queues: [0], offsets: { offsets: [{ queue: 0, offset: 0 }] } },
    ]) {
      expect((await refusal(call('ResetOffsets', fields))).reason).toBe('INVALID_REQUEST');
    }
  });
});

import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { runCommand } from './run-command.ts';

let cluster: FakeCluster;

beforeAll(async () => {
  cluster = new FakeCluster(1, 1);
  await cluster.start();
});
afterAll(() => cluster.stop());

const run = (...words: string[]) =>
  runCommand('group', ...words, '--server', `127.0.0.1:${cluster.node(1).port}`);

it('group at, group fork: where it stood, and a new one from there', async () => {
  cluster.createTopic('orders', 1);
  const { topicId } = cluster.node(1).meta.topic('orders')!;
  const began = new Date(cluster.timeMs);
  const offsets = [{ queue: 0, offset: 0 }];
  const commit = { type: 'commitOffsets', group: 'billing', topicId, offsets } as const;
  cluster.append(1, encodeCommand(commit), new Uint8Array(0));
  const time = ['--time', began.toISOString()];

  const table = (await run('at', 'billing', ...time)).stdout.toString();
  expect(table.split('\n').slice(0, 3)).toEqual([
    `group billing at ${began.toISOString()}: lag 0`,
    'TOPIC   QUEUE  COMMITTED  RECORDED                  END  LAG',
    `orders  0      0          ${began.toISOString()}  0    0`,
  ]);
  const early = await run('at', 'billing', '--time', '2020-01-01T00:00Z');
  expect(early.stdout.toString()).toContain(`not known before ${began.toISOString()}`);
  const [json] = (await run('at', 'billing', ...time, '--topic', 'orders', '--json')).json();
  expect(json).toEqual({
    group: 'billing',
    at_ms: began.getTime(),
    queues: [
      {
        ...{ topic: 'orders', queue: 0, offset: 0, recorded_at_ms: began.getTime() },
        ...{ known_since_ms: began.getTime(), start_offset: 0, end_offset: 0, lag: 0 },
      },
    ],
    total_lag: 0,
  });

  const forked = (await run('fork', 'billing', 'again', ...time)).stdout.toString();
  expect(forked).toContain(`group again begins where billing stood at ${began.toISOString()}`);
  expect(forked).toMatch(/^orders +0 +0 +20\d\d-\S+$/m);
  const [third] = (await run('fork', 'billing', 'third', ...time, '--json')).json();
  expect(third).toMatchObject({ group: 'third', queues: [{ offset: 0, recorded_offset: 0 }] });
  await expect(run('fork', 'billing', 'again', ...time)).rejects.toThrow('exists');
  expect((await run('at', 'billing')).exitCode).toBe(2);
});

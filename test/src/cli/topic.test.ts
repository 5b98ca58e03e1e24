import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster } from '../client/fake-cluster.ts';
import { runCommand } from './run-command.ts';

describe('holdfast topic, holdfast cluster status', () => {
  let cluster: FakeCluster;
  let server: string;

  beforeEach(async () => {
    cluster = new FakeCluster();
    [server = ''] = await cluster.start();
  });

  afterEach(() => cluster.stop());

  const run = (...words: string[]) => runCommand(...words, '--server', server);

  it('create, update, describe, list, delete', async () => {
    const created = await run('topic', 'create', 't', '--queues', '2', '--retention', '72h');
    expect(created.stdout.toString()).toBe('topic t created with 2 queues\n');
    await run('topic', 'update', 't', '--queues', '3', '--retention-bytes', '10MiB');
    expect((await run('topic', 'describe', 't', '--json')).json()).toMatchObject([
      { name: 't', queue_count: 3, queues: [{ queue: 0, shard: 1, leader: 1 }, {}, {}] },
    ]);
    const table = (await run('topic', 'describe', 't')).stdout.toString();
    expect(table).toContain('QUEUE  SHARD  LEADER  START  END');
    expect((await run('topic', 'list', '--json')).json()).toMatchObject([[{ name: 't' }]]);
    expect((await run('topic', 'list')).stdout.toString()).toContain('t      3       72 h');
    await run('topic', 'delete', 't');
    expect((await run('topic', 'list', '--json')).json()).toEqual([[]]);
  });

  it('wrong settings are usage errors', async () => {
    for (const option of [
      ['--retention', '5'],
      ['--queues', '0'],
      ['--durability', 'MOST'],
    ]) {
      expect((await run('topic', 'create', 't', ...option)).exitCode).toBe(2);
    }
  });

  it('cluster status --json has the shape that scripts rely on', async () => {
    const [status] = (await run('cluster', 'status', '--json')).json();
    expect(status).toEqual({
      cluster_id: 'c0ffee',
      feature_level: 1,
      nodes: [
        {
          ...{ id: 1, address: server, pid: 42, up: true, state: 'member', disk: 'low' },
          ...{ version: '', newest_level: 0 },
        },
      ],
      shards: [
        {
          id: 0,
          leader: 1,
          term: 3,
          commit_index: 10,
          applied_index: 9,
          replicas: [
            {
              ...{ node: 1, match_index: 10, role: 'leader', replica: 1 },
              ...{ catching_up: false, leaving: false, suspect: false },
            },
          ],
          placement: { version: 2, placed_version: 1, voters: [1], learners: [], leader: 1 },
        },
      ],
    });
    expect((await run('cluster', 'status')).stdout.toString()).toMatch(
      /0 \(meta\) {2}node 1 .*1:10 +moving to 1/,
    );
  });
});

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

  it('create --compact: the newest of each key', async () => {
    const create = (name: string, ...options: string[]) => run('topic', 'create', name, ...options);
    await create('plain');
    await create('latest', '--compact');
    await create('slow', '--compact-lag', '90m', '--tombstones', '2d');
    const given = (name: string) => cluster.topics.get(name)?.compaction;
    expect(given('plain')).toBeNull();
    expect(given('latest')).not.toHaveProperty('_min_lag_ms');
    expect(given('slow')).toMatchObject({ min_lag_ms: '5400000', tombstone_ms: '172800000' });
    const described = async (name: string) =>
      (await run('topic', 'describe', name)).stdout.toString().split('\n')[0];
    const text = 'kept 72 h, newest of each key, all of the last 1.5 h, deletions for 48 h, MAJ';
    expect(await described('slow')).toContain(text);
    expect(await described('latest')).toContain('newest of each key, deletions for 0 h, MAJ');
    expect(await described('plain')).toContain('kept 72 h, MAJ');
    expect((await run('topic', 'list')).stdout.toString()).toMatch(/72 h, newest of each key {2}/);
    const [json] = (await run('topic', 'list', '--json')).json();
    expect(json).toMatchObject([
      expect.not.objectContaining({ compaction: expect.anything() }),
      { name: 'latest', compaction: { min_lag_ms: 0 } },
      { name: 'slow', compaction: { min_lag_ms: 5_400_000, tombstone_ms: 172_800_000 } },
    ]);
    expect((await run('topic', 'update', 'plain', '--compact')).exitCode).toBe(2);
  });

  it('retention: what is kept, what would go, and why the logs are so long', async () => {
    await run('topic', 'create', 't', '--queues', '2');
    const settings = ['--retention', '1h', '--retention-bytes', '1KiB', '--at', 'CRITICAL'];
    const table = (await run('topic', 'retention', 't', ...settings)).stdout.toString();
    expect(cluster.requests.at(-1)).toMatchObject({
      ...{ topic: 't', retention_ms: '3600000', retention_bytes: '1024', disk: 'critical' },
    });
    const [, first, second, , node, , held] = table.split('\n');
    expect(first).toMatch(/^t +0 +0 +80 +2023-11-14T22:13:20.000Z +nothing +0$/);
    expect(second).toMatch(/^t +1 +0 +80 +1 +10$/);
    expect(node).toBe('node 1: 1000 bytes of log');
    expect(held).toMatch(
      /^1 +900 +5 to 9 +messages that are kept of t queue 0, from 5 on; then a .* node 2/,
    );
    const [json] = (await run('topic', 'retention', 't', '--json')).json();
    expect(json).toMatchObject({
      queues: [{ queue: 0, oldest_at_ms: 1_700_000_000_000 }, { going_bytes: 10 }],
      nodes: [{ node: 1, bytes: 1000, shards: [{ trim_index: 4, holders: [{ queue: 0 }, {}] }] }],
    });
    expect((await run('topic', 'retention', '--at', 'half')).exitCode).toBe(2);
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

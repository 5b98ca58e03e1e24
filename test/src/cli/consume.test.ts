import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCluster } from '../client/fake-cluster.ts';
import type { Stored } from '../client/fake-wire.ts';
import { runCommand } from './run-command.ts';

function stored(body: string | Buffer): Stored {
  return { body: Buffer.from(body), key: 'k', tag: 't', properties: {}, born_at_ms: '0' };
}

describe('holdfast consume', () => {
  let cluster: FakeCluster;
  let server: string;

  beforeEach(async () => {
    cluster = new FakeCluster();
    [server = ''] = await cluster.start();
    const topic = cluster.createTopic('t', 2);
    topic.queues[0]!.push(stored('a'), stored('b\r'), stored(''));
    topic.queues[1]!.push(stored(Buffer.from([0xff, 0x00])));
  });

  afterEach(() => cluster.stop());

  const consume = (...options: string[]) => runCommand('consume', 't', '-s', server, ...options);

  it('prints bodies as they are, a line each', async () => {
    const { stdout, exitCode } = await consume();
    expect(stdout).toEqual(
      Buffer.concat([Buffer.from('a\nb\r\n\n'), Buffer.from([0xff, 0, 0x0a])]),
    );
    expect(exitCode).toBe(0);
  });

  it('--json prints text as body and anything else as body_base64', async () => {
    const lines = (await consume('--json')).json();
    expect(lines).toHaveLength(4);
    expect(lines[1]).toMatchObject({ queue: 0, offset: 1, key: 'k', tag: 't', body: 'b\r' });
    expect(lines[3]).toMatchObject({ queue: 1, offset: 0, body_base64: '/wA=' });
    expect(lines[3]).not.toHaveProperty('body');
  });

  it('--queue, --max and --from choose', async () => {
    expect((await consume('--queue', '1')).stdout).toEqual(Buffer.from([0xff, 0, 0x0a]));
    expect((await consume('--max', '2')).stdout.toString()).toBe('a\nb\r\n');
    expect((await consume('--from', 'latest')).stdout).toHaveLength(0);
    expect((await consume('--follow', '--max', '3', '--queue', '0')).stdout.toString()).toBe(
      'a\nb\r\n\n',
    );
  });

  it('--group goes on where the last run stopped', async () => {
    expect((await consume('--group', 'g', '--max', '1')).stdout.toString()).toBe('a\n');
    const rest = ['--group', 'g', '--follow', '--max', '1', '--queue', '0'];
    expect((await consume(...rest)).stdout.toString()).toBe('b\r\n');
    expect((await consume('--group', 'g', '--queue', '0')).stdout.toString()).toBe('\n');
    expect((await consume('--group', 'g', '--queue', '0')).stdout).toHaveLength(0);
  });

  it('--tag prints what matches, --filter as well; a group goes past the rest', async () => {
    const topic = cluster.topics.get('t')!;
    topic.queues[0]!.push({ ...stored('paid'), tag: 'paid' }, stored('last'));
    for (const option of ['--tag', '--filter']) {
      expect((await consume(option, 'paid')).stdout.toString()).toBe('paid\n');
    }
    const how = ['--tag', 'paid', '--follow', '--max', '1'];
    expect((await consume(...how)).stdout.toString()).toBe('paid\n');
    expect((await consume('--tag', 'none', '--group', 'g')).stdout).toHaveLength(0);
    expect((await consume('--group', 'g')).stdout).toHaveLength(0);
  });

  it('usage errors end with code 2', async () => {
    for (const options of [
      ['--from', 'yesterday'],
      ['--max', '0'],
      ['--queue', '-1'],
      ['--tag', 'a', '--filter', 'b'],
    ]) {
      expect((await consume(...options)).exitCode).toBe(2);
    }
  });
});

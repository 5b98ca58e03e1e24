import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { queueOfKey } from '../../../src/client/index.ts';
import { FakeCluster } from '../client/fake-cluster.ts';
import { runCommand } from './run-command.ts';

describe('holdfast produce', () => {
  let cluster: FakeCluster;
  let folder: string;
  let server: string;

  beforeEach(async () => {
    cluster = new FakeCluster();
    [server = ''] = await cluster.start();
    cluster.createTopic('t', 1);
    folder = mkdtempSync(join(tmpdir(), 'holdfast-produce-'));
  });

  afterEach(() => {
    cluster.stop();
    rmSync(folder, { recursive: true });
  });

  function produce(input: string | Buffer, ...options: string[]) {
    const file = join(folder, 'input');
    writeFileSync(file, input);
    return runCommand('produce', 't', '--server', server, '--file', file, ...options);
  }

  const bodies = () => cluster.topics.get('t')!.queues[0]!.map(({ body }) => body);

  it('--tag and --property go with every line', async () => {
    const how = ['--tag', 'paid', '--property', 'a=1', '--property', 'b=x=y', '--property', 'c='];
    expect((await produce('one\ntwo\n', ...how)).exitCode).toBe(0);
    const properties = { a: '1', b: 'x=y', c: '' };
    const kept = cluster.topics.get('t')!.queues[0]!;
    expect(kept).toMatchObject([
      { tag: 'paid', properties },
      { tag: 'paid', properties },
    ]);
    for (const wrong of ['a', '=1']) {
      expect((await produce('one\n', '--property', wrong)).exitCode).toBe(2);
    }
  });

  it('sends lines as the bytes they are', async () => {
    const binary = Buffer.from([0xff, 0xfe, 0x00, 0x0d]);
    const input = Buffer.concat([
      Buffer.from('a\r\n\n'),
      binary,
      Buffer.from('\nlast, no newline'),
    ]);
    const run = await produce(input);
    expect(bodies()).toEqual([
      Buffer.from('a\r'),
      Buffer.alloc(0),
      binary,
      Buffer.from('last, no newline'),
    ]);
    expect(run.exitCode).toBe(0);
    expect(run.stdout.toString()).toBe(
      '4 messages acknowledged on t at MAJORITY_FSYNC\n  queue 0: 4 messages, offsets 0 to 3\n',
    );
  });

  it('one message has one offset', async () => {
    const run = await produce('alone\n');
    expect(run.stdout.toString()).toBe(
      '1 message acknowledged on t at MAJORITY_FSYNC\n  queue 0: 1 message, offset 0\n',
    );
  });

  it('--delay keeps messages back, and says how to take them back', async () => {
    const run = await produce('a\nb\n', '--delay', '1h', '--key', 'k');
    const [id = ''] = cluster.delayed.keys();
    expect(cluster.delayed.get(id)).toBe(2);
    expect(run.stdout.toString()).toMatch(
      new RegExp(`2 messages, delayed until 20.*Z; to take back: holdfast recall ${id}\n`),
    );
    const recall = (...options: string[]) =>
      runCommand('recall', id, '--server', server, ...options);
    expect((await recall()).stdout.toString()).toBe('2 messages taken back\n');
    await expect(recall()).rejects.toThrow('NOT_DELAYED');
  });

  it('--deliver-at, and a line of JSON with the id', async () => {
    const run = await produce('a\n', '--deliver-at', '2100-01-31T12:00Z', '--json');
    const ack = JSON.parse(run.stdout.toString());
    expect(ack).toMatchObject({ deliver_at_ms: Date.UTC(2100, 0, 31, 12), base_offset: null });
    expect(cluster.delayed.has(ack.message_id)).toBe(true);
  });

  it.each([
    ['--delay', 'soon'],
    ['--deliver-at', 'soon'],
    ['--delay', '1s', '--deliver-at', '2100-01-31'],
  ])('a delay that is none: %s %s', async (...options) => {
    const run = await produce('a\n', ...options);
    expect(run.exitCode).toBe(2);
    expect(cluster.requests).toEqual([]);
  });

  it('--json prints a line per acknowledged request', async () => {
    const run = await produce('one\ntwo\n', '--json');
    expect(run.json()).toEqual([
      {
        queue: 0,
        base_offset: 0,
        count: 2,
        term: 7,
        log_index: expect.any(Number),
        durability: 'MAJORITY_FSYNC',
        message_id: expect.stringMatching(/^1-\d+-0$/),
      },
    ]);
  });

  it('--key-separator: each line has its key, what has nothing behind it deletes', async () => {
    cluster.createTopic('t', 4);
    const binary = Buffer.from([0xff, 0x3d, 0x00]);
    const input = Buffer.concat([Buffer.from('käse=>12\nplum=>\npear=>a=>b\nfig=>'), binary]);
    expect((await produce(input, '--key-separator', '=>')).exitCode).toBe(0);
    const { queues } = cluster.topics.get('t')!;
    const stored = queues.flatMap((queue, at) => queue.map(({ body, key }) => ({ at, body, key })));
    const at = (key: string) => queueOfKey(key, 4);
    expect(stored).toHaveLength(4);
    expect(stored).toEqual(
      expect.arrayContaining([
        { at: at('käse'), key: 'käse', body: Buffer.from('12') },
        { at: at('plum'), key: 'plum', body: Buffer.alloc(0) },
        { at: at('pear'), key: 'pear', body: Buffer.from('a=>b') },
        { at: at('fig'), key: 'fig', body: binary },
      ]),
    );
    for (const wrong of ['plum', '=>1', '', Buffer.from([0xff, 0x3d, 0x3e])]) {
      const lines = Buffer.concat([
        Buffer.from('a=>1\n'),
        Buffer.from(wrong),
        Buffer.from('\nb=>1'),
      ]);
      const run = produce(lines, '--key-separator', '=>');
      await expect(run).rejects.toThrow(/^line 2: no key .* before a "=>"; nothing from/);
    }
    expect(queues.flat()).toHaveLength(8);
    for (const usage of [
      ['--key-separator', ''],
      ['--key-separator', ':', '--key', 'k'],
    ]) {
      expect((await produce('a:b\n', ...usage)).exitCode).toBe(2);
    }
  });

  it('passes key, queue and durability on', async () => {
    cluster.createTopic('t', 4);
    const run = await produce(
      'x\n',
      '--queue',
      '2',
      '--key',
      'k',
      '--durability',
      'majority',
      '--json',
    );
    expect(cluster.topics.get('t')!.queues[2]![0]).toMatchObject({ key: 'k' });
    expect(run.json()).toMatchObject([{ queue: 2, durability: 'MAJORITY' }]);
  });

  it('names the line that is too long, and keeps what came before it', async () => {
    const input = Buffer.concat([
      Buffer.from('ok\n'),
      Buffer.alloc(4_000_001, 'x'),
      Buffer.from('\n'),
    ]);
    await expect(produce(input)).rejects.toThrow(/^line 2: too long.*4000000 bytes/);
    expect(bodies()).toEqual([Buffer.from('ok')]);
  });

  it('a line exactly at the limit goes through', async () => {
    const run = await produce(Buffer.alloc(4_000_000 - 5, 'x'));
    expect(run.exitCode).toBe(0);
    expect(bodies()[0]).toHaveLength(4_000_000 - 5);
  });

  it('a refused line is named, and ends the command', async () => {
    await expect(produce('x\ny\n', '--queue', '5')).rejects.toThrow(
      /^line 1: .*queues 0 to 0, not 5/,
    );
  });

  it('an unknown topic fails also without any input', async () => {
    await expect(
      runCommand('produce', 'nowhere', '--server', server, '--file', '/dev/null'),
    ).rejects.toMatchObject({ reason: 'TOPIC_NOT_FOUND' });
  });

  it('a missing file, a cluster that is not there, a wrong option', async () => {
    const missing = runCommand('produce', 't', '--server', server, '--file', join(folder, 'none'));
    await expect(missing).rejects.toThrow(/^cannot read .*ENOENT/);
    const away = runCommand('produce', 't', '--server', '127.0.0.1:1', '--file', '/dev/null');
    await expect(away).rejects.toThrow(/cannot reach 127\.0\.0\.1:1 .*holdfast up/);
    const unknown = runCommand('topic', 'list', '--server', 'no-such-host.invalid:1');
    await expect(unknown).rejects.toThrow(/cannot reach .*Name resolution failed/);
    const wrong = runCommand('produce', 't', '--server', 'nonsense');
    await expect(wrong).rejects.toMatchObject({ exitCode: 2 });
  });
});

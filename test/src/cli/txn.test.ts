import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ageText } from '../../../src/cli/txn.ts';
import { FakeCluster } from '../client/fake-cluster.ts';
import { runCommand } from './run-command.ts';

describe('holdfast txn', () => {
  let cluster: FakeCluster;
  let server: string;

  beforeEach(async () => {
    cluster = new FakeCluster();
    [server = ''] = await cluster.start();
  });

  afterEach(() => cluster.stop());

  const run = (...words: string[]) => runCommand('txn', ...words, '--server', server);

  it('list shows who would have to decide, since when, and what waits', async () => {
    const parts = [{ topic: 'orders', queue: 2, first_message_id: '1-9-0', count: 3 }];
    const times = { age_ms: '93784000', check_count: 15, max_checks: 15 };
    cluster.open = [
      { transaction_id: 'hf.1.1.9', producer_group: 'shop', state: 'PARKED', ...times, parts },
    ];
    expect((await run('list')).stdout.toString().split('\n')).toEqual([
      'TRANSACTION  STATE   GROUP  AGE    CHECKS    MESSAGES',
      'hf.1.1.9     parked  shop   1d 2h  15 of 15  3 to orders/2',
      '',
    ]);
    expect((await run('list', '--state', 'parked', '--json')).json()).toMatchObject([
      [{ transaction_id: 'hf.1.1.9', state: 'parked', age_ms: 93_784_000, parts }],
    ]);
    expect((await run('list', '--state', 'lost')).exitCode).toBe(2);
  });

  it('resume, commit and rollback say what became of it', async () => {
    expect((await run('resume', 'hf.1.1.9')).stdout.toString()).toContain('asked again');
    expect(cluster.resumed).toEqual(['hf.1.1.9']);
    const committed = await run('commit', 'hf.1.1.9');
    expect(committed.stdout.toString()).toBe('hf.1.1.9: committed, 1 from offset 9 of queue 1\n');
    expect((await run('rollback', 'hf.1.1.9', '--json')).json()).toMatchObject([
      { transaction_id: 'hf.1.1.9' },
    ]);
    const asked = { operator: true, producer_group: '' };
    expect(cluster.ended).toMatchObject([
      { ...asked, decision: 'COMMIT' },
      { ...asked, decision: 'ROLLBACK' },
    ]);
  });

  it.each([
    [0, '0ms'],
    [999, '999ms'],
    [1000, '1s'],
    [61_000, '1m 1s'],
    [3_600_000, '1h'],
    [3_660_000, '1h 1m'],
    [86_400_000, '1d'],
  ])('an age of %d ms reads %s', (ms, text) => {
    expect(ageText(ms)).toBe(text);
  });
});

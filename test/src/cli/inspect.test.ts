import { execFile } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ClusterProcess, HOLDFAST, holdfast } from '../../e2e/cluster-process.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const run = promisify(execFile);

/** The directory of a node that stored two messages and was stopped. */
async function stoppedNode(): Promise<string> {
  const root = temporaryDirectory();
  const cluster = await ClusterProcess.start(join(root, 'data'), 1);
  const server = ['--server', cluster.servers[0]!];
  await holdfast('topic', 'create', 'orders', '--queues', '1', ...server);
  const lines = join(root, 'lines.txt');
  writeFileSync(lines, 'one\ntwo\n');
  await holdfast('produce', 'orders', '--file', lines, ...server);
  expect(await cluster.stop()).toBe(0);
  return join(root, 'data', 'node-1');
}

it('reads and verifies the directory of a stopped node', { timeout: 60_000 }, async () => {
  const node = await stoppedNode();
  const log = JSON.parse(await holdfast('inspect', 'log', node, '--verify', '--json'));
  expect(log).toMatchObject({ cleanlyClosed: true, damage: [] });
  expect(log.shards).toHaveLength(13);
  expect(await holdfast('inspect', 'log', node)).toMatch(/SEGMENT.*\n.*00000001[\s\S]*no damage/);

  const state = JSON.parse(await holdfast('inspect', 'state', node, '--verify', '--json'));
  expect(state).toMatchObject({ verified: true, problems: [] });
  expect(state.queues).toMatchObject([{ firstOffset: 0, endOffset: 2 }]);
  expect(await holdfast('inspect', 'state', node)).toContain('state of');

  const segment = readdirSync(join(node, 'log')).find((name) => name.endsWith('.log'))!;
  const file = join(node, 'log', segment);
  const bytes = readFileSync(file);
  const at = bytes.indexOf('two');
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(file, bytes);
  await expect(
    run(process.execPath, [HOLDFAST, 'inspect', 'log', node, '--verify']),
  ).rejects.toThrow(/holdfast: [1-9]\d* problems? found/);
});

it('a directory that is no node', async () => {
  const empty = temporaryDirectory();
  appendFileSync(join(empty, 'x'), '');
  for (const what of ['log', 'state']) {
    const command = run(process.execPath, [HOLDFAST, 'inspect', what, empty]);
    await expect(command).rejects.toThrow(/does not exist; give a node's data directory/);
  }
});

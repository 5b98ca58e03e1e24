import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Keeper } from '../../../chaos/cluster/keeper.ts';
import { NodeProcess } from '../../../chaos/cluster/node-process.ts';

/** Stands for `holdfast`: its first start ends over what its configuration says. */
const SCRIPT = `
  const { existsSync, readFileSync, writeFileSync } = require('node:fs');
  const config = process.argv[process.argv.indexOf('--config') + 1];
  if (existsSync(config + '.met')) setInterval(() => {}, 1000);
  else {
    writeFileSync(config + '.met', '');
    console.error(readFileSync(config, 'utf8'));
    process.exitCode = 1;
  }`;

function process(words: string) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  const binary = join(folder, 'holdfast.cjs');
  writeFileSync(binary, SCRIPT);
  const files = { config: join(folder, 'c.yaml'), log: join(folder, 'log'), data: folder };
  writeFileSync(files.config, words);
  const keeper = new Keeper();
  const node = new NodeProcess(1, files, keeper);
  node.binary = binary;
  const lost: string[] = [];
  node.onLost = (text) => void lost.push(text);
  onTestFinished(async () => {
    await node.kill();
    keeper.close();
    rmSync(folder, { recursive: true });
  });
  return { node, lost, files };
}

/** It has ended, and whoever waited for that has done what there was to do. */
async function ended(node: NodeProcess): Promise<void> {
  await node.gone();
  await new Promise(setImmediate);
}

it.each([
  ['DATA_LOSS', true, true],
  ['DATA_LOSS', false, false],
  ['node: ../deps/leveldb/dbformat.h:99: Assertion `key.size() >= 8` failed.', true, true],
  ['a bug', true, false],
])('a node that ends over %s (damage known: %s) starts again: %s', async (words, known, starts) => {
  const { node, lost } = process(words);
  node.mayMeetDamage = known;
  node.start();
  await ended(node);
  expect(node.isRunning).toBe(starts);
  expect(lost).toHaveLength(starts ? 0 : 1);
});

it('what an earlier start said of damage explains no later end', async () => {
  const { node, lost, files } = process('a bug');
  writeFileSync(files.log, 'DATA_LOSS\n');
  node.mayMeetDamage = true;
  node.start();
  await ended(node);
  expect(lost).toHaveLength(1);
});

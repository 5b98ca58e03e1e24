/** What the README tells a stranger to type exists, and the tour works as written. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fullProgram } from '../src/cli/index.ts';
import { packageRoot } from '../src/package-root.ts';
import { ClusterProcess } from './e2e/cluster-process.ts';
import { temporaryDirectory } from './harness/temporary-directory.ts';

const ROOT = packageRoot();
const page = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
const readme = page('README.md');
const manifest = JSON.parse(page('package.json')) as { scripts: Record<string, string> };

function shellBlocks(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
}

/** `holdfast a b --c` wherever it stands: in code blocks, in text, in tables. */
function holdfastLines(markdown: string): readonly string[] {
  return [...markdown.matchAll(/(?:npx |[`"| ])holdfast ([a-z][^`"|\n)]*)/g)]
    .filter((match) => !/^(?:gives|is|has|and)\b/.test(match[1]!))
    .map((match) => match[1]!.trim());
}

/** undefined when the words name a command with these options; else what is wrong. */
function unknownPart(program: Command, line: string): string | undefined {
  let command = program;
  const words = line.split(/\s+/);
  while (words.length > 0) {
    const next = command.commands.find((one) => one.name() === words[0]);
    if (next === undefined) break;
    command = next;
    words.shift();
  }
  if (command === program) return `no command "${line}"`;
  const isGroup = command.commands.length > 0;
  if (isGroup && words.length > 0 && !words[0]!.startsWith('--')) return `no command "${line}"`;
  const options = words.filter((word) => /^--[a-z]/.test(word));
  const unknown = options.find((option) => !command.options.some(({ long }) => long === option));
  return unknown === undefined ? undefined : `no option ${unknown} in "${line}"`;
}

describe('what the pages tell to type', () => {
  const pages = ['operations', 'platforms', 'guarantees', 'metrics', 'logs'].map(
    (name) => `docs/${name}.md`,
  );

  it.each(['README.md', ...pages])('%s', async (name) => {
    const program = await fullProgram();
    const lines = holdfastLines(page(name));
    if (name !== 'docs/guarantees.md') expect(lines.length).toBeGreaterThan(1);
    expect(lines.map((line) => unknownPart(program, line)).filter(Boolean)).toEqual([]);
  });

  it('the check itself sees what does not exist', async () => {
    const program = await fullProgram();
    expect(unknownPart(program, 'fly away')).toContain('no command');
    expect(unknownPart(program, 'cluster fly')).toContain('no command');
    expect(unknownPart(program, 'up --wings')).toContain('no option --wings');
    expect(unknownPart(program, 'up --fresh')).toBeUndefined();
  });

  it('npm scripts', () => {
    const named = [...readme.matchAll(/npm (?:run ([a-z0-9-]+)|(start|test))/g)];
    const scripts = named.map((match) => match[1] ?? match[2]!);
    expect(scripts.length).toBeGreaterThan(5);
    expect(scripts.filter((script) => manifest.scripts[script] === undefined)).toEqual([]);
  });

  it.each(['docs/guarantees.md', 'docs/errors.md'])('the tests that %s names', (name) => {
    const named = [...page(name).matchAll(/`(test\/[^`\s]+)`/g)].map((match) => match[1]!);
    expect(named.length).toBeGreaterThan(1);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('links and files', () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1]!);
    const files = [...readme.matchAll(/(?:--config|--file) (\S+)/g)].map((match) => match[1]!);
    expect([...links, ...files].filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

it('the five minutes work as written', { timeout: 120_000 }, async () => {
  const cluster = await ClusterProcess.start(join(temporaryDirectory(), 'data'));
  onTestFinished(async () => {
    await cluster.stop();
  });
  const tour = readme.split('## Five minutes')[1]!.split('\n## ')[0]!;
  const script = shellBlocks(tour)
    .join('')
    .replaceAll('localhost:7402', cluster.servers[1]!)
    .replaceAll('localhost:7601', `127.0.0.1:${Number(cluster.servers[0]!.split(':')[1]) + 200}`);
  const output = execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, HOLDFAST_SERVER: cluster.servers[0] },
  });
  expect(output).toMatch(/^three$/m);
  expect(output).toMatch(/"durability":"MAJORITY_FSYNC"/);
  expect(output.trimEnd().split('\n')).toContain('still here');
  expect(output).toMatch(/^holdfast_stored_messages_total \d+$/m);
  expect(output).toMatch(/^\{"ready":true,/m);
});

/** House rules, checked against the tree; and each rule against a fixture that breaks it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/package-root.ts';
import { codeOnly, functionSpans, importsOf } from './harness/source-text.ts';
import {
  forbiddenImports,
  impurities,
  inexactVersions,
  LIMITS,
  leftovers,
  machineTraces,
  neverImported,
  processExits,
  type SourceFile,
  titles,
  tooLong,
} from './harness/tidy-rules.ts';

const ROOT = packageRoot();
const SKIPPED_FOLDERS = new Set('node_modules dist .git .cache .holdfast .venv gen'.split(' '));

function filesBelow(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED_FOLDERS.has(entry.name)) return [];
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

const TEXT = /\.(?:c?ts|mjs|md|ya?ml|json|proto|py|sh|txt)$|^\.ci\/run$/;
const everything: readonly SourceFile[] = filesBelow('')
  .filter((path) => TEXT.test(path) && path !== 'package-lock.json')
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const sources = everything.filter(({ path }) => /\.c?ts$/.test(path) && path.includes('/'));
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

/** Started from outside: by the package's commands, by the test runner, by a reader's hand. */
function isEntry(path: string): boolean {
  if (/\.test\.ts$|^examples\/|^src\/(?:bin\.cts|(?:client|testing)\/index\.ts)$/.test(path))
    return true;
  const starters = everything.filter((file) => /^package\.json$|^\.ci\/|\.md$/.test(file.path));
  const built = `dist/${path.replace(/\.ts$/, '.js')}`;
  return starters.some(({ text }) => text.includes(built));
}

describe('the tree', () => {
  it('is read at all', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.some(({ path }) => path === 'src/main.ts')).toBe(true);
  });

  it.each([
    ['imports go the allowed way', forbiddenImports],
    ['pure parts stay pure', impurities],
    ['lines, functions and files stay short', tooLong],
    ['nothing is left over', leftovers],
    ['only main.ts ends the process', processExits],
  ] as const)('%s', (_, rule) => {
    expect(sources.flatMap((file) => rule(file))).toEqual([]);
  });

  it('names no machine and no registry', () => {
    expect(everything.flatMap(machineTraces)).toEqual([]);
  });

  it('every Markdown file has one title', () => {
    expect(everything.filter(({ path }) => path.endsWith('.md')).flatMap(titles)).toEqual([]);
  });

  it('every file is imported or an entry', () => {
    expect(neverImported(sources, isEntry)).toEqual([]);
  });

  it('every dependency has one exact version', () => {
    expect(inexactVersions(manifest)).toEqual([]);
  });
});

const file = (path: string, text: string): SourceFile => ({ path, text });
const lines = (count: number) => '  run();\n'.repeat(count);

describe('each rule can fail', () => {
  it.each([
    ['raft/core.ts', "import { x } from '../storage/record.ts';"],
    ['raft/core.ts', "import { readFileSync } from 'node:fs';"],
    ['raft/core.ts', "import type { X } from '../src/node.ts';"],
    ['storage/record.ts', "import { RaftCore } from '../raft/core.ts';"],
    ['storage/record.ts', "import { pino } from 'pino';"],
    ['src/broker/queues.ts', "import { RaftDriver } from '../../raft/driver.ts';"],
    ['src/broker/queues.ts', "import { readFileSync } from 'node:fs';"],
    ['src/client/index.ts', "import { x } from '../service/x.ts';"],
    ['src/node.ts', "import { runSeed } from './sim/run.ts';"],
    ['src/node.ts', "const chaos = await import('../chaos/main.ts');"],
    ['src/cli/sim.ts', "import { x } from '../../test/x.ts';"],
    ['chaos/main.ts', "import { x } from '../src/client/index.ts';"],
    ['bench/run.ts', "import { x } from '../raft/core.ts';"],
    ['test/processes/up.ts', "import { x } from '../../src/client/index.ts';"],
    ['src/node.ts', "import { x } from './config" + "';"],
  ])('%s: %s', (path, text) => {
    expect(forbiddenImports(file(path, text))).toHaveLength(1);
  });

  it.each([
    ['raft/core.ts', "import type { Term } from './types.ts';"],
    ['storage/record.ts', "import type { Term } from '../raft/types.ts';"],
    ['src/cli/sim.ts', "const { runSeed } = await import('../sim/run.ts');"],
    ['src/node.ts', "import { RaftDriver } from '../raft/driver.ts';"],
    ['chaos/main.ts', "import { Toxiproxy } from 'toxiproxy-node-client';"],
    ['chaos/main.ts', "import { x } from '../test/processes/up-process.ts';"],
  ])('allowed, %s: %s', (path, text) => {
    expect(forbiddenImports(file(path, text))).toEqual([]);
  });

  it.each([
    'const t = Date.now();',
    'const t = performance.now();',
    'const r = Math.random();',
    'setTimeout(run, 1);',
    'console.log(1);',
    'if (process.env.X) run();',
    'async function f() {}',
    '  await x;',
    'const x: Promise<void> = y;',
    'let counter = 0;',
    'export const seen = new Map();',
    'crypto.randomBytes(1);',
  ])('impure: %s', (text) => {
    expect(impurities(file('raft/core.ts', text))).toHaveLength(1);
    const isPromise = /async|await|Promise/.test(text);
    expect(impurities(file('src/sim/run.ts', text))).toHaveLength(isPromise ? 0 : 1);
    expect(impurities(file('src/node.ts', text))).toEqual([]);
  });

  it('impure words in comments, texts and member names are fine', () => {
    const text = '// a Date\nconst x = "await";\n/* console */\nthis.process(1);\nconst m = 1;';
    expect(impurities(file('raft/core.ts', text))).toEqual([]);
  });

  it('lines and files', () => {
    const wide = `const x = '${'a'.repeat(LIMITS.lineColumns)}';`;
    expect(tooLong(file('src/a.ts', wide))).toHaveLength(1);
    expect(tooLong(file('src/a.ts', 'a;\n'.repeat(500)))).toEqual([]);
    expect(tooLong(file('src/a.ts', 'a;\n'.repeat(501)))).toHaveLength(1);
    expect(tooLong(file('test/a.ts', 'a;\n'.repeat(800)))).toEqual([]);
    expect(tooLong(file('test/a.ts', 'a;\n'.repeat(801)))).toHaveLength(1);
  });

  it.each([
    ['function f(a: number): void {', '}'],
    ['export function f(a: {\n  b: number;\n}): { c: number } {', '}'],
    ['const f = ({ a, b }: X) => {', '};'],
    ['class A {\n  #m(x = `$' + '{`}`}{`): void {', '}\n}'],
    ['if (x) {\n}\nasync function g() {', '}'],
  ])('functions: %j', (head, tail) => {
    const headLines = head.split('\n').length;
    const signature = head.startsWith('class') || head.startsWith('if') ? 1 : headLines;
    const room = LIMITS.functionLines - signature - 1;
    expect(tooLong(file('src/a.ts', `${head}\n${lines(room)}${tail}`))).toEqual([]);
    expect(tooLong(file('src/a.ts', `${head}\n${lines(room + 1)}${tail}`))).toHaveLength(1);
  });

  it('describe blocks may be long, classes and tables too', () => {
    const block = `describe('x', () => {\n${lines(100)}});`;
    expect(tooLong(file('test/a.test.ts', block))).toEqual([]);
    expect(tooLong(file('src/a.ts', `const t = {\n${lines(100)}};`))).toEqual([]);
    expect(tooLong(file('src/a.ts', `export class A extends B {\n${lines(100)}}`))).toEqual([]);
  });

  it.each(['// TO' + 'DO later', 'it.sk' + "ip('x')", 'export def' + 'ault x;'])('%s', (text) => {
    expect(leftovers(file('src/a.ts', text))).toHaveLength(1);
  });

  it('process.exit', () => {
    expect(processExits(file('src/a.ts', 'process.exit(1);'))).toHaveLength(1);
    expect(processExits(file('src/main.ts', 'process.exit(1);'))).toEqual([]);
  });

  it.each(['cd /wo' + 'rk/x', 'see /ho' + 'me/anna', 'npm' + 'js.org'])('%s', (text) => {
    expect(machineTraces(file('README.md', text))).toHaveLength(1);
  });

  it('titles, unused files, loose versions', () => {
    expect(titles(file('a.md', '# a\n# b\n'))).toHaveLength(1);
    expect(titles(file('a.md', '# a\n```sh\n# b\n```\n'))).toEqual([]);
    const pair = [file('src/a.ts', "import './b.ts';"), file('src/b.ts', '')];
    const starter = file('src/c.ts', "fork(new URL('./d.js', import.meta.url));");
    expect(neverImported([starter, file('src/d.ts', '')], () => false)).toHaveLength(1);
    expect(neverImported(pair, () => false)).toEqual(['src/a.ts: never imported']);
    expect(
      inexactVersions({ dependencies: { a: '^1.0.0', b: '1.0.0', c: 'latest' } }),
    ).toHaveLength(2);
  });
});

describe('reading source text', () => {
  it('blanks what is no code and keeps the lines', () => {
    const text = "a('}'); // }\nb(`x $" + '{c({ d: 1 })} }`); /* }\n*/ e(/[/}]/.test(f));';
    const code = codeOnly(text);
    expect(code.split('\n')).toHaveLength(3);
    expect(code).not.toMatch(/[{}]/);
    expect(code).toContain('.test(f)');
  });

  it('division is no regular expression', () => {
    expect(codeOnly('x = a / b; y = c / d;')).toBe('x = a / b; y = c / d;');
  });

  it('finds functions, not blocks', () => {
    const text = 'if (a) {\n}\nfor (;;) {\n}\nfunction f() {\n}\nx.map((y) => {\n});\nclass A {\n}';
    expect(functionSpans(text).map(({ head }) => head)).toContain('function f()');
    expect(functionSpans(text).filter(({ head }) => head.startsWith('if'))).toEqual([]);
  });

  it('finds imports of every form', () => {
    const text = "import a from 'a';\nimport 'b';\nexport { c } from 'c';\nawait import('d');";
    expect(importsOf(text)).toEqual(['a', 'b', 'c', 'd']);
  });
});

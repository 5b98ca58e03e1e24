/** docs/logs.md has a row for everything that is logged as a warning or worse, and no other. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { REFUSAL_REASONS } from '../../src/peers/handshake.ts';
import { loggedTexts, reportedTexts, rowsUnder } from '../harness/log-calls.ts';
import type { SourceFile } from '../harness/tidy-rules.ts';

const root = packageRoot();
const read = (path: string): SourceFile => ({
  path,
  text: readFileSync(join(root, path), 'utf8'),
});
const files = ['src', 'raft', 'storage'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(`${folder}/${name}`)),
);
const page = read('docs/logs.md').text;
const unique = (texts: readonly (string | undefined)[]) => [...new Set(texts)].sort();

describe('docs/logs.md', () => {
  it('has every warning, error and fatal line with its level', () => {
    const logged = files.flatMap(loggedTexts);
    expect(logged.length).toBeGreaterThan(15);
    expect(logged.filter(({ text }) => text === undefined)).toEqual([]);
    const rows = rowsUnder(page, '# What a node logs').map(([text, level]) => `${level} ${text}`);
    expect(rows.sort()).toEqual(unique(logged.map(({ level, text }) => `${level} ${text}`)));
  });

  it('has every reason of a refused connection', () => {
    const rows = rowsUnder(page, '## Refused connections').map(([reason]) => reason);
    expect(rows).toEqual(REFUSAL_REASONS);
  });

  it('has every line of the report at a start', () => {
    const places = ['storage/open-log.ts', 'storage/open-state.ts', 'src/node-storage.ts'];
    const reported = places.map(read).flatMap(reportedTexts);
    expect(reported.filter(({ text }) => text === undefined)).toEqual([]);
    const rows = rowsUnder(page, '## What was found').map(([text]) => text);
    // The first one is made by a map, not pushed.
    expect(rows.slice(1).sort()).toEqual(unique(reported.map(({ text }) => text)));
    expect(read('storage/open-log.ts').text).toContain('; records are lost here`');
  });

  it('the check itself reads what is written in every way', () => {
    const text = [
      "this.#logger.warn({ err, shard: of(1) }, 'plain');",
      'logger.error(`node $' + '{node} says $' + '{one}$' + '{more}`);',
      "parts.logger.fatal(\n  { err },\n  'over lines',\n);",
      'logger.warn(line);',
      "console.error('not ours'); logger.info('nor this');",
    ].join('\n');
    expect(loggedTexts({ path: 'p', text }).map((one) => [one.level, one.text])).toEqual([
      ['warn', 'plain'],
      ['error', 'node … says …'],
      ['fatal', 'over lines'],
      ['warn', undefined],
    ]);
  });
});

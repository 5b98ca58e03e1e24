/** The checklist of docs/security.md: what it says is tested somewhere is tested there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../src/package-root.ts';

const HEAD = '| no. | what | where it is looked at |\n|---|---|---|\n';
const ITEMS = 27;

function rows(): { number: string; where: string }[] {
  const text = readFileSync(join(packageRoot(), 'docs', 'security.md'), 'utf8');
  const begin = text.indexOf(HEAD);
  expect(begin, 'the head of the table').toBeGreaterThan(0);
  const table = text.slice(begin + HEAD.length, text.indexOf('\n\n', begin));
  return table
    .trim()
    .split('\n')
    .map((line) => {
      const [number, , ...where] = line.slice(2, -2).split(' | ');
      return { number: number!, where: where.join(' ') };
    });
}

describe('the checklist', () => {
  it('has every item once, in its order', () => {
    expect(rows().map(({ number }) => Number(number))).toEqual(
      Array.from({ length: ITEMS }, (_, at) => at + 1),
    );
  });

  it('names files that are there, or says why there is none', () => {
    for (const { number, where } of rows()) {
      const files = [...where.matchAll(/`((?:test|\.ci)\/[\w./-]+)`/g)].map((match) => match[1]!);
      if (files.length === 0) expect(where, number).toMatch(/^not /);
      for (const file of files) expect(existsSync(join(packageRoot(), file)), file).toBe(true);
    }
  });
});

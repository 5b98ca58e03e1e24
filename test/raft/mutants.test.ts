/**
 * Every planted bug still has its place in the code, and a sample of them is found: the whole hunt
 * is `npm run mutants`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { MUTANTS } from '../../src/sim/mutants/list.ts';
import { planted } from '../../src/sim/mutants/plant.ts';

const source = (file: string): string => readFileSync(join(packageRoot(), file), 'utf8');

describe('planted bugs', () => {
  test.each(MUTANTS)('$name', (mutant) => {
    const text = source(`${mutant.file}.ts`);
    expect(planted(text, mutant)).not.toBe(text);
    if (mutant.test === undefined) return;
    expect(existsSync(join(packageRoot(), mutant.test.file))).toBe(true);
    expect(source(mutant.test.file)).toContain(`'${mutant.test.name}'`);
  });

  test('the page names every one, and what found it', () => {
    const page = source('docs/mutants.md');
    for (const { name } of MUTANTS) expect(page).toContain(`| ${name} |`);
    expect(page).not.toContain('**no**');
  });
});

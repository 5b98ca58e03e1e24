import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkHistory } from '../../../chaos/checker/check.ts';
import { PROPERTIES } from '../../../chaos/checker/properties.ts';
import type { History } from '../../../chaos/history.ts';
import { judge } from '../../../chaos/verdict.ts';
import { packageFolder } from '../../processes/package-folder.ts';
import { finalRead, produce, read } from '../histories.ts';

function long(writes: number): History {
  const sends = Array.from({ length: writes }, (_, i) =>
    produce(i, 1, i, { invokedMs: 2 * i, completedMs: 2 * i + 1 }),
  );
  const after = { invokedMs: 2 * writes, completedMs: 2 * writes + 1 };
  return [
    ...sends,
    ...finalRead(
      sends.flatMap(({ values }) => values),
      after,
    ),
  ];
}

describe('the whole check', () => {
  it('comes to its end within its time, or fails', () => {
    const history = long(5000);
    expect(checkHistory(history)).toMatchObject({ timedOut: false, findings: [] });
    expect(checkHistory(history, 0).timedOut).toBe(true);
    const late = judge(history, 0);
    expect(late.verdict).toBe('fail');
    expect(late.reasons[0]).toMatch(/in time/);
  });

  it('takes ten times the work for ten times the history, no more', () => {
    const [few, many] = [500, 5000].map((writes) => checkHistory(long(writes)).steps);
    expect(many).toBeLessThan(11 * few!);
  });

  it('names the first findings of a kind and counts the others', () => {
    const phantoms = Array.from({ length: 250 }, (_, i) => read(i, [`never.${i}`]));
    const { counts, findings } = checkHistory(phantoms);
    expect(counts.phantom).toBe(250);
    expect(findings.filter(({ name }) => name === 'phantom')).toHaveLength(100);
  });
});

it('every property has a number, a name and a file of its own, and stands in the README', () => {
  const folder = join(packageFolder(), 'chaos');
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const ids = PROPERTIES.map(({ id }) => Number(id.slice(1)));
  expect(ids.sort((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
  for (const { id, name, says } of PROPERTIES) {
    expect(readme).toContain(`| ${id} | \`${name}\` | ${says} |`);
    const source = readFileSync(join(folder, 'checker', `${name}.ts`), 'utf8');
    expect(source).toContain(`id: '${id}'`);
  }
});

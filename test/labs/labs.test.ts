/** The pages of docs/labs, without running them: `npm run labs` does that. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { blocksOf, isExpected, readLab } from './page.ts';

const LABS = join(packageRoot(), 'docs', 'labs');
const read = (name: string): string => readFileSync(join(LABS, name), 'utf8');
const names = readdirSync(LABS)
  .filter((name) => /^[a-z-]+\.md$/.test(name))
  .map((name) => name.slice(0, -'.md'.length));
/** A page that only one who reads Chinese can read has some of these. */
const HAN = /\p{Script=Han}/u;

describe.each(names)('%s', (name) => {
  it('has commands, and says what most of them print', () => {
    const { steps } = readLab(read(`${name}.md`));
    expect(steps.length).toBeGreaterThan(1);
    const told = steps.filter(({ expected }) => expected !== undefined);
    expect(told.length).toBeGreaterThan(steps.length / 2);
  });

  it('is the same in Chinese, but for the prose', () => {
    const [english, chinese] = [read(`${name}.md`), read(`${name}.zh.md`)];
    expect(blocksOf(chinese)).toEqual(blocksOf(english));
    const prose = (page: string) => page.replaceAll(/^```[\s\S]*?^```$/gm, '').split(/\n{2,}/);
    expect(prose(chinese).length).toBe(prose(english).length);
    const untranslated = prose(chinese).filter((text) => text.trim() !== '' && !HAN.test(text));
    expect(untranslated).toEqual([]);
    expect(prose(english).filter((text) => HAN.test(text))).toEqual([]);
  });

  it('is in the list', () => {
    expect(read('README.md')).toContain(`[${name}](${name}.md)`);
    expect(read('README.md')).toContain(`](${name}.zh.md)`);
  });
});

describe('what is expected', () => {
  it.each([
    ['one\ntwo', 'one\ntwo\n', true],
    ['one', 'one\ntwo\n', false],
    ['one\ntwo', 'one\n', false],
    ['a … c', 'a b c\n', true],
    ['a … c', 'a b d\n', false],
    ['one\n…\nfour', 'one\ntwo\nthree\nfour\n', true],
    ['one\n…\nfour', 'one\ntwo\nthree\n', false],
    ['A  B', 'A       B\n', true],
    ['(a.b)', '(axb)\n', false],
    ['nothing', '', false],
  ])('%j of %j: %s', (expected, output, isMet) => {
    expect(isExpected(`${expected}\n`, output)).toBe(isMet);
  });

  it('a page that begins with no cluster, or expects of nothing, is refused', () => {
    expect(() => readLab('```sh\nls\n```\n')).toThrow(/must start the cluster/);
    expect(() => readLab('```sh\nnpx holdfast up\n```\n\n```text\nx\n```\n')).toThrow(/follows no/);
  });
});

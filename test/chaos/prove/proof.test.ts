import { describe, expect, it } from 'vitest';
import type { BrokenBuild } from '../../../chaos/prove/builds.ts';
import { type AttackedBuild, asTable, exitCodeOf, Prover } from '../../../chaos/prove/proof.ts';
import { judge, type Verdict } from '../../../chaos/verdict.ts';

const build = (name: string, scenario = 'kill-all'): BrokenBuild => ({
  ...{ name, does: '', edits: [], scenario, seconds: 5 },
  properties: ['lost-write', 'unseen'],
});

const EMPTY = judge([]);

/** Each run ends as said, the last one again and again: a verdict, and what is broken. */
function proving(broken: readonly string[], sound: readonly Verdict[], runsMax = 3) {
  const attacks: string[] = [];
  const found: string[] = [];
  const counts = new Map<string, number>();
  const nth = <T>(list: readonly T[], key: string): T => {
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    return list[Math.min(count, list.length - 1)]!;
  };
  const attack = async ({ scenario, build: tried }: AttackedBuild) => {
    attacks.push(`${tried?.name ?? 'sound'} ${scenario}`);
    if (tried === undefined) {
      const verdict = nth(sound, scenario);
      return { history: [], judgement: { ...EMPTY, verdict } };
    }
    const what = nth(broken, tried.name);
    const verdict: Verdict = what === 'pass' || what === 'invalid' ? what : 'fail';
    return { history: [], judgement: { ...EMPTY, verdict, counts: { [what]: 2 } } };
  };
  const hooks = { onRun: () => undefined, onFound: ({ name }: BrokenBuild) => found.push(name) };
  return { prover: new Prover(attack, runsMax, hooks), attacks, found };
}

describe('a broken build', () => {
  it('is found when a property that is named for it is broken', async () => {
    const { prover, attacks, found } = proving(['unseen'], ['pass']);
    const proof = await prover.prove(build('bad'));
    expect(proof).toEqual({
      ...{ build: 'bad', scenario: 'kill-all', runs: 1, found: { unseen: 2 } },
      ...{ verdict: 'fail', control: 'pass' },
    });
    expect(attacks).toEqual(['bad kill-all', 'sound kill-all']);
    expect(found).toEqual(['bad']);
    expect(exitCodeOf([proof])).toBe(0);
  });

  it('is attacked again when a run does not show it', async () => {
    const { prover } = proving(['pass', 'invalid', 'unseen'], ['pass']);
    const proof = await prover.prove(build('bad'));
    expect(proof).toMatchObject({ runs: 3, found: { unseen: 2 } });
  });

  it.each(['trouble', 'duplicate', 'pass', 'invalid'])('is not found by %s', async (what) => {
    const { prover, attacks, found } = proving([what], ['pass']);
    const proof = await prover.prove(build('bad'));
    expect(proof).toMatchObject({ runs: 3, found: {}, control: undefined });
    expect(attacks).toHaveLength(3);
    expect(found).toEqual([]);
    expect(exitCodeOf([proof])).toBe(1);
    expect(asTable([proof])).toContain('NOT FOUND');
  });
});

describe('the sound build', () => {
  it('is attacked once for all that suffer the same', async () => {
    const { prover, attacks } = proving(['unseen'], ['pass']);
    for (const name of ['a', 'b']) await prover.prove(build(name));
    await prover.prove(build('c', 'power-cut-all'));
    expect(attacks.filter((one) => one.startsWith('sound'))).toEqual([
      'sound kill-all',
      'sound power-cut-all',
    ]);
  });

  it.each([
    [['fail'], 1, 1],
    [['invalid', 'pass'], 2, 0],
    [['invalid'], 3, 3],
  ] as const)('that ends with %j is tried %i times, exit code %i', async (sound, runs, code) => {
    const { prover, attacks } = proving(['unseen'], sound);
    const proof = await prover.prove(build('bad'));
    expect(attacks.filter((one) => one.startsWith('sound'))).toHaveLength(runs);
    expect(exitCodeOf([proof])).toBe(code);
  });

  it('that fails outweighs one that proves nothing', async () => {
    const { prover } = proving(['unseen'], ['invalid']);
    const open = await prover.prove(build('bad'));
    expect(exitCodeOf([open, { ...open, control: 'fail' }])).toBe(1);
    expect(exitCodeOf([open, { ...open, control: 'pass' }])).toBe(3);
  });
});

it('the table shows a line per build', () => {
  const proof = {
    ...{ build: 'bad', scenario: 'kill-all', runs: 2, found: { unseen: 7, 'lost-write': 1 } },
    ...{ verdict: 'fail' as const, control: 'pass' as const },
  };
  expect(asTable([proof])).toBe(
    [
      'build  scenario  runs  found by                sound build',
      'bad    kill-all  2     unseen 7, lost-write 1  pass',
    ].join('\n'),
  );
});

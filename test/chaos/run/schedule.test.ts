import { describe, expect, it } from 'vitest';
import { Random } from '../../../chaos/run/random.ts';
import { type Scenario, scenarioFrom } from '../../../chaos/run/scenario-file.ts';
import { nemesesOf, type PlannedStep, roundLength, schedule } from '../../../chaos/run/schedule.ts';

const scenario = (more: string) => scenarioFrom(`name: a\ndoes: b\n${more}`, 'a.yaml');
const drawn = scenario('faults: [kill-all, restart, pause-long]\nholdSeconds: [1, 2]');

function plan(of: Scenario, seed: number, steps: number): PlannedStep[] {
  const all = schedule(of, seed);
  return Array.from({ length: steps }, () => all.next().value);
}
const names = (steps: readonly PlannedStep[]) =>
  steps.map(({ faults }) => faults.map(({ nemesis }) => nemesis));

describe('the plan of a run', () => {
  it('follows from the seed', () => {
    expect(plan(drawn, 7, 30)).toEqual(plan(drawn, 7, 30));
    expect(plan(drawn, 7, 30)).not.toEqual(plan(drawn, 8, 30));
  });

  it('has every kind once before any comes again', () => {
    for (let seed = 0; seed < 50; seed++) {
      const kinds = names(plan(drawn, seed, 6)).flat();
      for (const round of [kinds.slice(0, 3), kinds.slice(3)]) {
        expect([...round].sort()).toEqual(['kill-all', 'pause-long', 'restart']);
      }
    }
    expect(roundLength(drawn)).toBe(3);
  });

  it('holds and waits as long as the scenario says', () => {
    for (const { holdMs, gapMs } of plan(drawn, 3, 50)) {
      expect(holdMs).toBeGreaterThanOrEqual(1000);
      expect(holdMs).toBeLessThanOrEqual(2000);
      expect(gapMs).toBe(2000);
    }
  });

  it('together: so many at once, never the same one twice', () => {
    const pairs = scenario('faults: [kill-all, restart, pause-long]\ntogether: 2');
    for (const pair of names(plan(pairs, 5, 60))) expect(new Set(pair).size).toBe(2);
    const kinds = new Set(names(plan(pairs, 5, roundLength(pairs))).flat());
    expect(kinds.size).toBe(3);
  });

  it('steps: in their order, again and again', () => {
    const steps = scenario('steps:\n  - [kill-all]\n  - [restart, pause-long]');
    const twice = [['kill-all'], ['restart', 'pause-long']];
    expect(names(plan(steps, 1, 4))).toEqual([...twice, ...twice]);
    expect(roundLength(steps)).toBe(2);
    expect(nemesesOf(steps)).toEqual(['kill-all', 'restart', 'pause-long']);
  });
});

it('random numbers are spread evenly', () => {
  const random = new Random(1);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) counts[random.below(10)]!++;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  expect([...random.shuffled([1, 2, 3, 4])].sort()).toEqual([1, 2, 3, 4]);
});

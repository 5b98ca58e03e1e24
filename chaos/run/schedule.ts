/** What strikes when: drawn from the seed before anything runs, so the same seed plans the same. */
import { Random } from './random.ts';
import type { Scenario } from './scenario-file.ts';

export interface PlannedFault {
  readonly nemesis: string;
  /** Of the random choices of this fault, such as whom it hits. */
  readonly seed: number;
}

/** Faults that are on at the same time, then a whole cluster for a while. */
export interface PlannedStep {
  readonly faults: readonly PlannedFault[];
  readonly holdMs: number;
  readonly gapMs: number;
}

/** Without an end; a run takes as many as fit into its time. */
export function* schedule(scenario: Scenario, seed: number): Generator<PlannedStep, never> {
  const random = new Random(seed);
  const { holdSeconds, gapSeconds } = scenario;
  const names = 'steps' in scenario ? inOrder(scenario.steps) : drawn(scenario, random);
  for (;;) {
    const together = names.next().value;
    yield {
      faults: together.map((nemesis) => ({ nemesis, seed: random.fork() })),
      holdMs: Math.round(1000 * random.between(...holdSeconds)),
      gapMs: Math.round(1000 * gapSeconds),
    };
  }
}

function* inOrder(steps: readonly (readonly string[])[]): Generator<readonly string[], never> {
  for (;;) yield* steps;
}

/** Round by round, so that every kind comes before any comes again. */
function* drawn(
  { faults, together }: { readonly faults: readonly string[]; readonly together: number },
  random: Random,
): Generator<readonly string[], never> {
  const waiting: string[] = [];
  for (;;) {
    const chosen: string[] = [];
    while (chosen.length < together) {
      if (waiting.every((name) => chosen.includes(name))) waiting.push(...random.shuffled(faults));
      const at = waiting.findIndex((name) => !chosen.includes(name));
      chosen.push(...waiting.splice(at, 1));
    }
    yield chosen;
  }
}

/** Of how many steps a round consists: after it every kind had its turn. */
export function roundLength(scenario: Scenario): number {
  if ('steps' in scenario) return scenario.steps.length;
  return Math.ceil(scenario.faults.length / scenario.together);
}

export function nemesesOf(scenario: Scenario): readonly string[] {
  return [...new Set('steps' in scenario ? scenario.steps.flat() : scenario.faults)];
}

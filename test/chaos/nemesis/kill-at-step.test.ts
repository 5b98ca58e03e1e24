import { expect, it } from 'vitest';
import { nemesisNamed } from '../../../chaos/nemesis/list.ts';
import type { Stage } from '../../../chaos/nemesis/nemesis.ts';
import { type Step, Steps } from '../../../chaos/workload/steps.ts';
import { fakeStage } from './fake-stage.ts';

const HOLD_MS = 2000;
const WAIT_MS = 10_000;

/** The time for a step to come passes when it is said so. */
function staged() {
  const { stage, of } = fakeStage();
  const steps = new Steps();
  let giveUp = () => {};
  const hold = (ms: number): Promise<void> => {
    if (ms !== WAIT_MS) return stage.hold(ms);
    return new Promise((resolve) => {
      giveUp = resolve;
    });
  };
  const changed = { ...stage, hold, load: { ...stage.load, steps } } as unknown as Stage;
  return { stage: changed, steps, of, giveUp: () => giveUp() };
}

it.each<[string, Step]>([
  ['kill-preparing', 'preparing'],
  ['kill-prepared', 'prepared'],
  ['kill-ending', 'ending'],
  ['kill-ended', 'ended'],
])('%s waits for its step, and kills who coordinates', async (name, step) => {
  const { stage, steps, of } = staged();
  const struck = nemesisNamed(name).strike(stage, HOLD_MS);
  for (const other of ['preparing', 'prepared', 'ending', 'ended'] as const) {
    if (other !== step) steps.pass(other, 0);
  }
  expect(of(2).steps).toEqual([]);
  steps.pass(step, 0);
  expect(await struck).toEqual({ state: 'installed', nodes: [2], queues: [0] });
  expect(of(2).steps.filter((one) => !one.startsWith('hold'))).toEqual(['kill', 'start']);
  expect(of(1).steps.every((one) => one.startsWith('hold'))).toBe(true);
});

it('where no transaction comes by, nothing is killed, and the next one may wait', async () => {
  const { stage, giveUp, of } = staged();
  const struck = nemesisNamed('kill-ending').strike(stage, HOLD_MS);
  giveUp();
  expect((await struck).state).toBe('indeterminate');
  expect(of(2).steps).toEqual([]);
  const again = nemesisNamed('kill-ending').strike(stage, HOLD_MS);
  stage.load.steps.pass('ending', 0);
  expect((await again).state).toBe('installed');
});

import { describe, expect, it } from 'vitest';
import { verdictOf } from '../../../src/cli/sim.ts';
import type { SimResult } from '../../../src/sim/run.ts';

function result(seed: number, acked: number, failure?: string): SimResult {
  const faults = { crash: 1 };
  const stats = { acked, lost: 0, duplicated: 0, unknown: 1, faults };
  const base = {
    seed,
    ok: failure === undefined,
    stats: stats as unknown as SimResult['stats'],
    points: {},
    traceHash: `h${seed}`,
  };
  return failure === undefined ? base : { ...base, failure };
}

describe('the verdict over simulated histories', () => {
  it('passes when something was acknowledged and nothing broke', () => {
    const verdict = verdictOf([result(1, 5), result(2, 0)]);
    expect(verdict).toMatchObject({ verdict: 'pass', acked: 5, lost: 0, seeds: 2, failures: [] });
    expect(verdict.stats).toEqual({ acked: 5, lost: 0, duplicated: 0, unknown: 2 });
    expect(verdict).not.toHaveProperty('trace_hash');
  });

  it('a failure names its seed and the line that replays it', () => {
    const verdict = verdictOf([result(1, 5), result(7, 5, 'one-leader: two')]);
    expect(verdict).toMatchObject({ verdict: 'fail', lost: 0 });
    expect(verdict.failures).toEqual([
      { seed: 7, failure: 'one-leader: two', replay: 'holdfast sim --seed 7' },
    ]);
  });

  it('proves nothing when nothing was acknowledged', () => {
    expect(verdictOf([result(1, 0)])).toMatchObject({ verdict: 'invalid', trace_hash: 'h1' });
  });
});

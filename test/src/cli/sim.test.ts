import { describe, expect, it } from 'vitest';
import { COVERAGE_SEEDS_MIN, CoverageReport, POINTS } from '../../../src/sim/coverage.ts';
import { MUTANTS } from '../../../src/sim/mutants/list.ts';
import { planted } from '../../../src/sim/mutants/plant.ts';
import { FAULT_KINDS, narrowed, REMOVABLE } from '../../../src/sim/narrow.ts';
import { DEFAULT_SIM_OPTIONS, drawSwarm } from '../../../src/sim/options.ts';
import { Random } from '../../../src/sim/random.ts';
import { replayLine, Tally } from '../../../src/sim/report.ts';
import type { SimResult } from '../../../src/sim/run.ts';
import { type Shape, shrink } from '../../../src/sim/shrink.ts';

const REPORT = { options: {}, build: 'holdfast 1.2.3, commit abc' };

function result(seed: number, acked: number, failure?: string): SimResult {
  const faults = { crash: 1 };
  const stats = { acked, lost: 0, duplicated: 0, unknown: 1, faults };
  const base = {
    seed,
    ok: failure === undefined,
    stats: stats as unknown as SimResult['stats'],
    points: {},
    shape: { nodes: 3, shards: 1, faultMs: 1000 },
    traceHash: `h${seed}`,
  };
  return failure === undefined ? base : { ...base, failure };
}

function verdictOf(...results: readonly SimResult[]) {
  const tally = new Tally(REPORT);
  for (const one of results) tally.add(one);
  return tally.verdict();
}

describe('the verdict over simulated histories', () => {
  it('passes when something was acknowledged and nothing broke', () => {
    const verdict = verdictOf(result(1, 5), result(2, 0));
    expect(verdict).toMatchObject({ verdict: 'pass', acked: 5, lost: 0, seeds: 2, failures: [] });
    expect(verdict.duplicated).toBe(0);
    expect(verdict.stats).toEqual({ unknown: 2 });
    expect(verdict).not.toHaveProperty('trace_hash');
  });

  it('a failure names its seed and the line that replays it', () => {
    const verdict = verdictOf(result(9, 5, 'x: y'), result(1, 5), result(7, 5, 'one-leader: two'));
    expect(verdict).toMatchObject({ verdict: 'fail', lost: 0, failed_seeds: 2 });
    expect(verdict.failures[0]).toEqual({
      seed: 7,
      failure: 'one-leader: two',
      replay: 'holdfast sim --seed 7 # holdfast 1.2.3, commit abc',
    });
  });

  it('proves nothing when nothing was acknowledged', () => {
    expect(verdictOf(result(1, 0))).toMatchObject({ verdict: 'invalid', trace_hash: 'h1' });
  });

  it('proves nothing when too much was never met', () => {
    const many = Array.from({ length: COVERAGE_SEEDS_MIN }, (_, at) => result(at + 1, 5));
    const { verdict, reason } = verdictOf(...many);
    expect(verdict).toBe('invalid');
    expect(reason).toContain('vote split');
    expect(reason).toContain('fault kill,');
  });

  it('the replay line holds everything that shaped the history', () => {
    const options = { nodes: 3, shards: 1, faultMs: 500, without: ['kill', 'loss'] };
    expect(replayLine(4, { ...REPORT, options, mutant: 'a b' })).toBe(
      'holdfast sim --seed 4 --nodes 3 --shards 1 --fault-ms 500 --without kill,loss ' +
        "--mutant 'a b' # holdfast 1.2.3, commit abc",
    );
  });
});

describe('coverage', () => {
  it('what less than one seed in a hundred met is missing', () => {
    const report = new CoverageReport(['kill']);
    const points = Object.fromEntries(POINTS.map((point) => [point, 1]));
    const { 'vote split': _, ...rest } = points;
    for (let seed = 0; seed < 200; seed++) report.add({ kill: 1 }, seed < 1 ? points : rest);
    expect(report.missing()).toEqual(['vote split']);
    expect(report.shares()[0]).toEqual(['vote split', 0.005]);
  });

  it('a small sample says nothing', () => {
    const report = new CoverageReport(['kill']);
    report.add({}, {});
    expect(report.missing()).toEqual([]);
  });
});

describe('narrowing', () => {
  it('takes away what was named, and leaves the rest', () => {
    const swarm = drawSwarm(new Random(3), DEFAULT_SIM_OPTIONS);
    const narrow = narrowed(swarm, ['loss', ...swarm.strikes.slice(0, 1)]);
    expect(narrow.lossRate).toBe(0);
    expect(narrow.strikes).not.toContain(swarm.strikes[0]);
    expect(narrow.nodes).toBe(swarm.nodes);
    expect(narrowed(swarm, swarm.strikes).meanFaultGapMs).toBe(Number.POSITIVE_INFINITY);
    expect(FAULT_KINDS.length).toBeGreaterThan(20);
  });
});

describe('shrinking', () => {
  const extent = { nodes: 5, shards: 3, faultMs: 16_000 };

  it('keeps what the failure needs', async () => {
    const needs = ({ nodes = 5, faultMs = 16_000, without = [] }: Shape): boolean =>
      nodes >= 3 && faultMs >= 3000 && !without.includes('power');
    const breaks = async (shape: Shape) => (needs(shape) ? 'one-leader' : undefined);
    const { shape } = await shrink({}, extent, 'one-leader', REMOVABLE, breaks);
    expect(shape).toMatchObject({ nodes: 3, shards: 1, faultMs: 4000 });
    expect(shape?.without).toEqual(REMOVABLE.filter((name) => name !== 'power'));
  });

  it('another failure is no smaller one', async () => {
    const found = await shrink({}, extent, 'one-leader', REMOVABLE, async () => 'liveness');
    expect(found.shape).toBeUndefined();
  });

  it('gives back only what it has seen fail, however the seed takes a fixed number', async () => {
    // As in a run: whatever is fixed, be it at what was drawn, gives another history.
    for (let world = 0; world < 200; world++) {
      const random = new Random(world);
      const failed = random.chance(0.5) ? {} : { nodes: 5, without: ['power'] };
      const seen: Shape[] = [];
      const { shape } = await shrink(failed, extent, 'one-leader', REMOVABLE, async (shape) => {
        if (!random.chance(0.3)) return random.pick([undefined, 'liveness']);
        seen.push(shape);
        return 'one-leader';
      });
      expect(shape).toBe(seen.at(-1));
    }
  });
});

describe('planting', () => {
  const mutant = { name: 'm', file: 'raft/x', from: 'if (a) { return;', to: 'b();' };

  it('does not care about white space', () => {
    expect(planted('f(); if (a) {\n        return; }', mutant)).toBe('f(); b(); }');
  });

  it.each(['nothing', 'if (a) { return; } if (a) { return; }'])('once: %s', (text) => {
    expect(() => planted(text, mutant)).toThrow('once');
  });

  it('at least twenty bugs, each with its own name', () => {
    const names = new Set(MUTANTS.map(({ name }) => name));
    expect(names.size).toBe(MUTANTS.length);
    expect(names.size).toBeGreaterThanOrEqual(20);
  });
});

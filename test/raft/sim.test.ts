import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { SimOptions } from '../../src/sim/options.ts';
import { runSeed } from '../../src/sim/run.ts';

const SEEDS = 60;
const TWICE = 20;
const SHORT = { faultMs: 4000 };

interface Regression {
  readonly seed: number;
  readonly options: Partial<SimOptions>;
  readonly why: string;
}

const regressions = JSON.parse(
  readFileSync(new URL('../src/sim/regressions.json', import.meta.url), 'utf8'),
) as readonly Regression[];

describe('the simulated cluster', () => {
  test(`${SEEDS} seeds break no invariant and become well`, { timeout: 300_000 }, async () => {
    const faults = new Set<string>();
    let acked = 0;
    let reads = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { ok, failure, stats } = await runSeed(seed, SHORT);
      expect(ok, `npm run sim -- --seed ${seed}: ${failure}`).toBe(true);
      for (const kind of Object.keys(stats.faults)) faults.add(kind);
      acked += stats.acked;
      reads += stats.reads;
    }
    // A run in which nothing happened proves nothing.
    expect(faults.size).toBeGreaterThanOrEqual(20);
    expect(acked).toBeGreaterThan(20 * SEEDS);
    expect(reads).toBeGreaterThan(SEEDS);
  });

  test(`${TWICE} seeds twice give the same histories`, { timeout: 300_000 }, async () => {
    const hashes = new Set<string>();
    for (let seed = 1; seed <= TWICE; seed++) {
      const first = await runSeed(seed, SHORT);
      const second = await runSeed(seed, SHORT);
      expect(second.traceHash, `seed ${seed}`).toBe(first.traceHash);
      expect(second.stats).toEqual(first.stats);
      expect(second.points).toEqual(first.points);
      hashes.add(first.traceHash);
    }
    expect(hashes.size).toBe(TWICE);
  });

  test.each(regressions)('seed $seed once failed: $why', { timeout: 60_000 }, async (case_) => {
    const { failure } = await runSeed(case_.seed, case_.options);
    expect(failure).toBeUndefined();
  });

  test('without faults there is one election per shard', async () => {
    const { ok, stats } = await runSeed(5, { withoutFaults: true, nodes: 3, shards: 2 });
    expect(ok).toBe(true);
    expect(stats.leaders).toBe(2);
    expect(stats.unknown).toBe(0);
    expect(stats.acked).toBeGreaterThan(10);
  });

  test('what is taken out does not happen', async () => {
    const without = ['plain', 'transaction', 'offsets', 'read', 'kill', 'checkpoint'];
    const { ok, stats, points, shape } = await runSeed(6, { ...SHORT, nodes: 3, without });
    expect(ok).toBe(true);
    expect(shape.nodes).toBe(3);
    expect(stats.reads).toBe(0);
    expect(points['transaction committed']).toBeUndefined();
    expect(stats.faults.checkpoint).toBeUndefined();
  });

  test('with metadata, the reconcilers of production place replicas', {
    timeout: 60_000,
  }, async () => {
    let placed = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const { failure, points } = await runSeed(seed, { ...SHORT, nodes: 5, metadata: true });
      expect(failure, `seed ${seed}`).toBeUndefined();
      placed += points['placement brought about'] ?? 0;
    }
    expect(placed).toBeGreaterThan(0);
  });

  test('metadata alone moves nothing', async () => {
    const calm = { withoutFaults: true, nodes: 5, shards: 2, metadata: true };
    const { ok, stats, points } = await runSeed(5, calm);
    expect(ok).toBe(true);
    expect(stats.leaders).toBe(3);
    expect(points['replicas placed anew']).toBeUndefined();
    expect(points['leadership handed over']).toBeUndefined();
  });

  test('a trace to read, when asked for', async () => {
    const { trace } = await runSeed(2, { ...SHORT, traceLines: 50 });
    expect(trace).toHaveLength(50);
    expect((await runSeed(2, SHORT)).trace).toBeUndefined();
  });
});

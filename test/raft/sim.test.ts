import { describe, expect, test } from 'vitest';
import { runSeed } from '../../src/sim/run.ts';
import { STRIKE_KINDS } from '../../src/sim/strikes.ts';

const SEEDS = 200;
const SHORT = { faultMs: 4000 };
/** Faults that are drawn per packet or file operation. */
const OF_THE_WORLD = [
  ...['loss', 'duplicate', 'replay', 'straggle'],
  ...['eioRead', 'eioWrite', 'eioSync', 'enospc', 'crashAtOperation'],
];

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
    expect([...STRIKE_KINDS, ...OF_THE_WORLD].filter((kind) => !faults.has(kind))).toEqual([]);
    expect(acked).toBeGreaterThan(20 * SEEDS);
    expect(reads).toBeGreaterThan(SEEDS);
  });

  test('the same seed gives the same history', async () => {
    for (const seed of [3, 17, 99]) {
      const first = await runSeed(seed, SHORT);
      const second = await runSeed(seed, SHORT);
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.stats).toEqual(first.stats);
    }
  });

  test('without faults there is one election per shard', async () => {
    const { ok, stats } = await runSeed(5, { withoutFaults: true, nodes: 3, shards: 2 });
    expect(ok).toBe(true);
    expect(stats.leaders).toBe(2);
    expect(stats.unknown).toBe(0);
  });
});

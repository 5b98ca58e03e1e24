/** Random histories of whole nodes; a seed that fails fails again: `SEED=n` runs it alone. */
import { expect, test } from 'vitest';
import { History } from '../harness/raft-history.ts';

const only = Number(process.env.SEED ?? 0);
const count = Number(process.env.SEEDS ?? 60);
const seeds = only > 0 ? [only] : Array.from({ length: count }, (_, at) => at + 1);

test('no history loses what was acknowledged, or stands still once it is healed', () => {
  const totals = { acknowledged: 0, snapshots: 0, changes: 0, damages: 0 };
  const failures: string[] = [];
  for (const seed of seeds) {
    const history = new History(seed);
    try {
      history.run();
    } catch (error) {
      failures.push(`SEED=${seed}: ${error instanceof Error ? error.message : error}`);
    }
    totals.acknowledged += history.acknowledged.length;
    totals.snapshots += history.snapshots;
    totals.changes += history.changes;
    totals.damages += history.damages;
  }
  expect(failures).toEqual([]);
  if (only > 0) return;
  // A run in which little happened proves little.
  expect(totals.acknowledged).toBeGreaterThan(10 * seeds.length);
  expect(totals.snapshots).toBeGreaterThan(seeds.length / 2);
  expect(totals.changes).toBeGreaterThan(seeds.length);
  expect(totals.damages).toBeGreaterThan(seeds.length / 10);
}, 600_000);

import { Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { countTally, DurationTally, TalliedHistogram } from '../../../src/observe/tallies.ts';

const BOUNDS = [0.001, 0.01, 0.1, 1];
const declared = { name: 'holdfast_x_seconds', help: 'Of a test' };

it('a histogram as prom-client itself would show it, at and around every bound', async () => {
  const own = new Registry();
  const theirs = new Registry();
  const tally = new DurationTally(BOUNDS);
  new TalliedHistogram(own, declared, () => [[{ method: 'a"b' }, tally]]);
  const plain = { ...declared, buckets: BOUNDS, labelNames: ['method'], registers: [theirs] };
  const reference = new Histogram(plain).labels('a"b');
  for (const value of [0, 0.0005, ...BOUNDS, 0.0011, 0.99, 1.01, 1000]) {
    tally.add(value);
    reference.observe(value);
  }
  expect(await own.metrics()).toBe(await theirs.metrics());
  expect(await own.metrics()).toContain('_count{method="a\\"b"} 10');
});

it('a count is shown as it is at the scrape', async () => {
  const registry = new Registry();
  const tally = countTally(registry, { name: 'holdfast_y_total', help: 'Of a test' });
  tally.count += 3;
  expect(await registry.metrics()).toMatch(/^holdfast_y_total 3$/m);
  tally.count += 4;
  expect(await registry.metrics()).toMatch(/^holdfast_y_total 7$/m);
  expect(await registry.metrics()).toMatch(/^# TYPE holdfast_y_total counter$/m);
});

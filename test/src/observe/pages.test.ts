/** docs/metrics.md and the dashboard name the metrics that there are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Scrapes } from '../../../src/observe/observer.ts';
import { packageRoot } from '../../../src/package-root.ts';
import { declaredName, documentedMetrics, namesIn, Scraped } from '../../harness/metric-pages.ts';

const page = readFileSync(join(packageRoot(), 'docs/metrics.md'), 'utf8');
const documented = documentedMetrics(page);

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly Target[] }[];
}
interface Target {
  readonly expr: string;
}
const file = join(packageRoot(), 'deploy/grafana/holdfast.json');
const dashboard = JSON.parse(readFileSync(file, 'utf8')) as Dashboard;
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

it('docs/metrics.md has every metric, once, with its type, and no other', async () => {
  const { text } = await new Scrapes().metrics();
  const declared = new Scraped(text).types();
  expect(declared.length).toBeGreaterThan(50);
  expect(documented.map(({ name, type }) => `${name} ${type}`).sort()).toEqual(
    declared.map(([name, type]) => `${name} ${type}`).sort(),
  );
});

it('the dashboard asks only for what there is', () => {
  expect(queries.length).toBeGreaterThan(50);
  const asked = queries.flatMap(namesIn);
  expect(asked.filter((name) => declaredName(name, documented) === undefined)).toEqual([]);
  for (const query of queries) expect(query, query).toContain('job="$job"');
});

it('so do the alerts of docs/metrics.md', () => {
  const alerts = page.slice(page.indexOf('## What to be woken for')).match(/^\| `.*?` \|/gm) ?? [];
  expect(alerts.length).toBeGreaterThan(10);
  const asked = alerts.flatMap(namesIn);
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.filter((name) => declaredName(name, documented) === undefined)).toEqual([]);
});

it('the check itself sees what does not exist', () => {
  const none = ['holdfast_typo', 'holdfast_calls', 'holdfast_call_duration_seconds'];
  expect(none.map((name) => declaredName(name, documented))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(declaredName('holdfast_call_duration_seconds_bucket', documented)).toBe(
    'holdfast_call_duration_seconds',
  );
  expect(namesIn('sum(rate(holdfast_x_total{outcome="holdfast_y"}[5m]))')).toEqual([
    'holdfast_x_total',
  ]);
});

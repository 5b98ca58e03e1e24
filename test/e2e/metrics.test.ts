/** A scrape of real nodes: what was done is what is shown, and nothing of what was in it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { documentedMetrics, Scraped } from '../harness/metric-pages.ts';
import { holdfast } from './cluster-process.ts';
import { eventually, Stubs } from './stubs.ts';
import { type ServeProcess, ThreeNodes } from './three-nodes.ts';

const TIMEOUT_MS = 90_000;
const NODES = [1, 2, 3];
const HTTP_OFFSET = 200;
const page = readFileSync(join(packageRoot(), 'docs/metrics.md'), 'utf8');
const documented = documentedMetrics(page);

interface Ready {
  readonly ready: boolean;
  readonly reason?: string;
  readonly shards: readonly { readonly shard: number; readonly leader: number | null }[];
}

const root = mkdtempSync(join(tmpdir(), 'holdfast-metrics-'));
let cluster: ThreeNodes;
const running = new Map<number, ServeProcess>();

beforeAll(async () => {
  cluster = await ThreeNodes.init(root);
  for (const node of NODES) running.set(node, cluster.launch(node));
  await Promise.all([...running.values()].map((node) => node.serving()));
}, TIMEOUT_MS);

afterAll(async () => {
  await Promise.all([...running.values()].map((node) => node.kill('SIGTERM')));
  rmSync(root, { recursive: true, force: true });
});

const server = (node: number): string => cluster.servers[node - 1]!;

function get(node: number, path: string): Promise<Response> {
  const port = Number(server(node).split(':')[1]) + HTTP_OFFSET;
  return fetch(`http://127.0.0.1:${port}${path}`);
}

const scrapeAll = (): Promise<Scraped[]> =>
  Promise.all(NODES.map(async (node) => new Scraped(await (await get(node, '/metrics')).text())));
const sum = (scrapes: readonly Scraped[], ...asked: Parameters<Scraped['sum']>): number =>
  scrapes.reduce((total, one) => total + one.sum(...asked), 0);

async function readiness(node: number): Promise<Ready & { readonly status: number }> {
  const answer = await get(node, '/readyz');
  return { ...((await answer.json()) as Ready), status: answer.status };
}

describe('three nodes', { timeout: TIMEOUT_MS }, () => {
  it('grow by exactly what was done, over the cluster', async () => {
    await Promise.all(
      NODES.map((node) =>
        eventually(
          () => readiness(node),
          ({ status }) => status === 200,
        ),
      ),
    );
    await holdfast('topic', 'create', 'canary-topic', '--server', server(1));
    const stubs = new Stubs(server(1));
    const before = await scrapeAll();
    for (let at = 0; at < 10; at += 1) await stubs.produce('canary-topic', at % 3, 'canary-body');
    const after = await scrapeAll();
    const grown = (...asked: Parameters<Scraped['sum']>) =>
      sum(after, ...asked) - sum(before, ...asked);
    const produced = { method: 'Log/Produce', outcome: 'ok' };
    expect(grown('holdfast_calls_total', produced)).toBe(10);
    expect(grown('holdfast_call_duration_seconds_count', { method: 'Log/Produce' })).toBe(10);
    expect(grown('holdfast_stored_messages_total')).toBe(10);
    expect(grown('holdfast_log_flush_duration_seconds_count')).toBeGreaterThanOrEqual(20);
    expect(grown('holdfast_log_records_total')).toBeGreaterThanOrEqual(20);
    expect(await stubs.readAll('canary-topic', 0)).toHaveLength(4);
    expect(sum(await scrapeAll(), 'holdfast_fetched_messages_total')).toBe(4);
    stubs.close();
  });

  it('each shard has one leader, that knows how far all replicas are', async () => {
    const scrapes = await scrapeAll();
    expect(sum(scrapes, 'holdfast_shard_is_leader')).toBe(13);
    const lags = scrapes.flatMap(({ samples }) =>
      samples.filter(({ name }) => name === 'holdfast_replica_lag_entries'),
    );
    expect(lags).toHaveLength(39);
    expect(sum(scrapes, 'holdfast_shard_elections_won_total')).toBeGreaterThanOrEqual(13);
    expect(sum(scrapes, 'holdfast_peer_up')).toBe(6);
    const [one] = scrapes as [Scraped];
    for (const name of ['log_bytes', 'state_bytes', 'disk_free_bytes', 'disk_size_bytes']) {
      expect(one.sum(`holdfast_${name}`), name).toBeGreaterThan(0);
    }
  });

  it('docs/metrics.md names the labels that there are', async () => {
    const [{ samples }] = (await scrapeAll()) as [Scraped];
    for (const { name, labels } of samples) {
      const base = name.replace(/_(?:bucket|count|sum)$/, '');
      const row = documented.find((one) => one.name === name || one.name === base);
      const found = Object.keys(labels).filter((label) => label !== 'le');
      expect(found.sort(), name).toEqual([...row!.labels].sort());
    }
    const shown = new Set(samples.map(({ name }) => name.replace(/_(?:bucket|count|sum)$/, '')));
    const silent = documented.filter(({ name }) => !shown.has(name)).map(({ name }) => name);
    expect(silent).toEqual([]);
  });

  it('show nothing of topics, keys and messages', async () => {
    const keyed = ['produce', 'canary-topic', '--key', 'canary-key', '--file', 'package.json'];
    await holdfast(...keyed, '--server', server(2));
    await holdfast('consume', 'canary-topic', '--group', 'canary-group', '--server', server(2));
    const texts = await Promise.all(
      NODES.flatMap((node) =>
        ['/metrics', '/readyz', '/healthz'].map(async (path) => (await get(node, path)).text()),
      ),
    );
    for (const text of texts) expect(text).not.toContain('canary');
  });

  it('without a majority a node lives, and is not ready', async () => {
    await Promise.all([1, 2].map((node) => running.get(node)!.kill('SIGKILL')));
    const alone = await eventually(
      () => readiness(3),
      ({ status }) => status === 503,
    );
    expect(alone.ready).toBe(false);
    expect(alone.reason).toMatch(/no leader/);
    expect(alone.shards).toHaveLength(13);
    const alive = await get(3, '/healthz');
    expect([alive.status, await alive.json()]).toEqual([200, { alive: true, node: 3 }]);
    for (const node of [1, 2]) running.set(node, await cluster.launch(node).serving());
    await eventually(
      () => readiness(3),
      ({ status }) => status === 200,
    );
  });

  it('a taken port is said at the start, with the key', async () => {
    await running.get(1)!.kill('SIGTERM');
    const port = Number(server(1).split(':')[1]) + HTTP_OFFSET;
    const taker = createServer();
    await new Promise<void>((resolve) => {
      taker.listen(port, '127.0.0.1', resolve);
    });
    const { code, stderr } = await cluster.launch(1).ended;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/taken.*listen\.http.*metrics/)]);
    const quiet = await cluster.launch(1, 'metrics=false').serving();
    running.set(1, quiet);
    await new Promise((resolve) => {
      taker.close(resolve);
    });
    await expect(get(1, '/metrics')).rejects.toThrow();
  });
});

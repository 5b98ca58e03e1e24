/**
 * Watching one node: meters from the first moment, HTTP before the storage is open (a long recovery
 * is alive, and not ready), figures once the parts run.
 */
import { Registry } from 'prom-client';
import type { NodeConfig, TracingConfig } from '../config.ts';
import type { Spans } from '../service/spans.ts';
import { type Figures, NodeFigures, type ObservedParts } from './figures.ts';
import { HttpServer, jsonPage, type Page } from './http-server.ts';
import { createMeters, NO_NODE_METERS, type NodeMeters } from './meters.ts';
import type { NodeSpans } from './otlp.ts';
import { PROCESS_READINGS } from './process-readings.ts';
import { readinessOf } from './readiness.ts';
import { type Reading, registerReadings } from './readings.ts';
import { SERVICE_READINGS } from './service-readings.ts';
import { SHARD_READINGS } from './shard-readings.ts';
import { STORAGE_READINGS } from './storage-readings.ts';

const READINGS: readonly Reading[] = [
  ...SERVICE_READINGS,
  ...SHARD_READINGS,
  ...STORAGE_READINGS,
  ...PROCESS_READINGS,
];

export interface Observer {
  readonly meters: NodeMeters;
  /** undefined = no collector is configured. */
  readonly spans: Spans | undefined;
  /** undefined = nothing listens. */
  readonly httpPort: number | undefined;
  /** From here on there is something to see. */
  watch(parts: ObservedParts): void;
  close(): Promise<void>;
}

export async function startObserver(
  config: NodeConfig,
  identity: { readonly clusterId: string; readonly node: number },
): Promise<Observer> {
  const spans = await openTracing(config.tracing, identity);
  const watcher = config.metrics ? await startWatcher(config) : NO_WATCHER;
  return {
    ...watcher,
    spans,
    async close() {
      await watcher.close();
      await spans?.close();
    },
  };
}

type Watcher = Omit<Observer, 'spans'>;

async function startWatcher(config: NodeConfig): Promise<Watcher> {
  const scrapes = new Scrapes();
  const server = new HttpServer({
    '/metrics': () => scrapes.metrics(),
    '/healthz': () => jsonPage(200, { alive: true, node: config.node }),
    '/readyz': () => scrapes.readiness(config.node),
  });
  const { port } = await server.listen(config.listen.http);
  return {
    meters: scrapes.meters,
    httpPort: port,
    watch: (parts) => scrapes.watch(parts),
    async close() {
      await server.close();
      scrapes.close();
    },
  };
}

const NO_WATCHER: Watcher = Object.freeze({
  meters: NO_NODE_METERS,
  httpPort: undefined,
  watch() {},
  close: () => Promise.resolve(),
});

async function openTracing(
  config: TracingConfig | undefined,
  node: { readonly clusterId: string; readonly node: number },
): Promise<NodeSpans | undefined> {
  if (config === undefined) return undefined;
  // Large packages, and few need them.
  const { openSpans } = await import('./otlp.ts');
  return openSpans(config, node);
}

/** One registry, and the figures of the scrape under way. */
export class Scrapes {
  readonly registry = new Registry();
  readonly meters: NodeMeters = createMeters(this.registry);
  #parts: ObservedParts | undefined;
  #source: NodeFigures | undefined;
  #figures: Figures | undefined;
  #underWay: Promise<string> | undefined;

  constructor() {
    registerReadings(this.registry, READINGS, () => this.#figures);
  }

  watch(parts: ObservedParts): void {
    this.#parts = parts;
    this.#source = new NodeFigures(parts);
  }

  close(): void {
    this.#source?.close();
  }

  /** Who asks while another is being answered gets the same answer. */
  async metrics(): Promise<Page> {
    this.#underWay ??= this.#scrape().finally(() => {
      this.#underWay = undefined;
    });
    return { status: 200, type: this.registry.contentType, text: await this.#underWay };
  }

  readiness(node: number): Page {
    const parts = this.#parts;
    if (parts === undefined) {
      return jsonPage(503, { ready: false, reason: 'this node is starting', node, shards: [] });
    }
    const report = readinessOf(parts.host, parts.service.stats().isServing);
    return jsonPage(report.ready ? 200 : 503, report);
  }

  async #scrape(): Promise<string> {
    this.#figures = await this.#source?.read();
    return this.registry.metrics();
  }
}

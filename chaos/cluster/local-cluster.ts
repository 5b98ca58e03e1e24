/** A cluster of our own: configurations, `cluster init`, one `serve` per node on this machine. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { freeBasePort } from '../../test/processes/free-ports.ts';
import { HOLDFAST } from '../../test/processes/up-process.ts';
import { nowMs } from '../history.ts';
import type { Need } from '../nemesis/nemesis.ts';
import type { Shim } from '../shim/build.ts';
import { NodeDisk } from '../shim/node-disk.ts';
import type { AttackedCluster } from './attacked-cluster.ts';
import { Keeper } from './keeper.ts';
import { allLinks, type Links, proxyPorts, startLinks } from './links.ts';
import { NodeProcess } from './node-process.ts';
import { CLIENTS, type Link, type Proxies } from './proxies.ts';
import { stallEnvironment } from './stall-hook.ts';
import { toxiproxyBinary } from './toxiproxy.ts';
import type { Leaders, View } from './views.ts';
import { Watch } from './watch.ts';

/** Written into every configuration, so that pauses can be shorter or longer than it. */
export const ELECTION_TIMEOUT_MS = 1200;

const CHECK_MS = 2000;
const RETENTION_CHECK_MS = 500;
const START_TIMEOUT_MS = 60_000;
const STATUS_PACE_MS = 50;
const COMMAND_TIMEOUT_MS = 90_000;
const PEER_PORTS_AT = 100;
const HTTP_PORTS_AT = 200;

const run = promisify(execFile);

interface Place {
  readonly node: number;
  readonly grpc: string;
  readonly peer: string;
  readonly http: string;
}

export interface LocalOptions {
  readonly nodes: number;
  /** To be loaded into every node, if it is there; undefined: no fault asks for it. */
  readonly shim?: Shim | undefined;
  /** key=value pairs over the configuration of every node. */
  readonly settings?: readonly string[];
  /** What the faults of this run cannot do without, as far as it can be had here. */
  readonly needs: readonly Need[];
  /** Of another build to be tried; undefined: `holdfast` as it was built. */
  readonly binary?: string | undefined;
  /** A node that ended by itself, or another thing that no fault explains. */
  readonly onLost: (text: string) => void;
}

export class LocalCluster implements AttackedCluster {
  readonly nodes: readonly number[];
  readonly addresses: readonly string[];
  readonly #processes: readonly NodeProcess[];
  readonly #watch: Watch;
  readonly #keeper: Keeper;
  readonly #disks = new Map<number, NodeDisk>();
  #shimMissing = 'the nodes run without the shim';
  readonly #places: readonly Place[];
  readonly #links: Links | undefined;

  private constructor(
    folder: string,
    places: readonly Place[],
    keeper: Keeper,
    links: Links | undefined,
  ) {
    this.#places = places;
    this.#links = links;
    this.nodes = places.map(({ node }) => node);
    this.addresses = places.map(({ node, grpc }) => links?.clientAddress(node) ?? grpc);
    this.#watch = new Watch(places);
    this.#processes = places.map(({ node }) => {
      const one = new NodeProcess(node, filesOf(folder, node), keeper);
      one.environment = stallEnvironment();
      return one;
    });
    this.#keeper = keeper;
  }

  /** Born and started below `folder`; resolves when every node answers. */
  static async start(folder: string, options: LocalOptions): Promise<LocalCluster> {
    const { binary = HOLDFAST } = options;
    if (!existsSync(binary)) throw new Error(`${binary} is missing: run npm run build`);
    mkdirSync(join(folder, 'data'), { recursive: true });
    const { nodes, needs, onLost, settings = [], shim } = options;
    const paths = allLinks(Array.from({ length: nodes }, (_, at) => at + 1));
    const base = await freeBasePort(nodes, proxyPorts(paths));
    const places = Array.from({ length: nodes }, (_, at) => placeOf(at + 1, base));
    const keeper = new Keeper();
    const needsLinks = needs.includes('proxies') || needs.includes('client-links');
    const proxy = needsLinks ? toxiproxyBinary() : undefined;
    const plan = {
      ...{ base, keeper, log: join(folder, 'toxiproxy.log') },
      links: paths.map((link) => [link, upstreamOf(link, places)] as const),
    };
    const links = proxy === undefined ? undefined : await startLinks(proxy, plan);
    for (const { node } of places) writeConfig(folder, node, places, links);
    const files = places.flatMap(({ node }) => ['--config', filesOf(folder, node).config]);
    await run(process.execPath, [binary, 'cluster', 'init', ...files]);
    const cluster = new LocalCluster(folder, places, keeper, links);
    for (const one of cluster.#processes) {
      one.binary = binary;
      one.settings = settings;
    }
    if (shim !== undefined) cluster.#load(shim, join(folder, 'shim'));
    try {
      await cluster.#launch();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    for (const one of cluster.#processes) one.onLost = onLost;
    return cluster;
  }

  lacks(need: Need): string | undefined {
    if (need === 'processes') return undefined;
    if (need === 'shim') return this.#disks.size > 0 ? undefined : this.#shimMissing;
    return this.#links === undefined ? 'there is no toxiproxy-server on the PATH' : undefined;
  }

  proxies(): Proxies {
    if (this.#links === undefined) throw new Error('there are no proxies');
    return this.#links.proxies;
  }

  async command(words: readonly string[], past: number): Promise<void> {
    const others = this.#places.filter(({ node }) => node !== past);
    const server = others.map(({ grpc }) => grpc).join(',');
    const args = [HOLDFAST, 'cluster', ...words, '--server', server];
    await run(process.execPath, args, { timeout: COMMAND_TIMEOUT_MS });
  }

  process(node: number): NodeProcess {
    const found = this.#processes.find((one) => one.node === node);
    if (found === undefined) throw new Error(`there is no node ${node}`);
    return found;
  }

  disk(node: number): NodeDisk {
    const found = this.#disks.get(node);
    if (found === undefined) throw new Error(`node ${node} runs without the shim`);
    return found;
  }

  view(node: number): Promise<View> {
    return this.#watch.view(node);
  }

  whole(timeoutMs: number, wanted: () => boolean): Promise<Leaders | undefined> {
    return this.#watch.whole(timeoutMs, wanted);
  }

  async heal(): Promise<void> {
    for (const disk of this.#disks.values()) disk.heal();
    await this.#links?.proxies.heal();
    for (const one of this.#processes) {
      one.mayEnd = false;
      one.resume();
      one.start();
    }
  }

  /** SIGTERM, as an operator would; resolves when every node is gone. */
  async stop(): Promise<void> {
    this.#watch.close();
    await Promise.all(this.#processes.map((one) => one.stop()));
    for (const disk of this.#disks.values()) disk.close();
    this.#links?.stop();
    this.#keeper.close();
  }

  #load(shim: Shim, folder: string): void {
    if ('missing' in shim) {
      this.#shimMissing = shim.missing;
      return;
    }
    for (const one of this.#processes) {
      const disk = new NodeDisk(shim.library, one.files.data, join(folder, `node-${one.node}`));
      this.#disks.set(one.node, disk);
      one.environment = { ...one.environment, ...disk.environment };
    }
  }

  async #launch(): Promise<void> {
    let lost: string | undefined;
    for (const one of this.#processes) {
      one.onLost = (text) => {
        lost ??= text;
      };
      one.start();
    }
    const giveUpAtMs = nowMs() + START_TIMEOUT_MS;
    while ((await this.#watch.views()).includes(undefined)) {
      if (lost !== undefined) throw new Error(lost);
      if (nowMs() > giveUpAtMs) throw new Error(`not started in ${START_TIMEOUT_MS / 1000} s`);
      await delay(STATUS_PACE_MS);
    }
  }
}

function placeOf(node: number, base: number): Place {
  const at = (port: number) => `127.0.0.1:${port}`;
  const grpc = at(base + node);
  return {
    node,
    grpc,
    peer: at(base + PEER_PORTS_AT + node),
    http: at(base + HTTP_PORTS_AT + node),
  };
}

function upstreamOf({ from, to }: Link, places: readonly Place[]): string {
  const { grpc, peer } = places.find(({ node }) => node === to)!;
  return from === CLIENTS ? grpc : peer;
}

function filesOf(folder: string, node: number) {
  return {
    config: join(folder, `node-${node}.yaml`),
    log: join(folder, `node-${node}.log`),
    data: join(folder, 'data', `node-${node}`),
  };
}

function writeConfig(
  folder: string,
  node: number,
  places: readonly Place[],
  links: Links | undefined,
): void {
  const own = places.find((place) => place.node === node);
  const peers = places.filter((place) => place.node !== node);
  const { config, data } = filesOf(folder, node);
  const text = stringify({
    node,
    data,
    listen: { grpc: own?.grpc, peer: own?.peer, http: own?.http },
    peers: Object.fromEntries(
      peers.map(({ node: other, peer }) => [other, links?.peerAddress(node, other) ?? peer]),
    ),
    raft: { electionTimeoutMs: ELECTION_TIMEOUT_MS },
    // Often enough that a short run sees many checks, and messages that grow old.
    transactions: { firstCheckAfterMs: CHECK_MS, checkIntervalMs: CHECK_MS },
    retention: { checkIntervalMs: RETENTION_CHECK_MS },
  });
  writeFileSync(config, text);
}

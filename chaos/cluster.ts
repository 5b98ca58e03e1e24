/** The cluster under attack: `holdfast up` as a user starts it, its nodes known by their pids. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from './history.ts';
import { type ClusterDescription, packageFolder } from './methods.ts';
import { NodeStub } from './node-stub.ts';

const PORTS_FROM = 21_000;
const PORTS_BELOW = 30_000;
const PORT_ATTEMPTS = 100;
const DESCRIBE_TIMEOUT_MS = 2000;
const STATUS_PACE_MS = 50;
const READY_TIMEOUT_MS = 120_000;

/** Every node up, every shard led, all replicas level with what was committed. */
export interface WholeCluster {
  readonly pids: ReadonlyMap<number, number>;
  readonly leaders: ReadonlyMap<number, number>;
}

export class Cluster {
  readonly addresses: readonly string[];
  readonly #child: ChildProcess;
  readonly #exit: Promise<string>;
  readonly #stubs: readonly NodeStub[];
  #ended = false;

  private constructor(addresses: readonly string[], child: ChildProcess) {
    this.addresses = addresses;
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(`${signal ?? `exit code ${code}`}`));
    });
    void this.#exit.then(() => {
      this.#ended = true;
    });
    this.#stubs = addresses.map((address, i) => new NodeStub(i + 1, address));
  }

  /** `folder` gets the cluster's data and what it says. */
  static async start(folder: string, nodes: number): Promise<Cluster> {
    const command = join(packageFolder(), 'dist', 'src', 'bin.cjs');
    if (!existsSync(command)) throw new Error(`${command} is missing: run npm run build`);
    const base = await freeBasePort(nodes);
    const data = join(folder, 'data');
    const args = ['up', '--nodes', `${nodes}`, '--data', data, '--base-port', `${base}`];
    const child = spawn(process.execPath, [command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const addresses = Array.from({ length: nodes }, (_, i) => `127.0.0.1:${base + i + 1}`);
    const cluster = new Cluster(addresses, child);
    try {
      await cluster.#ready(join(folder, 'up.log'));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Undefined: it did not become whole in time, or `wanted` turned false. */
  async whole(timeoutMs: number, wanted: () => boolean): Promise<WholeCluster | undefined> {
    const giveUpAtMs = nowMs() + timeoutMs;
    let floor: ReadonlyMap<number, number> | undefined;
    while (nowMs() < giveUpAtMs && wanted() && !this.#ended) {
      const views = await this.#describe();
      if (agree(views)) {
        floor ??= commitIndexes(views[0]!);
        if (levelWith(views[0]!, floor)) return summary(views);
      }
      await delay(STATUS_PACE_MS);
    }
    return undefined;
  }

  /** SIGTERM, as an operator would; resolves when `up` and with it every node is gone. */
  async stop(): Promise<void> {
    for (const stub of this.#stubs) stub.close();
    if (!this.#ended) this.#child.kill('SIGTERM');
    await this.#exit;
  }

  /** As each node sees it; a node that does not answer has no view. */
  async #describe(): Promise<readonly (ClusterDescription | undefined)[]> {
    const answers = await Promise.all(
      this.#stubs.map((stub) => stub.call('Admin.DescribeCluster', {}, DESCRIBE_TIMEOUT_MS)),
    );
    return answers.map((answer) => (answer.outcome === 'ok' ? answer.value : undefined));
  }

  async #ready(logFile: string): Promise<void> {
    const log = createWriteStream(logFile);
    this.#child.stderr?.pipe(log, { end: false });
    const ready = new Promise<void>((resolve) => {
      let text = '';
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        log.write(chunk);
        if (text.length < 65_536) text += chunk.toString();
        if (/^ready$/m.test(text)) resolve();
      });
    });
    void this.#exit.then(() => log.end());
    const timer = new AbortController();
    const late = delay(READY_TIMEOUT_MS, 'no ready line', { signal: timer.signal });
    const failed = Promise.race([this.#exit, late.catch(() => '')]).then((why) => {
      throw new Error(`holdfast up: ${why}, see ${logFile}`);
    });
    failed.catch(() => undefined);
    await Promise.race([ready, failed]);
    timer.abort();
  }
}

type View = ClusterDescription | undefined;

export function agree(views: readonly View[]): views is readonly ClusterDescription[] {
  const first = views[0];
  if (first === undefined || first.shards.length === 0) return false;
  return views.every(
    (view) =>
      view !== undefined &&
      view.nodes.length === views.length &&
      view.nodes.every(({ up, pid }) => up && pid > 0) &&
      view.shards.length === first.shards.length &&
      view.shards.every(({ leader }, i) => leader > 0 && leader === first.shards[i]?.leader),
  );
}

function commitIndexes({ shards }: ClusterDescription): ReadonlyMap<number, number> {
  return new Map(shards.map((shard) => [shard.id, shard.commit_index]));
}

function levelWith({ shards }: ClusterDescription, floor: ReadonlyMap<number, number>): boolean {
  return shards.every(({ id, replicas }) =>
    replicas.every((replica) => replica.match_index >= (floor.get(id) ?? 0)),
  );
}

/** A node's pid is what that node says itself. */
function summary(views: readonly ClusterDescription[]): WholeCluster {
  const ownPid = (view: ClusterDescription) => view.nodes.find(({ id }) => id === view.node)?.pid;
  return {
    pids: new Map(views.map((view) => [view.node, ownPid(view) ?? 0])),
    leaders: new Map(views[0]!.shards.map(({ id, leader }) => [id, leader])),
  };
}

/** Node i uses base + i and base + 100 + i. */
async function freeBasePort(nodes: number): Promise<number> {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
    const base = PORTS_FROM + Math.floor((Math.random() * (PORTS_BELOW - PORTS_FROM)) / 10) * 10;
    const ports = Array.from({ length: nodes }, (_, i) => [base + i + 1, base + i + 101]).flat();
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error(`found no free ports from ${PORTS_FROM} to ${PORTS_BELOW}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

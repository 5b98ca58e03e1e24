/** A cluster that grows and shrinks as an operator does it: `init`, `serve`, `add`, `remove`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClusterStatus, freeBasePort, HOLDFAST, holdfast } from './cluster-process.ts';

export interface GrowingStatus extends ClusterStatus {
  readonly nodes: readonly {
    id: number;
    address: string;
    pid: number;
    up: boolean;
    state: string;
  }[];
  readonly shards: readonly (ClusterStatus['shards'][number] & {
    readonly replicas: readonly {
      readonly node: number;
      readonly role: string;
      readonly match_index: number;
    }[];
    readonly placement: {
      readonly version: number;
      readonly placed_version: number;
      readonly voters: readonly number[];
      readonly leader: number;
    };
  })[];
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
}

export class GrowingCluster {
  /** Of every node that there may ever be. */
  readonly servers: readonly string[];
  readonly #root: string;
  readonly #base: number;
  readonly #settings: readonly string[];
  readonly #running = new Map<number, Running>();

  private constructor(root: string, base: number, nodesMax: number, settings: readonly string[]) {
    this.#root = root;
    this.#base = base;
    this.#settings = settings;
    this.servers = Array.from({ length: nodesMax }, (_, at) => `127.0.0.1:${base + at + 1}`);
  }

  /** Born with nodes 1 to `nodes`, all serving, every shard led. */
  static async start(
    root: string,
    nodes: number,
    nodesMax: number,
    settings: readonly string[] = [],
  ): Promise<GrowingCluster> {
    const base = await freeBasePort(nodesMax);
    const cluster = new GrowingCluster(root, base, nodesMax, settings);
    mkdirSync(root, { recursive: true });
    const born = Array.from({ length: nodes }, (_, at) => at + 1);
    for (const node of born) cluster.writeConfig(node, born);
    const files = born.flatMap((node) => ['--config', cluster.configFile(node)]);
    await holdfast('cluster', 'init', ...files);
    await Promise.all(born.map((node) => cluster.launch(node)));
    await cluster.until(({ shards }) => shards.every(({ leader }) => leader > 0));
    return cluster;
  }

  configFile(node: number): string {
    return join(this.#root, `node-${node}.yaml`);
  }

  /** Of metrics and health. */
  httpUrl(node: number): string {
    return `http://127.0.0.1:${this.#base + 200 + node}`;
  }

  directory(node: number): string {
    return join(this.#root, `node-${node}`);
  }

  /** An added node need not list the others: the cluster tells it. */
  writeConfig(node: number, peers: readonly number[] = []): void {
    const base = this.#base;
    const lines = [
      `node: ${node}`,
      `data: ${this.directory(node)}`,
      'listen:',
      `  grpc: 127.0.0.1:${base + node}`,
      `  peer: 127.0.0.1:${base + 100 + node}`,
      `  http: 127.0.0.1:${base + 200 + node}`,
      'peers:',
      ...peers
        .filter((peer) => peer !== node)
        .map((peer) => `  ${peer}: 127.0.0.1:${base + 100 + peer}`),
    ];
    const text = lines.filter((line, at) => line !== 'peers:' || lines.length > at + 1);
    writeFileSync(this.configFile(node), `${text.join('\n')}\n`);
  }

  /** Resolves when the node serves; rejects with its last words when it ends instead. */
  launch(node: number): Promise<void> {
    const flags = this.#settings.flatMap((setting) => ['--set', setting]);
    const args = [HOLDFAST, 'serve', '--config', this.configFile(node), ...flags];
    // The channel is the leash: when this process ends, the node does.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    this.#running.set(node, { child, ended });
    return new Promise((resolve, reject) => {
      let errors = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        writeFileSync(join(this.#root, `node-${node}.log`), chunk, { flag: 'a' });
        if (chunk.includes('"msg":"serving"')) resolve();
      });
      child.stderr?.on('data', (chunk: Buffer) => {
        errors += chunk.toString();
      });
      void ended.then((code) => reject(new Error(`node ${node} ended with ${code}: ${errors}`)));
    });
  }

  runs(node: number): boolean {
    return this.#running.has(node);
  }

  async kill(node: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const running = this.#running.get(node);
    if (running === undefined) return;
    this.#running.delete(node);
    running.child.kill(signal);
    await running.ended;
  }

  /** `cluster add`, `serve`, and until its share of the shards is there. */
  async add(node: number): Promise<void> {
    this.writeConfig(node);
    const config = ['--config', this.configFile(node)];
    await this.cli('cluster', 'add', '--no-wait', ...config);
    await this.launch(node);
    await this.cli('cluster', 'add', ...config);
  }

  /** `cluster remove`, until its replicas have moved; then it is stopped and deleted. */
  async remove(node: number): Promise<void> {
    await this.cli('cluster', 'remove', `${node}`);
    await this.kill(node, 'SIGTERM');
    this.wipe(node);
  }

  wipe(node: number): void {
    rmSync(this.directory(node), { recursive: true, force: true });
  }

  /** Through any node that runs. */
  cli(...args: string[]): Promise<string> {
    return holdfast(...args, '--server', this.liveServers().join(','));
  }

  liveServers(): string[] {
    return [...this.#running.keys()].map((node) => this.servers[node - 1]!);
  }

  async status(): Promise<GrowingStatus> {
    return JSON.parse(await this.cli('cluster', 'status', '--json')) as GrowingStatus;
  }

  async until(
    condition: (status: GrowingStatus) => boolean,
    timeoutMs = 60_000,
  ): Promise<GrowingStatus> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const status = await this.status().catch(() => undefined);
      if (status !== undefined && condition(status)) return status;
      if (performance.now() > deadline) {
        throw new Error(`never came about: ${JSON.stringify(status)}`);
      }
    }
  }

  /** What the nodes wrote, for whoever looks for a reason. */
  logs(): string {
    const names = existsSync(this.#root) ? readdirSync(this.#root) : [];
    const files = names.filter((name) => name.endsWith('.log'));
    return files.map((name) => readFileSync(join(this.#root, name), 'utf8')).join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((node) => this.kill(node, 'SIGTERM')));
  }
}

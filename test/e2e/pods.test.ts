/**
 * The life of the chart's pods, as processes of this machine: the rendered init script, environment
 * and configuration, with a directory for each volume. Only ports and paths are others.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { packageRoot } from '../../src/package-root.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { freeBasePort, HOLDFAST, holdfast } from './cluster-process.ts';

const TIMEOUT_MS = 240_000;
const PAUSE_MS = 500;
const PODS = [1, 2, 3];

interface Status {
  readonly nodes: readonly { readonly up: boolean }[];
  readonly shards: readonly { readonly replicas: readonly { readonly role: string }[] }[];
}

interface Chart {
  readonly script: string;
  readonly config: string;
}

function renderedChart(): Chart {
  const text = readFileSync(join(packageRoot(), 'deploy/helm/rendered.yaml'), 'utf8');
  const documents = parseAllDocuments(text).map((document) => document.toJS());
  const of = (kind: string) => documents.find((one) => one.kind === kind);
  const { initContainers } = of('StatefulSet').spec.template.spec;
  return { script: initContainers[0].command[2], config: of('ConfigMap').data['node.yaml'] };
}

/** A pod with its volume: the init container until it passes, then the node. */
class Pod {
  readonly volume: string;
  readonly #config: string;
  readonly #environment: Record<string, string>;
  readonly #script: string;
  #child: ChildProcess | undefined;
  #stopped = false;
  said = '';

  constructor(root: string, number: number, base: number) {
    const { config, script } = renderedChart();
    this.volume = join(root, `volume-${number}`);
    this.#config = join(root, `node-${number}.yaml`);
    writeFileSync(this.#config, config.replace('/var/lib/holdfast', this.volume));
    const bin = join(root, 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(
      join(bin, 'holdfast'),
      `#!/bin/sh\nexec "${process.execPath}" "${HOLDFAST}" "$@"\n`,
    );
    chmodSync(join(bin, 'holdfast'), 0o755);
    this.#script = script
      .replaceAll('/etc/holdfast/node.yaml', this.#config)
      .replace('sleep 5', 'sleep 1');
    const at = (offset: number) => `127.0.0.1:${base + offset + number}`;
    this.#environment = {
      PATH: [bin, process.env.PATH].join(delimiter),
      HOLDFAST_NODE: `${number}`,
      HOLDFAST_LISTEN_GRPC: at(0),
      HOLDFAST_LISTEN_PEER: at(100),
      HOLDFAST_LISTEN_HTTP: at(200),
      HOLDFAST_ADVERTISE_GRPC: at(0),
      HOLDFAST_ADVERTISE_PEER: at(100),
      HOLDFAST_SERVER: PODS.map((pod) => `127.0.0.1:${base + pod}`).join(','),
    };
    mkdirSync(this.volume);
  }

  get hasIdentity(): boolean {
    return existsSync(join(this.volume, 'identity.json'));
  }

  start(): void {
    this.#stopped = false;
    void this.#live();
  }

  /** What `kubectl exec` does. */
  exec(command: string): Promise<number | null> {
    return this.#run(command.replaceAll('/etc/holdfast/node.yaml', this.#config), false);
  }

  async kill(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    if (child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid!, 'SIGKILL');
      await ended;
    }
  }

  loseVolume(): void {
    rmSync(this.volume, { recursive: true });
    mkdirSync(this.volume);
  }

  async #live(): Promise<void> {
    const code = await this.#run(this.#script, true);
    if (code !== 0 || this.#stopped) return;
    await this.#run(`exec holdfast serve --config ${this.#config}`, true);
  }

  #run(script: string, isOwn: boolean): Promise<number | null> {
    const child = spawn('sh', ['-c', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: this.#environment,
      detached: true,
    });
    if (isOwn) this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.said += chunk.toString();
    });
    return new Promise((resolve) => child.once('close', resolve));
  }
}

it('pods are born once, add themselves, and a lost volume stays out', {
  timeout: TIMEOUT_MS,
}, async () => {
  const root = temporaryDirectory();
  const base = await freeBasePort(3);
  const pods = PODS.map((number) => new Pod(root, number, base));
  const [one, , three] = pods as [Pod, Pod, Pod];
  onTestFinished(async () => {
    await Promise.all(pods.map((pod) => pod.kill()));
  });
  const server = ['--server', `127.0.0.1:${base + 1},127.0.0.1:${base + 2}`];
  const until = async (what: string, isTrue: () => boolean | Promise<boolean>) => {
    for (const end = Date.now() + TIMEOUT_MS / 3; !(await isTrue()); ) {
      if (Date.now() > end) throw new Error(`not in time: ${what}\n${three.said.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const copiesEverywhere = async () => {
    const text = await holdfast('cluster', 'status', '--json', ...server).catch(() => undefined);
    if (text === undefined) return false;
    const { nodes, shards } = JSON.parse(text) as Status;
    const isWhole = shards.every(({ replicas }) => {
      return replicas.length === 3 && replicas.every(({ role }) => !/learner/i.test(role));
    });
    return nodes.length === 3 && nodes.every(({ up }) => up) && isWhole;
  };

  for (const pod of pods) pod.start();
  await until('all ask', () => pods.every(({ said }) => said.includes('cannot reach')));
  expect(pods.map(({ hasIdentity }) => hasIdentity)).toEqual([false, false, false]);

  expect(await one.exec('holdfast cluster init --config /etc/holdfast/node.yaml')).toBe(0);
  await until('three copies', copiesEverywhere);
  const lines = join(root, 'lines.txt');
  writeFileSync(lines, 'one\ntwo\n');
  await holdfast('topic', 'create', 'orders', ...server);
  await holdfast('produce', 'orders', '--file', lines, '--queue', '0', ...server);

  await three.kill();
  three.loseVolume();
  three.said = '';
  three.start();
  await until('refused', () => three.said.includes('is a member already, with another data dir'));
  expect(three.hasIdentity).toBe(false);
  await holdfast('cluster', 'remove', '3', ...server);
  await until('three copies again', copiesEverywhere);

  // All at once, as after a power cut: no pod asks the cluster for what it has.
  await Promise.all(pods.map((pod) => pod.kill()));
  for (const pod of pods) pod.start();
  await until('all are back', copiesEverywhere);
  expect(await holdfast('consume', 'orders', ...server)).toBe('one\ntwo\n');
});

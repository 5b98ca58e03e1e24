/** What operators do wrong, and disks: one clear line each, and nothing acknowledged is lost. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { eventually, numberOf, refused, Stubs, type Wide } from './stubs.ts';
import { type Ended, ServeProcess, ThreeNodes } from './three-nodes.ts';

const TOPIC = 'orders';
const TIMEOUT_MS = 60_000;
const DISK_MIB = 16;
/** So that a disk of a few megabytes holds some segments. */
const SMALL_FILES = `
log: { segmentBytes: 2097152, maxFlushBytes: 262144 }
limits: { maxMessageBytes: 100000, maxRequestBytes: 262144 }
`;

const root = mkdtempSync(join(tmpdir(), 'holdfast-bad-node-'));
let cluster: ThreeNodes;
let stubs: Stubs;
const running: ServeProcess[] = [];

beforeAll(async () => {
  cluster = await ThreeNodes.init(join(root, 'one'));
  running.push(...[1, 2].map((node) => cluster.launch(node)));
  await Promise.all(running.map((node) => node.serving()));
  stubs = new Stubs(cluster.servers[0] as string);
  await stubs.createTopic(TOPIC, 1);
  await stubs.produce(TOPIC, 0, 'before all mistakes');
});

afterAll(async () => {
  stubs?.close();
  await Promise.all(running.map((node) => node.kill('SIGTERM')));
  rmSync(root, { recursive: true, force: true });
});

/** One line of what to do, exit code 1, and the cluster as it was. */
async function expectRefused({ ended }: { ended: Promise<Ended> }, ...says: readonly string[]) {
  const { code, stderr } = await ended;
  expect(stderr).toMatch(/^holdfast: [^\n]+\n$/);
  for (const words of says) expect(stderr).toContain(words);
  expect(code).toBe(1);
  expect((await stubs.readAll(TOPIC, 0))[0]).toEqual({ offset: 0, body: 'before all mistakes' });
}

describe('serve', { timeout: TIMEOUT_MS }, () => {
  it('on an empty directory never bootstraps', async () => {
    const empty = join(root, 'empty');
    mkdirSync(empty);
    const node = cluster.launch(3, `data=${empty}`);
    await expectRefused(node, 'is empty', 'cluster init', 'cluster add');
    await expectRefused(cluster.launch(3, `data=${join(root, 'nowhere')}`), 'is empty');
  });

  it('on a directory that is not ours', async () => {
    const foreign = join(root, 'foreign');
    mkdirSync(foreign);
    writeFileSync(join(foreign, 'letter.txt'), 'dear diary');
    await expectRefused(cluster.launch(3, `data=${foreign}`), 'holds no identity.json');
  });

  it("on another node's data", async () => {
    const says = ['belongs to node 1', 'not to node 3'];
    await expectRefused(cluster.launch(3, `data=${cluster.directories[0]}`), ...says);
  });

  it("with another cluster's data is not let in, and says so", async () => {
    const other = await ThreeNodes.init(join(root, 'other'));
    const stranger = new ServeProcess(
      cluster.configFiles[2] as string,
      [],
      [`data=${other.directories[2]}`, 'clusterId=0000000000000000'],
    );
    await expectRefused(stranger, 'belongs to node 3 of cluster', 'clusterId: 0000000000000000');
    // Without a clusterId in the configuration it starts, and stays outside.
    const outside = await cluster.launch(3, `data=${other.directories[2]}`).serving();
    const client = new Stubs(cluster.servers[2] as string);
    const call = client.call('Log', 'Produce', { topic: TOPIC, messages: [{}] }, 300);
    expect((await refused(call)).code).toBe(status.DEADLINE_EXCEEDED);
    client.close();
    const { end } = await stubs.range(TOPIC, 0);
    expect((await stubs.produce(TOPIC, 0, 'untouched')).baseOffset?.toNumber()).toBe(end);
    await outside.kill('SIGTERM');
  });

  it('on a directory that a live process has', async () => {
    const copy = join(root, 'copy.yaml');
    // The same node, and ports that are free: only the lock stands in the way.
    const [grpc, peer] = [cluster.servers[0], `127.0.0.1:${cluster.peerPorts[0]}`];
    const text = readFileSync(cluster.configFiles[0] as string, 'utf8')
      .replace(`grpc: ${grpc}`, `grpc: ${cluster.servers[2]}`)
      .replace(`peer: ${peer}`, `peer: 127.0.0.1:${cluster.peerPorts[0]! + 50}`);
    writeFileSync(copy, `${text}metrics: false\n`);
    await expectRefused(new ServeProcess(copy), 'in use by process', String(running[0]?.pid));
  });

  it('on a port that is taken', async () => {
    const server = createServer();
    const port = Number(cluster.servers[2]?.split(':')[1]);
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    await expectRefused(cluster.launch(3), `port ${port} on 127.0.0.1 is taken`, 'listen');
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
});

/** A namespace in which a small tmpfs is mounted on the directory, and a way to run inside it. */
class SmallDisk {
  readonly wrapper: readonly string[];
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    this.wrapper = ['nsenter', '-t', `${holder.pid}`, '-U', '-m', '--preserve-credentials'];
  }

  static isPossible(): boolean {
    const test = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
    return test.status === 0 && spawnSync('nsenter', ['--version']).status === 0;
  }

  /** With what the directory held. */
  static async mount(directory: string): Promise<SmallDisk> {
    const copy = `${directory}.copy`;
    const script =
      `cp -a "$1" "$2" && mount -t tmpfs -o size=${DISK_MIB}m tmpfs "$1" && ` +
      'cp -a "$2/." "$1" && echo mounted && exec cat';
    const holder = spawn('unshare', ['-Urm', 'sh', '-c', script, 'sh', directory, copy]);
    await new Promise((resolve, reject) => {
      holder.stdout.once('data', resolve);
      holder.once('exit', () => reject(new Error('no small disk')));
    });
    return new SmallDisk(holder);
  }

  grow(directory: string): void {
    const [command = '', ...args] = this.wrapper;
    execFileSync(command, [...args, 'mount', '-o', 'remount,size=512m', directory]);
  }

  /** The last process of the namespace: the disk is gone with it. */
  close(): void {
    this.#holder.stdin?.end();
  }
}

describe('a full disk', { timeout: TIMEOUT_MS }, () => {
  const missing = SmallDisk.isPossible() ? undefined : 'no user namespaces here: NOT TESTED';

  it('ends its node with one line; the others lose nothing, and it comes back', async (context) => {
    if (missing !== undefined) context.skip(missing);
    const nodes = await ThreeNodes.init(join(root, 'small'), SMALL_FILES);
    const directory = nodes.directories[0] as string;
    const disk = await SmallDisk.mount(directory);
    onTestFinished(() => disk.close());
    const onDisk = () => new ServeProcess(nodes.configFiles[0] as string, disk.wrapper);
    const full = onDisk();
    const others = [2, 3].map((node) => nodes.launch(node));
    onTestFinished(async () => {
      await Promise.all(others.map((node) => node.kill('SIGKILL')));
    });
    await Promise.all([full, ...others].map((node) => node.serving()));
    const client = new Stubs(nodes.servers[1] as string);
    onTestFinished(() => client.close());
    await client.createTopic(TOPIC, 3);

    const acked = await fill(client, full);
    const { code, stderr } = await full.ended;
    expect(stderr).toMatch(/^holdfast: [^\n]*(ENOSPC|no space left|disk full)[^\n]*\n$/i);
    expect(code).toBe(1);
    await expectAll(client, acked);

    disk.grow(directory);
    const back = onDisk();
    onTestFinished(async () => void (await back.kill('SIGKILL')));
    await back.serving();
    const first = new Stubs(nodes.servers[0] as string);
    onTestFinished(() => first.close());
    await eventually(
      () => first.call<{ shards: Shard[] }>('Admin', 'DescribeCluster', {}),
      ({ shards }) => shards.every(caughtUp),
    );
    await expectAll(first, acked);
  });

  interface Shard {
    readonly commitIndex?: Wide;
    readonly replicas: readonly { matchIndex?: Wide }[];
  }

  const caughtUp = ({ commitIndex, replicas }: Shard): boolean =>
    replicas.length === 3 &&
    replicas.every(({ matchIndex }) => numberOf(matchIndex) >= numberOf(commitIndex));

  /** Produces until the node has ended; gives what was acknowledged, by queue and offset. */
  async function fill(client: Stubs, node: ServeProcess): Promise<Map<string, string>> {
    const acked = new Map<string, string>();
    let alive = true;
    void node.ended.then(() => {
      alive = false;
    });
    for (let at = 0; alive; at++) {
      const body = `${at} `.padEnd(50_000, '.');
      const sent = [0, 1, 2].map(async (queue) => {
        const ack = await client.produceSafely(TOPIC, queue, body, `${queue}-${at}`);
        acked.set(`${queue}/${numberOf(ack.baseOffset)}`, `${at}`);
      });
      await Promise.all(sent);
    }
    return acked;
  }

  async function expectAll(client: Stubs, acked: ReadonlyMap<string, string>): Promise<void> {
    const read = new Map<string, string>();
    for (const queue of [0, 1, 2]) {
      for (const { offset, body } of await client.readAll(TOPIC, queue)) {
        read.set(`${queue}/${offset}`, body.split(' ')[0] as string);
      }
    }
    expect(acked.size).toBeGreaterThan(30);
    expect(read).toEqual(acked);
  }
});

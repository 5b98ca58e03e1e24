/** Three machines, played by three processes with the three configurations of `deploy/`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClusterStatus, holdfast } from './cluster-process.ts';
import { eventually, Stubs } from './stubs.ts';
import { type ServeProcess, ThreeNodes } from './three-nodes.ts';

const TOPIC = 'orders';
const TIMEOUT_MS = 60_000;

const root = mkdtempSync(join(tmpdir(), 'holdfast-three-'));
let cluster: ThreeNodes;
const running = new Map<number, ServeProcess>();

beforeAll(async () => {
  cluster = await ThreeNodes.init(root);
  for (const node of [1, 2, 3]) running.set(node, cluster.launch(node));
  await Promise.all([...running.values()].map((node) => node.serving()));
});

afterAll(async () => {
  await Promise.all([...running.values()].map((node) => node.kill('SIGTERM')));
  rmSync(root, { recursive: true, force: true });
});

function server(node: number): string {
  return cluster.servers[node - 1] as string;
}

async function status(node: number): Promise<ClusterStatus & { cluster_id: string }> {
  return JSON.parse(await holdfast('cluster', 'status', '--json', '--server', server(node)));
}

describe('three configurations', { timeout: TIMEOUT_MS }, () => {
  it('make one cluster, which goes on while a node is dead, and takes it back', async () => {
    await holdfast('topic', 'create', TOPIC, '--server', server(1));
    const others = new Stubs(server(2));
    const sent = Array.from({ length: 60 }, (_, at) => `line ${at}`);
    const send = (from: number, to: number) =>
      Promise.all(
        sent.slice(from, to).map((body, at) => others.produceSafely(TOPIC, at % 3, body)),
      );
    await send(0, 20);
    await running.get(1)?.kill('SIGKILL');
    await send(20, 40);
    running.set(1, await cluster.launch(1).serving());
    await send(40, 60);

    const first = new Stubs(server(1));
    const read = await Promise.all([0, 1, 2].map((queue) => first.readAll(TOPIC, queue)));
    expect(new Set(read.flat().map(({ body }) => body))).toEqual(new Set(sent));
    expect(read.flat()).toHaveLength(sent.length);
    const whole = await eventually(
      () => status(2),
      ({ nodes, shards }) => nodes.every(({ up }) => up) && shards.every(caughtUp),
    );
    expect(whole.nodes.map(({ id, address }) => [id, address])).toEqual(
      cluster.servers.map((address, at) => [at + 1, address]),
    );
    expect((await status(1)).cluster_id).toBe(whole.cluster_id);
    first.close();
    others.close();
  });

  it('drain on SIGTERM, all of them, and come back with everything', async () => {
    const before = await contents();
    const ended = await Promise.all([...running.values()].map((node) => node.kill('SIGTERM')));
    expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual(Array(3).fill([0, '']));
    for (const node of [3, 2, 1]) running.set(node, cluster.launch(node));
    await Promise.all([...running.values()].map((node) => node.serving()));
    expect(await contents()).toEqual(before);
  });

  async function contents() {
    const stubs = new Stubs(server(3));
    const read = await Promise.all([0, 1, 2].map((queue) => stubs.readAll(TOPIC, queue)));
    stubs.close();
    return read;
  }
});

type ShardStatus = ClusterStatus['shards'][number] & {
  readonly replicas?: readonly { match_index: number }[];
};

function caughtUp({ commit_index, replicas }: ShardStatus): boolean {
  return replicas?.length === 3 && replicas.every((one) => one.match_index >= commit_index);
}

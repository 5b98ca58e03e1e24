/** A disk that changed bytes of a node's log: the others give back what is lost, by themselves. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectLog } from '../../storage/inspect-log.ts';
import { eventually, numberOf, Stubs, type Wide } from './stubs.ts';
import { type ServeProcess, ThreeNodes } from './three-nodes.ts';

const TOPIC = 'orders';
const TIMEOUT_MS = 120_000;
const HEAL_MS = 60_000;
/** A damaged entry is asked for within some heartbeat intervals. */
const REPAIR_MS = 3000;
const MESSAGES = 60;
/** The marker that covers the last flush is written once the log was idle for 50 ms. */
const IDLE_MS = 500;

const bodies = Array.from({ length: MESSAGES }, (_, at) => `message ${at} of many`);
const root = mkdtempSync(join(tmpdir(), 'holdfast-damage-'));
let cluster: ThreeNodes;
let nodes: ServeProcess[];
let stubs: Stubs;

beforeAll(async () => {
  cluster = await ThreeNodes.init(root);
  nodes = [1, 2, 3].map((node) => cluster.launch(node));
  await Promise.all(nodes.map((node) => node.serving()));
  stubs = new Stubs(cluster.servers[0] as string);
  await stubs.createTopic(TOPIC, 1);
  for (const body of bodies) await stubs.produce(TOPIC, 0, body);
});

afterAll(async () => {
  stubs?.close();
  await Promise.all(nodes.map((node) => node.kill('SIGTERM')));
  rmSync(root, { recursive: true, force: true });
});

/** Kills the node, changes one byte near a message of its log, and starts it again. */
async function damage(
  node: number,
  body: string,
  byteFrom: (content: Buffer, at: number) => number,
) {
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  await nodes[node - 1]!.kill('SIGKILL');
  const directory = logOf(node);
  for (const name of readdirSync(directory).filter((each) => each.endsWith('.log'))) {
    const file = join(directory, name);
    const content = readFileSync(file);
    const at = content.indexOf(body);
    if (at < 0) continue;
    content[byteFrom(content, at)]! ^= 1;
    writeFileSync(file, content);
    // Without its sidecar the segment is read at the start, and not only when somebody asks.
    rmSync(file.replace('.log', '.idx'), { force: true });
    nodes[node - 1] = await cluster.launch(node).serving();
    return;
  }
  throw new Error(`"${body}" is not in the log of node ${node}`);
}

function logOf(node: number): string {
  return join(cluster.directories[node - 1] as string, 'log');
}

interface Shard {
  readonly id: number;
  readonly commitIndex?: Wide;
  readonly replicas: readonly {
    readonly node: number;
    readonly replica: number;
    readonly matchIndex?: Wide;
    readonly role: string;
  }[];
}

function described(until: (shards: readonly Shard[]) => boolean): Promise<unknown> {
  return eventually(
    () => stubs.call<{ shards: readonly Shard[] }>('Admin', 'DescribeCluster', {}),
    ({ shards }) => until(shards),
    HEAL_MS,
  );
}

async function expectAllMessages(): Promise<void> {
  const read = await stubs.readAll(TOPIC, 0);
  expect(read.map(({ body }) => body)).toEqual(bodies);
}

describe('a node whose log was damaged while it was down', { timeout: TIMEOUT_MS }, () => {
  it('in the body of an entry, gets that entry from another node', async () => {
    await damage(2, 'message 20 of', (_, at) => at);
    await described((shards) =>
      shards.every(({ commitIndex, replicas }) =>
        replicas.every(({ matchIndex }) => numberOf(matchIndex) >= numberOf(commitIndex)),
      ),
    );
    await eventually(
      async () => {
        await new Promise((resolve) => setTimeout(resolve, REPAIR_MS));
        await nodes[1]!.kill('SIGTERM');
        const { shards } = await inspectLog(logOf(2));
        nodes[1] = await cluster.launch(2).serving();
        return shards;
      },
      (shards) => shards.every((one) => one.damagedEntries === 0 && !one.suspect),
      HEAL_MS,
    );
    // Everything of node 2 can be read again: it leads alone with node 1.
    await nodes[2]!.kill('SIGKILL');
    await expectAllMessages();
    nodes[2] = await cluster.launch(3).serving();
  });

  it('in the header of a record, gets new replicas in place of all it has', async () => {
    await damage(3, 'message 20 of', (content, at) => content.lastIndexOf('HFR1', at) + 30);
    await described((shards) =>
      shards.every(({ replicas }) => {
        const here = replicas.find(({ node }) => node === 3);
        return replicas.length === 3 && here !== undefined && here.replica > 3;
      }),
    );
    await nodes[2]!.kill('SIGTERM');
    const { shards, tombstones } = await inspectLog(logOf(3));
    expect(shards.filter(({ suspect }) => suspect)).toEqual([]);
    expect(tombstones.map(({ replica }) => replica)).toEqual(shards.map(() => 3));
    nodes[2] = await cluster.launch(3).serving();
    await nodes[1]!.kill('SIGKILL');
    await expectAllMessages();
    nodes[1] = await cluster.launch(2).serving();
  });

  it('in the first block of a file, says so and waits for the file', async () => {
    await nodes[2]!.kill('SIGTERM');
    const [name] = readdirSync(logOf(3)).filter((each) => each.endsWith('.log'));
    const file = join(logOf(3), name!);
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, 100));
    const { code, stderr } = await cluster.launch(3).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(`holdfast: DATA_LOSS: ${file}: segment header cut short`);
    expect(stderr).toContain('replace this node');
    writeFileSync(file, whole);
    nodes[2] = await cluster.launch(3).serving();
  });
});

/**
 * SIGKILL under load, by hand: the leader of a shard, then all three nodes, twice each. What was
 * acknowledged, committed or prepared before is there afterwards, and whoever waits is served.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClusterProcess, type ClusterStatus } from './cluster-process.ts';
import { eventually, numberOf, Stubs, type Wide } from './stubs.ts';

const TOPIC = 'orders';
const GROUP = 'billing';
const PRODUCER_GROUP = 'shop';
const QUEUES = [0, 1, 2];
const PRODUCERS = 6;
const TIMEOUT_MS = 120_000;
const COMMIT = 1;

const directory = mkdtempSync(join(tmpdir(), 'holdfast-kill-'));
let cluster: ClusterProcess;
let stubs: readonly Stubs[];
/** Body of each acknowledged message, by queue and offset. */
const acked = new Map<string, string>();
let acks = 0;

beforeAll(async () => {
  cluster = await ClusterProcess.start(directory, 3, {
    HOLDFAST_TRANSACTIONS_FIRST_CHECK_AFTER_MS: '200',
    HOLDFAST_TRANSACTIONS_CHECK_INTERVAL_MS: '200',
  });
  stubs = cluster.servers.map((server) => new Stubs(server));
  await stubs[0]!.createTopic(TOPIC, QUEUES.length);
});

afterAll(async () => {
  for (const one of stubs ?? []) one.close();
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

function acknowledge(queue: number, offset: number, body: string): void {
  const place = `${queue}/${offset}`;
  expect(acked.get(place) ?? body).toBe(body);
  acked.set(place, body);
  acks += 1;
}

/** Producers at work, each through a node of its own, until stopped. */
function startLoad(name: string): () => Promise<unknown> {
  let stopped = false;
  const producers = Array.from({ length: PRODUCERS }, async (_, producer) => {
    const queue = producer % QUEUES.length;
    const through = stubs[Math.floor(producer / 2)]!;
    for (let at = 0; !stopped; at++) {
      const body = `${name}-${producer}-${at}`;
      const ack = await through.produceSafely(TOPIC, queue, body);
      acknowledge(queue, numberOf(ack.baseOffset), body);
    }
  });
  return () => {
    stopped = true;
    return Promise.all(producers);
  };
}

/** Resolves when `more` acknowledgements have come. */
async function acknowledgedMore(more: number): Promise<void> {
  const goal = acks + more;
  await eventually(
    () => stubs[1]!.range(TOPIC, 0).catch(() => undefined),
    () => acks >= goal,
    30_000,
  );
}

/** All nodes up, each in a process that lives, and every shard led. */
function whole(): Promise<ClusterStatus> {
  const status = () => cluster.status().catch(() => ({ nodes: [], shards: [] }));
  const isWhole = ({ nodes, shards }: ClusterStatus) =>
    nodes.length === 3 && nodes.every(({ up }) => up) && shards.every(({ leader }) => leader > 0);
  return eventually(status, isWhole, 30_000);
}

async function leaderOfFirstQueue({ nodes }: ClusterStatus): Promise<number> {
  const { queues } = await stubs[0]!.call<{ queues: { queue?: number; leader: number }[] }>(
    'Admin',
    'DescribeTopic',
    { name: TOPIC },
  );
  const leader = queues.find(({ queue }) => (queue ?? 0) === 0)?.leader;
  return nodes.find(({ id }) => id === leader)!.pid;
}

async function commit(offset: number): Promise<void> {
  const offsets = [{ queue: 0, offset }];
  await stubs[0]!.call('Log', 'CommitOffset', { group: GROUP, topic: TOPIC, offsets });
}

async function committed(): Promise<number> {
  const answer = await stubs[1]!.call<{ queues: { offset?: Wide }[] }>('Log', 'GetOffset', {
    ...{ group: GROUP, topic: TOPIC, queues: [0] },
  });
  return numberOf(answer.queues[0]?.offset);
}

async function prepare(body: string): Promise<string> {
  const parts = [{ topic: TOPIC, queue: 0, messages: [{ body: Buffer.from(body) }] }];
  const { transactionId } = await stubs[0]!.call<{ transactionId: string }>(
    'Transactions',
    'Prepare',
    { producerGroup: PRODUCER_GROUP, parts },
  );
  return transactionId;
}

interface Checks {
  readonly checks?: readonly { transactionId: string; parts: { messages: { body: Buffer }[] }[] }[];
}

/** Asked for the outcome of `transactionId`, with the half message; the answer is COMMIT. */
async function decideWhenAsked(transactionId: string, body: string): Promise<void> {
  const poll = () =>
    stubs[2]!.call<Checks>('Transactions', 'PollChecks', {
      ...{ producerGroup: PRODUCER_GROUP, maxWaitMs: 2000 },
    });
  const { checks } = await eventually(poll, (answer) => answer.checks?.length === 1, 30_000);
  expect(checks![0]!.transactionId).toBe(transactionId);
  expect(checks![0]!.parts[0]!.messages[0]!.body.toString()).toBe(body);
  const ended = await stubs[1]!.call<{ parts: { baseOffset?: Wide }[] }>('Transactions', 'End', {
    ...{ producerGroup: PRODUCER_GROUP, transactionId, decision: COMMIT },
  });
  acknowledge(0, numberOf(ended.parts[0]?.baseOffset), body);
}

async function contents(): Promise<Map<string, string>> {
  const read = new Map<string, string>();
  for (const queue of QUEUES) {
    const messages = await stubs[queue]!.readAll(TOPIC, queue);
    expect(messages.map(({ offset }) => offset)).toEqual(messages.map((_, at) => at));
    for (const { offset, body } of messages) read.set(`${queue}/${offset}`, body);
  }
  return read;
}

describe.each(['leader', 'all'] as const)('kill -9 of the %s', (victims) => {
  it.each([1, 2])('loses nothing (%i)', { timeout: TIMEOUT_MS }, async (round) => {
    const before = await whole();
    const half = `half-${victims}-${round}`;
    const transactionId = await prepare(half);
    const stopLoad = startLoad(`${victims}${round}`);
    await acknowledgedMore(50);
    const position = (await stubs[0]!.range(TOPIC, 0)).end;
    await commit(position);

    const leader = await leaderOfFirstQueue(before);
    for (const { pid } of before.nodes) {
      if (victims === 'all' || pid === leader) process.kill(pid, 'SIGKILL');
    }
    await acknowledgedMore(50);
    await stopLoad();
    const after = await whole();
    const same = after.nodes.filter(({ pid }, at) => pid === before.nodes[at]!.pid);
    expect(same).toHaveLength(victims === 'all' ? 0 : 2);

    expect(await committed()).toBe(position);
    const read = await contents();
    expect([...read.values()]).not.toContain(half);
    expect(read).toEqual(acked);
    await decideWhenAsked(transactionId, half);
    expect(await contents()).toEqual(acked);
  });
});

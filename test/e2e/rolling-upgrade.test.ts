/**
 * A cluster of the previous build becomes one of this build under load, node by node, with a step
 * back on the way; then the upgrade is ended, and the previous build is kept out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { NEWEST_LEVEL } from '../../src/broker/feature-level.ts';
import { connect, type Holdfast } from '../../src/client/index.ts';
import { HOLDFAST } from './cluster-process.ts';
import { buildPrevious } from './previous-build.ts';
import { type ServeProcess, ThreeNodes } from './three-nodes.ts';
import { underLoad } from './under-load.ts';

const NODES = [1, 2, 3] as const;
const TIMEOUT_MS = 240_000;
const IN_FLIGHT = 20;
/** Acknowledged between two steps: the builds work together, not only beside each other. */
const ACKED_PER_STEP = 500;
/** Under load a follower is always some entries behind. */
const SLACK_ENTRIES = 200;
const PATIENCE = { timeout: 30_000, interval: 200 };

const root = mkdtempSync(join(tmpdir(), 'holdfast-upgrade-'));
const previous = buildPrevious(join(root, 'previous'));
const running: (ServeProcess | undefined)[] = [];

afterAll(async () => {
  await Promise.all(running.map((node) => node?.kill()));
  rmSync(root, { recursive: true, force: true });
});

async function start(cluster: ThreeNodes, node: number, bin: string): Promise<void> {
  running[node - 1] = await cluster.launchWith(bin, node).serving();
}

async function restart(cluster: ThreeNodes, node: number, bin: string): Promise<void> {
  await running[node - 1]!.kill('SIGTERM');
  await start(cluster, node, bin);
}

/** Every shard has a leader and three replicas that are with it. */
async function settle({ admin }: Holdfast): Promise<void> {
  const unsettled = async () => {
    const { nodes, shards } = await admin.describeCluster();
    const down = nodes.filter(({ up }) => !up).length;
    const behind = shards.filter(({ commitIndex, leader, replicas }) => {
      const far = (matchIndex: number) => commitIndex - matchIndex > SLACK_ENTRIES;
      return leader === 0 || replicas.length < 3 || replicas.some((one) => far(one.matchIndex));
    });
    return down + behind.length;
  };
  await expect.poll(unsettled, PATIENCE).toBe(0);
}

/** What is not in the load: half messages, groups, leases, delays. */
async function everything(holdfast: Holdfast, step: string): Promise<void> {
  const { admin } = holdfast;
  const topic = `all-${step}`;
  await admin.createTopic({ name: topic, queueCount: 3 });
  const messages = [{ body: Buffer.from(step) }];
  const half = await holdfast.transactions('g').prepareMany({
    parts: [0, 1, 2].map((queue) => ({ topic, queue, messages })),
  });
  await half.commit();
  await admin.commitOffsets({ group: `g-${step}`, topic, offsets: [{ queue: 0, offset: 1 }] });
  const seen: string[] = [];
  const receiver = holdfast.receiver(
    { group: `r-${step}`, topic, from: 'earliest' },
    (delivery) => {
      seen.push(delivery.body.toString());
    },
  );
  await expect.poll(() => seen, PATIENCE).toEqual([step, step, step]);
  await receiver.close();
  const [offset] = await admin.groupOffsets({ group: `g-${step}`, topic, queues: [0] });
  expect(offset!.offset).toBe(1);
}

it('node by node, with a step back', { timeout: TIMEOUT_MS }, async () => {
  const cluster = await ThreeNodes.init(join(root, 'cluster'), '', previous);
  await Promise.all(NODES.map((node) => start(cluster, node, previous)));
  const holdfast = connect({ servers: cluster.servers });
  const { verdict } = await underLoad(cluster.servers, IN_FLIGHT, async (progress) => {
    const work = async () => {
      const goal = progress.acked + ACKED_PER_STEP;
      await expect.poll(() => progress.acked, PATIENCE).toBeGreaterThan(goal);
    };
    await everything(holdfast, 'before');
    for (const [step, node, bin] of [
      ['first', 1, HOLDFAST],
      ['second', 2, HOLDFAST],
      ['back', 1, previous],
      ['again', 1, HOLDFAST],
    ] as const) {
      await restart(cluster, node, bin);
      await settle(holdfast);
      await holdfast.admin.rebalance();
      await work();
      await everything(holdfast, step);
      await expect(holdfast.admin.raiseFeatureLevel()).resolves.toBe(1);
      await expect(holdfast.admin.raiseFeatureLevel(NEWEST_LEVEL)).rejects.toMatchObject({
        reason: 'UPGRADE_UNFINISHED',
      });
    }
    await restart(cluster, 3, HOLDFAST);
    await settle(holdfast);
    await expect(holdfast.admin.raiseFeatureLevel()).resolves.toBe(NEWEST_LEVEL);
    expect((await holdfast.admin.describeCluster()).featureLevel).toBe(NEWEST_LEVEL);
    await work();
    await everything(holdfast, 'after');
    await restart(cluster, 2, HOLDFAST);
    await settle(holdfast);
  });
  expect(verdict).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, holes: 0, unknown: 0 });
  await holdfast.close();

  // The build that knows nothing of the level stays out, and says so by ending.
  await running[0]!.kill('SIGTERM');
  const refused = cluster.launchWith(previous, 1);
  await expect(refused.serving()).rejects.toThrow(/is not known here/);
  running[0] = undefined;
});

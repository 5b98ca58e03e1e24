/** A file of tests that starts a cluster for each of them leaves nothing of any. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { startTestCluster } from '../../../src/testing/index.ts';

const CLUSTERS = 100;
const AT_ONCE = 10;
const GROWTH_MAX_BYTES = 8 * 1024 * 1024;
/** Sockets that were closed need some turns to go. */
const TURNS = 100;

async function useOne(): Promise<void> {
  await using cluster = await startTestCluster();
  const client = cluster.connect();
  await client.admin.createTopic({ name: 'orders', queueCount: 1 });
  await client.producer({ topic: 'orders' }).send({ body: 'one' });
  await cluster.advance('1m');
}

async function resources(): Promise<readonly string[]> {
  for (let i = 0; i < TURNS; i++) await nextTurn();
  return process.getActiveResourcesInfo().sort();
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is there and was not before. Timers of the test runner come and go. */
async function leftBeside(before: readonly string[]): Promise<readonly string[]> {
  let left: string[] = [];
  for (let look = 0; look < 20; look++) {
    const known = [...before];
    left = (await resources()).filter((name) => {
      const at = known.indexOf(name);
      if (at >= 0) known.splice(at, 1);
      return at < 0;
    });
    if (left.length === 0) break;
  }
  return left;
}

/** The least that is left: buffers go some collections later than those who held them. */
async function bytesInUse(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    await resources();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    least = Math.min(least, heapUsed + external);
  }
  return least;
}

it('100 clusters in one process leave no handle and no memory', { timeout: 120_000 }, async () => {
  const before = await resources();
  for (let i = 0; i < CLUSTERS / 2; i++) await useOne();
  const bytesHalfway = await bytesInUse();
  for (let i = 0; i < CLUSTERS / 2; i += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, useOne));
  }
  expect((await bytesInUse()) - bytesHalfway).toBeLessThan(GROWTH_MAX_BYTES);
  expect(await leftBeside(before)).toEqual([]);
});

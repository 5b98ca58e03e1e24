/**
 * Real processes and real disks: values of a few keys are written over and over while nodes are
 * killed. Every reader finds the newest of each key, and the disks do not keep the others.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { connect, type Holdfast } from '../../src/client/index.ts';
import { inspectState } from '../../storage/inspect-state.ts';
import { GrowingCluster } from './growing-cluster.ts';

const MIB = 1024 * 1024;
const TOPIC = 'balances';
const QUEUES = 2;
const KEYS = 128;
const ROUNDS = 240;
const BODY_BYTES = 2048;
const SETTINGS = [
  'retention.checkIntervalMs=200',
  `retention.checkpointBytes=${MIB / 4}`,
  `log.segmentBytes=${18 * MIB}`,
];
const WRITTEN_BYTES = KEYS * ROUNDS * BODY_BYTES;

const root = mkdtempSync(join(tmpdir(), 'holdfast-compaction-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Each key's values one after the other; every third key is deleted in the end. */
async function writeAll(holdfast: Holdfast, onRound: (round: number) => Promise<void>) {
  const newest = new Map<string, string>();
  const producer = holdfast.producer({ topic: TOPIC });
  for (let round = 0; round < ROUNDS; round += 1) {
    await onRound(round);
    const sends = Array.from({ length: KEYS }, async (_, at) => {
      const key = `account-${at}`;
      const isDeleted = round === ROUNDS - 1 && at % 3 === 0;
      const value = isDeleted ? '' : `${round} `.padEnd(BODY_BYTES, 'x');
      await producer.send({ key, body: Buffer.from(value) });
      newest.set(key, value);
    });
    await Promise.all(sends);
  }
  await producer.close();
  return newest;
}

interface Table {
  readonly values: Map<string, string>;
  readonly messages: number;
}

async function readTable(holdfast: Holdfast): Promise<Table> {
  const values = new Map<string, string>();
  let messages = 0;
  for (let queue = 0; queue < QUEUES; queue += 1) {
    let offset = 0;
    for (;;) {
      const found = await holdfast.fetch({ topic: TOPIC, queue, offset, linearizable: true });
      for (const { body, key } of found.messages) values.set(key, Buffer.from(body).toString());
      messages += found.messages.length;
      offset = found.nextOffset;
      if (offset === found.endOffset) break;
    }
  }
  return { values, messages };
}

function logBytes(cluster: GrowingCluster, node: number): number {
  const directory = join(cluster.directory(node), 'log');
  return readdirSync(directory).reduce(
    (sum, name) => sum + statSync(join(directory, name)).size,
    0,
  );
}

it('the newest of each key is there, the rest leaves the disks, whoever is killed', {
  timeout: 180_000,
}, async () => {
  const cluster = await GrowingCluster.start(root, 3, 3, SETTINGS);
  const holdfast = connect({ servers: cluster.servers });
  try {
    await holdfast.admin.createTopic({
      ...{ name: TOPIC, queueCount: QUEUES },
      compaction: { minLagMs: 0, tombstoneMs: 3_600_000 },
    });
    const newest = await writeAll(holdfast, async (round) => {
      if (round % 60 !== 30) return;
      const node = 1 + (((round - 30) / 60) % 3);
      await cluster.kill(node);
      await cluster.launch(node);
    });
    const { values, messages } = await readTable(holdfast);
    expect(values).toEqual(newest);
    expect(messages).toBe(KEYS);

    // What was written a last time is smaller than a segment; the space of the others comes back.
    const isSmall = (node: number) => logBytes(cluster, node) < WRITTEN_BYTES / 2;
    await expect
      .poll(() => [1, 2, 3].filter((node) => !isSmall(node)), { timeout: 60_000, interval: 500 })
      .toEqual([]);

    for (const node of [1, 2, 3]) {
      await cluster.kill(node);
      await cluster.launch(node);
    }
    expect(await readTable(holdfast)).toEqual({ values: newest, messages: KEYS });
  } finally {
    await holdfast.close();
    await cluster.stop();
  }
  for (const node of [1, 2, 3]) {
    expect((await inspectState(cluster.directory(node), true)).problems).toEqual([]);
  }
});

/**
 * A backup of three processes under load, one of which is killed meanwhile, restored into three new
 * ones: all that was acknowledged before it began is where it was, and transactions are whole.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import type { Manifest } from '../../src/backup/manifest.ts';
import { connect } from '../../src/client/index.ts';
import { inspectState } from '../../storage/inspect-state.ts';
import { BackupLoad, GROUP, problemsOf, QUEUES, TOPIC } from './backup-load.ts';
import { holdfast } from './cluster-process.ts';
import { eventually, Stubs } from './stubs.ts';
import { type ServeProcess, ThreeNodes } from './three-nodes.ts';

const TIMEOUT_MS = 120_000;
const NODES = [1, 2, 3];
/** Logs soon begin behind a checkpoint. */
const SETTINGS = ['retention.checkIntervalMs=100', 'retention.checkpointBytes=65536'];
const KILLED = 2;

const root = mkdtempSync(join(tmpdir(), 'holdfast-backup-'));
const running = new Map<number, ServeProcess>();
afterAll(async () => {
  await Promise.all([...running.values()].map((node) => node.kill()));
  rmSync(root, { recursive: true, force: true });
});

async function start(cluster: ThreeNodes): Promise<void> {
  for (const node of NODES) running.set(node, cluster.launch(node, ...SETTINGS));
  await Promise.all([...running.values()].map((node) => node.serving()));
}

async function stop(): Promise<void> {
  await Promise.all([...running.values()].map((node) => node.kill('SIGTERM')));
  running.clear();
}

/** Messages that soon go again, so that the shards' logs do not begin with their first entries. */
async function trimmedLogs(servers: readonly string[]): Promise<void> {
  const client = connect({ servers });
  const [topic, queueCount] = ['noise', 12];
  await client.admin.createTopic({ name: topic, queueCount, retentionBytes: 16_384 });
  const producer = client.producer({ topic });
  const body = Buffer.alloc(4000);
  const starts = () =>
    Promise.all(Array.from({ length: queueCount }, (_, at) => client.admin.cutShard(at + 1)));
  await eventually(
    async () => {
      for (let at = 0; at < 600; at += 1) await producer.send({ body, queue: at % queueCount });
      return starts();
    },
    (cuts) => cuts.filter(({ start: { index } }) => index > 0).length >= 3,
    60_000,
  );
  await client.admin.deleteTopic(topic);
  await client.close();
}

it('is restored with all that was acknowledged', { timeout: TIMEOUT_MS }, async () => {
  const old = await ThreeNodes.init(join(root, 'old'));
  await start(old);
  await trimmedLogs(old.servers);
  const servers = old.servers.join(',');
  await holdfast('topic', 'create', TOPIC, '--queues', `${QUEUES.length}`, '--server', servers);
  const load = new BackupLoad(old.servers);
  await eventually(
    () => delay(50, load.committed),
    ({ size }) => size > 60,
    60_000,
  );
  const backup = join(root, 'backup');
  const begunAtMs = Date.now();
  const taken = holdfast('backup', '--out', backup, '--json', '--server', servers);
  await running.get(KILLED)!.kill('SIGKILL');
  const manifest = JSON.parse(await taken) as Manifest;
  await load.stop();
  await stop();
  expect(manifest.shards.some(({ start: { index } }) => index > 0)).toBe(true);

  const restored = await ThreeNodes.configured(join(root, 'new'));
  mkdirSync(join(root, 'new'), { recursive: true });
  const configs = restored.configFiles.flatMap((file) => ['--config', file]);
  await holdfast('restore', '--from', backup, ...configs);
  await start(restored);
  const stubs = new Stubs(restored.servers[0]!);
  expect(await problemsOf(load, begunAtMs, stubs)).toEqual([]);
  const client = connect({ servers: restored.servers });
  for (const { endOffset, offset = 0 } of await client.admin.groupOffsets({
    ...{ group: GROUP, topic: TOPIC },
  })) {
    expect(offset).toBeLessThanOrEqual(endOffset);
  }
  // It goes on where the old one was.
  const { offset } = await client
    .producer({ topic: TOPIC })
    .send({ body: Buffer.from('new'), queue: 0 });
  expect(offset).toBe((await stubs.range(TOPIC, 0)).end - 1);
  await client.close();
  stubs.close();
  await expectSameDigests(restored);
});

/** A backup of an idle cluster says what its nodes hold in LevelDB. */
async function expectSameDigests(cluster: ThreeNodes): Promise<void> {
  const directory = join(root, 'idle');
  const servers = cluster.servers.join(',');
  const text = await holdfast('backup', '--out', directory, '--json', '--server', servers);
  const { shards } = JSON.parse(text) as Manifest;
  await stop();
  const expected = shards.slice(1).map(({ shard, stateDigest: digest }) => ({ shard, digest }));
  for (const node of NODES) {
    const { digests, problems } = await inspectState(cluster.directories[node - 1]!, true);
    expect(problems).toEqual([]);
    const held = new Set(digests.map(({ shard }) => shard));
    expect(digests.filter(({ shard }) => shard > 0)).toEqual(
      expected.filter(({ shard }) => held.has(shard)),
    );
    expect(held.size).toBeGreaterThan(QUEUES.length);
  }
}

/**
 * `npm run backup`: gigabytes in a cluster under load, a backup of it, a restore into a new one,
 * and the comparison: the same digests, every acknowledged message where it was. How long each
 * took, and what single sends met meanwhile.
 */
import { readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { latency, lightLoad, lightLoadFor } from '../../bench/light-load.ts';
import type { Manifest } from '../../src/backup/manifest.ts';
import { connect } from '../../src/client/index.ts';
import { type CleanUp, runCommand } from '../processes/command.ts';
import { flag, number, type ValuesOf } from '../processes/options.ts';
import { BackupLoad, problemsOf, QUEUES, TOPIC } from './backup-load.ts';
import { holdfast } from './cluster-process.ts';
import { Stubs } from './stubs.ts';
import { ThreeNodes } from './three-nodes.ts';

const NODES = [1, 2, 3];
const BULK = 'bulk';
const LIGHT = 'light';
const BULK_QUEUES = 12;
const BODY_BYTES = 16_384;
const IN_FLIGHT = 512;

const COMMAND = {
  name: 'backup',
  does: 'Backs a cluster up under load, restores it into a new one, compares.',
  options: {
    gb: number(1, 'gigabytes in the cluster', { min: 0.01, max: 1000 }),
    seconds: number(5, 'how long single sends are measured before', { min: 1, max: 3600 }),
    json: flag('the summary as JSON'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

async function start(cluster: ThreeNodes, cleanUp: CleanUp): Promise<() => Promise<unknown>> {
  const nodes = NODES.map((node) => cluster.launch(node));
  cleanUp.add(() => Promise.all(nodes.map((node) => node.kill())));
  await Promise.all(nodes.map((node) => node.serving()));
  return () => Promise.all(nodes.map((node) => node.kill('SIGTERM')));
}

async function fill(servers: readonly string[], gb: number): Promise<void> {
  const client = connect({ servers });
  await client.admin.createTopic({ name: BULK, queueCount: BULK_QUEUES });
  await client.admin.createTopic({ name: LIGHT });
  await client.admin.createTopic({ name: TOPIC, queueCount: QUEUES.length });
  const producer = client.producer({ topic: BULK, timeoutMs: 120_000 });
  let left = Math.ceil((gb * 1e9) / BODY_BYTES);
  const lane = async (at: number): Promise<void> => {
    const body = Buffer.alloc(BODY_BYTES, `lane ${at} `);
    for (; left > 0; left -= 1) await producer.send({ body, queue: at % BULK_QUEUES });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, at) => lane(at)));
  await client.close();
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

async function run({ gb, json, seconds: before }: Options, cleanUp: CleanUp): Promise<number> {
  const root = cleanUp.directory(join(tmpdir(), 'holdfast-backup-'));
  const say = (text: string) => console.error(text);
  const old = await ThreeNodes.init(join(root, 'old'));
  const stopOld = await start(old, cleanUp);
  say(`wrote ${gb} GB in ${(await seconds(() => fill(old.servers, gb))).toFixed(1)} s`);
  const client = connect({ servers: old.servers });
  const load = new BackupLoad(old.servers);
  const alone = await lightLoadFor(client, LIGHT, before);
  const over = new AbortController();
  const beside = lightLoad(client, LIGHT, over.signal);
  const backup = join(root, 'backup');
  const servers = old.servers.join(',');
  const begunAtMs = Date.now();
  let text = '';
  const backupSeconds = await seconds(async () => {
    text = await holdfast('backup', '--out', backup, '--json', '--server', servers);
  });
  over.abort();
  const sends = await beside;
  await load.stop();
  await client.close();
  await stopOld();
  say(`backup taken in ${backupSeconds.toFixed(1)} s`);
  const restored = await ThreeNodes.configured(join(root, 'new'));
  const configs = restored.configFiles.flatMap((file) => ['--config', file]);
  const from = ['--from', backup, ...configs];
  const restoreSeconds = await seconds(() => holdfast('restore', ...from));
  say(`verified, restored and read back in ${restoreSeconds.toFixed(1)} s`);
  await start(restored, cleanUp);
  const problems = await compare(load, begunAtMs, restored, JSON.parse(text) as Manifest);
  for (const problem of problems.slice(0, 20)) say(problem);
  const summary = {
    verdict: load.acked.length === 0 ? 'invalid' : problems.length === 0 ? 'pass' : 'fail',
    backup_bytes: bytesIn(backup),
    backup_s: backupSeconds,
    restore_s: restoreSeconds,
    acked_before: load.acked.filter(({ atMs }) => atMs < begunAtMs).length,
    transactions_before: [...load.committed.values()].filter((atMs) => atMs < begunAtMs).length,
    p99_ms_alone: Math.round(latency(alone, 0.99)),
    p99_ms_beside: Math.round(latency(sends, 0.99)),
  } as const;
  if (json) console.log(JSON.stringify(summary, undefined, 2));
  else for (const [name, value] of Object.entries(summary)) console.log(`${name}: ${value}`);
  return { pass: 0, fail: 1, invalid: 3 }[summary.verdict];
}

/** Digests were compared by the restore itself; here what clients see. */
async function compare(
  load: BackupLoad,
  begunAtMs: number,
  restored: ThreeNodes,
  manifest: Manifest,
): Promise<string[]> {
  const stubs = new Stubs(restored.servers[0]!);
  const problems = await problemsOf(load, begunAtMs, stubs);
  let messages = 0;
  for (const [topic, queues] of [
    [BULK, BULK_QUEUES],
    [LIGHT, 3],
    [TOPIC, QUEUES.length],
  ] as const) {
    for (let queue = 0; queue < queues; queue += 1) {
      const { end, start: first } = await stubs.range(topic, queue);
      messages += end - first;
    }
  }
  stubs.close();
  const expected = manifest.shards.reduce((sum, shard) => sum + shard.messages, 0);
  // Transactions whose outcome was decided, and not applied everywhere, are brought to their end.
  if (messages < expected) problems.push(`${messages} messages instead of ${expected}`);
  return problems;
}

function bytesIn(directory: string): number {
  const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
  return sizes.reduce((sum, size) => sum + size, 0);
}

await runCommand(COMMAND, run);

/**
 * `npm run catch-up`: a node that was paused while gigabytes were written fetches them again. How
 * fast, beside a plain copy of the same files in the same run; and what a light load of single
 * sends meets meanwhile. With `--trimmed` the others let go of their log first, so that the node is
 * sent snapshots and the log after them.
 */
import { createReadStream, createWriteStream, mkdirSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterDescription, connect, type Holdfast } from '../src/client/index.ts';
import { type CleanUp, runCommand } from '../test/processes/command.ts';
import { flag, number, type ValuesOf } from '../test/processes/options.ts';
import { UpProcess } from '../test/processes/up-process.ts';
import {
  latency,
  lightLoad,
  lightLoadFor,
  type Send,
  slowSpells,
  spellLine,
} from './light-load.ts';

const MIB = 1024 * 1024;
const BULK_BODY_BYTES = 4096;
const BULK_IN_FLIGHT = 2048;
/** Slower than so many times the 99th percentile before counts as slow. */
const SLOW_FACTOR = 2;
const LOOK_EVERY_MS = 50;
const PAUSED_NODE = 3;
const COPY_PIECE_BYTES = MIB;

const COMMAND = {
  name: 'catch-up',
  does: 'How fast a node that was away fetches what it missed, and what others feel of it.',
  options: {
    gb: number(1, 'gigabytes written while the node is away', { min: 0.01, max: 1000 }),
    queues: number(12, 'queues of the topic', { min: 1, max: 1024, whole: true }),
    seconds: number(10, 'how long the light load is measured before', { min: 1, max: 3600 }),
    trimmed: flag('the log is trimmed past the node: it needs snapshots'),
    json: flag('the figures as one line of JSON'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

/** The default pace would take minutes to give space back. */
const TRIMMING = [
  'retention.checkIntervalMs=500',
  'retention.checkpointBytes=4194304',
  'retention.slowReplicaGraceMs=2000',
  'log.segmentBytes=33554432',
];

async function bulk(client: Holdfast, topic: string, bytes: number): Promise<void> {
  const producer = client.producer({ topic });
  const body = Buffer.alloc(BULK_BODY_BYTES, 'x');
  let sent = 0;
  const loop = async (): Promise<void> => {
    while (sent < bytes) {
      sent += body.length;
      await producer.send({ body });
    }
  };
  await Promise.all(Array.from({ length: BULK_IN_FLIGHT }, loop));
  await producer.close();
}

/** Entries that the node is behind, over all shards; undefined while a shard has no leader. */
function missingOn(node: number, { shards }: ClusterDescription): number | undefined {
  let missing = 0;
  for (const { leader, commitIndex, replicas } of shards) {
    if (leader === 0) return undefined;
    const replica = replicas.find((one) => one.node === node);
    if (replica !== undefined) missing += Math.max(0, commitIndex - replica.matchIndex);
  }
  return missing;
}

/** Resolves with the seconds until the node had all that there was at one look. */
async function caughtUp(client: Holdfast, node: number): Promise<number> {
  const start = performance.now();
  for (;;) {
    const cluster = await client.admin.describeCluster();
    const missing = missingOn(node, cluster);
    // Under load a few entries are always on their way.
    if (missing !== undefined && missing < cluster.shards.length * 4) break;
    await delay(LOOK_EVERY_MS);
  }
  return (performance.now() - start) / 1000;
}

/** Reads and writes every file, then syncs it: what any way of moving these bytes must do. */
async function plainCopy(from: string, to: string): Promise<{ bytes: number; seconds: number }> {
  mkdirSync(to);
  const start = performance.now();
  let bytes = 0;
  for (const name of readdirSync(from).filter((one) => one.endsWith('.log'))) {
    const source = createReadStream(join(from, name), { highWaterMark: COPY_PIECE_BYTES });
    const target = join(to, name);
    await pipeline(source, createWriteStream(target));
    const handle = await open(target, 'r+');
    await handle.datasync();
    bytes += (await handle.stat()).size;
    await handle.close();
  }
  return { bytes, seconds: (performance.now() - start) / 1000 };
}

interface Figures {
  readonly gb: number;
  readonly catch_up_s: number;
  readonly catch_up_mb_per_s: number;
  readonly copy_mb_per_s: number;
  readonly ratio_to_copy: number;
  readonly p99_before_ms: number;
  readonly p99_meanwhile_ms: number;
  readonly p99_ratio: number;
}

function report(figures: Figures): void {
  const { catch_up_s: seconds, gb } = figures;
  const round = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
  console.log(`${round(gb)} GB missed, fetched in ${round(seconds)} s`);
  console.log(
    `${round(figures.catch_up_mb_per_s)} MB/s; plain copy ${round(figures.copy_mb_per_s)} MB/s: ` +
      `ratio ${round(figures.ratio_to_copy)}`,
  );
  console.log(
    `p99 of single sends: ${round(figures.p99_before_ms)} ms before, ` +
      `${round(figures.p99_meanwhile_ms)} ms meanwhile: ratio ${round(figures.p99_ratio)}`,
  );
}

function reportSends(before: readonly Send[], meanwhile: readonly Send[], p99Ms: number): void {
  for (const [when, sends] of Object.entries({ before, meanwhile })) {
    const values = [0.5, 0.9, 0.99, 0.999].map((one) => latency(sends, one).toFixed(1));
    console.log(`${sends.length} sends ${when}: p50, p90, p99, p99.9 = ${values.join(', ')} ms`);
  }
  for (const spell of slowSpells(meanwhile, p99Ms * SLOW_FACTOR)) console.log(spellLine(spell));
}

async function catchUp(options: Options, cleanUp: CleanUp): Promise<number> {
  const directory = cleanUp.directory(join(tmpdir(), 'holdfast-catch-up-'));
  const data = join(directory, 'cluster');
  const settings = options.trimmed ? TRIMMING : [];
  const up = await cleanUp.started(UpProcess.start({ data, settings }));
  // The paused node takes no calls.
  const client = connect({ servers: up.servers.filter((_, at) => at + 1 !== PAUSED_NODE) });
  cleanUp.add(() => client.close());
  const topic = 'catch-up';
  const retentionBytes = options.trimmed ? 8 * MIB : 0;
  await client.admin.createTopic({ name: topic, queueCount: options.queues, retentionBytes });
  await lightLoadFor(client, topic, Math.min(3, options.seconds));
  const before = await lightLoadFor(client, topic, options.seconds);
  const { nodes } = await client.admin.describeCluster();
  const pid = nodes.find(({ id }) => id === PAUSED_NODE)?.pid as number;
  process.kill(pid, 'SIGSTOP');
  cleanUp.add(() => process.kill(pid, 'SIGCONT'));
  await bulk(client, topic, options.gb * 1e9);
  const stop = new AbortController();
  const load = lightLoad(client, topic, stop.signal);
  process.kill(pid, 'SIGCONT');
  const seconds = await caughtUp(client, PAUSED_NODE);
  stop.abort();
  const meanwhile = await load;
  const copy = await plainCopy(join(data, 'node-1', 'log'), join(directory, 'copy'));
  const rate = (options.gb * 1000) / seconds;
  const copyRate = copy.bytes / copy.seconds / 1e6;
  const [p99Before, p99] = [latency(before, 0.99), latency(meanwhile, 0.99)];
  const figures: Figures = {
    ...{ gb: options.gb, catch_up_s: seconds, catch_up_mb_per_s: rate, copy_mb_per_s: copyRate },
    ...{ ratio_to_copy: rate / copyRate, p99_before_ms: p99Before, p99_meanwhile_ms: p99 },
    p99_ratio: p99 / p99Before,
  };
  if (options.json) console.log(JSON.stringify(figures));
  else {
    report(figures);
    reportSends(before, meanwhile, p99Before);
  }
  return 0;
}

await runCommand(COMMAND, catchUp);

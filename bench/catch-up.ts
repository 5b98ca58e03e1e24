/**
 * `npm run catch-up`: a node that was paused while gigabytes were written fetches them again. How
 * fast, beside a plain copy of the same files in the same run; and what a light load of single
 * sends meets meanwhile. With `--joining` the node is new. With `--trimmed` the others let go of
 * their log first, so that the node is sent snapshots and the log after them.
 */
import { createReadStream, createWriteStream, mkdirSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Holdfast } from '../src/client/index.ts';
import { type CleanUp, runCommand } from '../test/processes/command.ts';
import { flag, number, type ValuesOf } from '../test/processes/options.ts';
import { missing, newNode, pausedNode } from './absent-node.ts';
import {
  latency,
  lightLoad,
  lightLoadFor,
  type Send,
  sendsFrom,
  slowSpells,
  spellLine,
} from './light-load.ts';
import { writePlainly } from './plain-writer.ts';

const MIB = 1024 * 1024;
const BULK_BODY_BYTES = 4096;
const BULK_IN_FLIGHT = 2048;
/** Slower than so many times the 99th percentile before counts as slow. */
const SLOW_FACTOR = 2;
const LOOK_EVERY_MS = 50;
const SETTLE_MS = 2000;
const COPY_PIECE_BYTES = MIB;

const COMMAND = {
  name: 'catch-up',
  does: 'How fast a node that was away fetches what it missed, and what others feel of it.',
  options: {
    gb: number(1, 'gigabytes written while the node is away', { min: 0.01, max: 1000 }),
    queues: number(12, 'queues of the topic', { min: 1, max: 1024, whole: true }),
    seconds: number(10, 'how long the light load is measured before', { min: 1, max: 3600 }),
    joining: flag('the node is new: the third of a cluster of two'),
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

/** Resolves with the seconds until the node had all that there was at one look. */
async function caughtUp(client: Holdfast): Promise<number> {
  const start = performance.now();
  for (;;) {
    const cluster = await client.admin.describeCluster();
    const entries = missing(cluster);
    // Under load a few entries are always on their way.
    if (entries !== undefined && entries < cluster.shards.length * 4) break;
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
  /** Absent with `--trimmed`: what was let go of is not fetched. */
  readonly catch_up_mb_per_s?: number;
  readonly copy_mb_per_s?: number;
  readonly ratio_to_copy?: number;
  readonly p99_before_ms: number;
  readonly p99_meanwhile_ms: number;
  readonly p99_ratio: number;
  /** The same load later, beside nothing but a writer at the pace of the catch-up. */
  readonly p99_beside_writer_ms?: number;
}

type Rates = Pick<Figures, 'catch_up_mb_per_s' | 'copy_mb_per_s' | 'ratio_to_copy'>;

async function ratesOf(
  gb: number,
  seconds: number,
  data: string,
  directory: string,
): Promise<Rates> {
  const copy = await plainCopy(join(data, 'node-1', 'log'), join(directory, 'copy'));
  const rate = (gb * 1000) / seconds;
  const copyRate = copy.bytes / copy.seconds / 1e6;
  return {
    catch_up_mb_per_s: rate,
    copy_mb_per_s: copyRate,
    ratio_to_copy: rate / copyRate,
  };
}

function report(figures: Figures): void {
  const { catch_up_s: seconds, gb, catch_up_mb_per_s: rate, copy_mb_per_s: copy } = figures;
  const round = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
  console.log(`${round(gb)} GB missed, caught up in ${round(seconds)} s`);
  if (rate !== undefined && copy !== undefined) {
    const ratio = round(rate / copy);
    console.log(`${round(rate)} MB/s; plain copy ${round(copy)} MB/s: ratio ${ratio}`);
  }
  console.log(
    `p99 of single sends: ${round(figures.p99_before_ms)} ms before, ` +
      `${round(figures.p99_meanwhile_ms)} ms meanwhile: ratio ${round(figures.p99_ratio)}`,
  );
  const { p99_before_ms: before, p99_beside_writer_ms: beside } = figures;
  if (beside === undefined) return;
  const ratio = round(beside / before);
  console.log(
    `beside a plain writer at that pace on the same disk: ${round(beside)} ms: ratio ${ratio}`,
  );
}

/** What a writer at the same pace on the same disk does to the load, without any catching up. */
async function besideWriter(
  client: Holdfast,
  topic: string,
  directory: string,
  mbPerS: number,
  seconds: number,
): Promise<number> {
  await delay(SETTLE_MS);
  const stop = new AbortController();
  const writing = writePlainly(directory, mbPerS, stop.signal);
  const sends = await lightLoadFor(client, topic, seconds);
  stop.abort();
  await writing;
  return latency(sends, 0.99);
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
  const absentNode = options.joining ? newNode : pausedNode;
  const absent = await absentNode(data, settings, cleanUp);
  const client = connect({ servers: absent.servers });
  cleanUp.add(() => client.close());
  const topic = 'catch-up';
  const retentionBytes = options.trimmed ? 8 * MIB : 0;
  await client.admin.createTopic({ name: topic, queueCount: options.queues, retentionBytes });
  await lightLoadFor(client, topic, Math.min(3, options.seconds));
  const before = await lightLoadFor(client, topic, options.seconds);
  await absent.leave();
  await bulk(client, topic, options.gb * 1e9);
  const stop = new AbortController();
  const load = lightLoad(client, topic, stop.signal);
  const loadBegan = performance.now();
  // What the writing left behind is not the absent node's fault.
  await delay(SETTLE_MS);
  const backAtMs = performance.now() - loadBegan;
  await absent.comeBack();
  const seconds = await caughtUp(client);
  stop.abort();
  const meanwhile = sendsFrom(await load, backAtMs);
  const rates: Rates = options.trimmed ? {} : await ratesOf(options.gb, seconds, data, directory);
  const { catch_up_mb_per_s: pace } = rates;
  const control = pace && {
    p99_beside_writer_ms: await besideWriter(client, topic, directory, pace, options.seconds),
  };
  const [p99Before, p99] = [latency(before, 0.99), latency(meanwhile, 0.99)];
  const figures: Figures = {
    ...{ gb: options.gb, catch_up_s: seconds, ...rates },
    ...{ p99_before_ms: p99Before, p99_meanwhile_ms: p99, p99_ratio: p99 / p99Before },
    ...control,
  };
  if (options.json) console.log(JSON.stringify(figures));
  else {
    report(figures);
    reportSends(before, meanwhile, p99Before);
  }
  return 0;
}

await runCommand(COMMAND, catchUp);

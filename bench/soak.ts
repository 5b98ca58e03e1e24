/**
 * `npm run soak`: gigabytes through a cluster with retention on, one producer and one reader, while
 * the resident memory of each node and the disk it takes are watched. Many queues with much in
 * flight show what a node keeps per queue; small bodies make many index rows per byte.
 */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Holdfast } from '../src/client/index.ts';
import { type CleanUp, runCommand } from '../test/processes/command.ts';
import { flag, number, type ValuesOf } from '../test/processes/options.ts';
import { bytesBelow, startHoldfast } from './targets.ts';

const GB = 1e9;
const MIB = 1024 * 1024;
const RETENTION_BYTES = 256 * MIB;
const SAMPLE_MS = 1000;
const LOOK_EVERY_MS = 2000;
/** Space comes back within seconds instead of within the default pace. */
const SETTINGS = ['retention.checkIntervalMs=1000', 'retention.checkpointBytes=16777216'];

const COMMAND = {
  name: 'soak',
  does: 'Gigabytes through a cluster with retention on, while memory and disk are watched.',
  options: {
    gb: number(10, 'gigabytes to produce', { min: 0.001, max: 100_000 }),
    queues: number(3, 'queues of the topic', { min: 1, max: 1024, whole: true }),
    body: number(1024, 'bytes per message', { min: 1, max: MIB, whole: true }),
    'in-flight': number(2048, 'messages on their way', { min: 1, max: 100_000, whole: true }),
    'no-reader': flag('nobody reads meanwhile'),
    json: flag('all samples as one line of JSON'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

interface Sample {
  readonly gb: number;
  readonly rssMb: readonly number[];
  readonly diskMb: number;
}

/** Linux only; elsewhere the figure is missing, not zero. */
function rssMb(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  } catch {
    return Number.NaN;
  }
}

/** Until `gb` are acknowledged; `moved` counts them as they leave. */
async function produce(client: Holdfast, topic: string, options: Options, moved: { gb: number }) {
  const producer = client.producer({ topic });
  const body = Buffer.alloc(options.body, 'x');
  const loop = async (): Promise<void> => {
    while (moved.gb < options.gb) {
      moved.gb += options.body / GB;
      await producer.send({ body });
    }
  };
  await Promise.all(Array.from({ length: options['in-flight'] }, loop));
  await producer.close();
}

/** A reader at the tail: what it misses by falling behind the retention it skips. */
async function follow(client: Holdfast, topic: string, signal: AbortSignal): Promise<number> {
  const consumer = client.consumer({ topic, from: 'latest', outOfRange: 'earliest', signal });
  let messages = 0;
  for await (const _ of consumer) messages++;
  return messages;
}

function report(samples: readonly Sample[], seconds: number, read: number, gb: number): void {
  console.log('GB through   RSS MB per node      disk MB, all');
  const step = Math.max(1, Math.floor(samples.length / 12));
  for (let i = 0; i < samples.length; i += step) {
    const sample = samples[i] as Sample;
    const nodes = sample.rssMb.map((mb) => mb.toFixed(0).padStart(5)).join(' ');
    const diskMb = sample.diskMb.toFixed(0).padStart(14);
    console.log(`${sample.gb.toFixed(1).padStart(10)}   ${nodes}   ${diskMb}`);
  }
  const known = samples.flatMap(({ rssMb: rss }) => rss).filter((mb) => !Number.isNaN(mb));
  const peak = Math.max(...known).toFixed(0);
  const rate = ((gb * 1000) / seconds).toFixed(1);
  console.log(`peak ${peak} MB, ${rate} MB/s at MAJORITY_FSYNC, ${read} messages read`);
}

async function soak(options: Options, cleanUp: CleanUp): Promise<number> {
  const directory = cleanUp.directory(join(tmpdir(), 'holdfast-soak-'));
  const target = await cleanUp.started(startHoldfast(directory, SETTINGS));
  const client = connect({ servers: target.server });
  cleanUp.add(() => client.close());
  const topic = 'soak';
  await client.admin.createTopic({
    ...{ name: topic, queueCount: options.queues },
    retentionBytes: RETENTION_BYTES,
  });
  let { nodes } = await client.admin.describeCluster();
  // A node that was killed and started again has another process id.
  const look = async (): Promise<void> => {
    nodes = (await client.admin.describeCluster()).nodes;
  };
  const looking = setInterval(() => void look().catch(() => undefined), LOOK_EVERY_MS);
  cleanUp.add(() => clearInterval(looking));
  const samples: Sample[] = [];
  const moved = { gb: 0 };
  const timer = setInterval(() => {
    const rss = nodes.map(({ pid }) => rssMb(pid));
    samples.push({ gb: moved.gb, rssMb: rss, diskMb: bytesBelow(directory) / 1e6 });
  }, SAMPLE_MS);
  cleanUp.add(() => clearInterval(timer));
  const stopped = new AbortController();
  const reading = options['no-reader'] ? 0 : follow(client, topic, stopped.signal);
  const start = performance.now();
  await produce(client, topic, options, moved);
  const seconds = (performance.now() - start) / 1000;
  stopped.abort();
  const read = await reading;
  if (options.json) console.log(JSON.stringify({ seconds, read, samples }));
  else report(samples, seconds, read, options.gb);
  return 0;
}

await runCommand(COMMAND, soak);

/**
 * `npm run soak -- [--gb 10] [--queues 3] [--body 1024] [--in-flight 2048] [--no-reader] [--json]`:
 * gigabytes through a cluster with retention on, one producer and one reader, while the resident
 * memory of each node and the disk it takes are watched. Many queues with much in flight show what
 * a node keeps per queue; small bodies make many index rows per byte.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect, type Holdfast } from '../src/client/index.ts';
import { bytesBelow, startHoldfast } from './targets.ts';

const GB = 1e9;
const MIB = 1024 * 1024;
const RETENTION_BYTES = 256 * MIB;
const SAMPLE_MS = 1000;
/** Space comes back within seconds instead of within the default pace. */
const SETTINGS = ['retention.checkIntervalMs=1000', 'retention.checkpointBytes=16777216'];

const { values: options } = parseArgs({
  options: {
    gb: { type: 'string', default: '10' },
    queues: { type: 'string', default: '3' },
    body: { type: 'string', default: '1024' },
    'in-flight': { type: 'string', default: '2048' },
    'no-reader': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const QUEUES = Number(options.queues);
const BODY_BYTES = Number(options.body);
const IN_FLIGHT = Number(options['in-flight']);

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

/** Resolves with how many bytes were acknowledged. */
async function produce(client: Holdfast, topic: string, bytes: number, moved: { bytes: number }) {
  const producer = client.producer({ topic });
  const body = Buffer.alloc(BODY_BYTES, 'x');
  const loop = async (): Promise<void> => {
    while (moved.bytes < bytes) {
      moved.bytes += BODY_BYTES;
      await producer.send({ body });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  await producer.close();
}

/** A reader at the tail: what it misses by falling behind the retention it skips. */
async function follow(client: Holdfast, topic: string, signal: AbortSignal): Promise<number> {
  const consumer = client.consumer({ topic, from: 'latest', outOfRange: 'earliest', signal });
  let messages = 0;
  for await (const _ of consumer) messages++;
  return messages;
}

function report(samples: readonly Sample[], seconds: number, read: number): void {
  if (options.json) {
    console.log(JSON.stringify({ seconds, read, samples }));
    return;
  }
  console.log('GB through   RSS MB per node      disk MB, all');
  const step = Math.max(1, Math.floor(samples.length / 12));
  for (let i = 0; i < samples.length; i += step) {
    const { gb, rssMb: rss, diskMb } = samples[i] as Sample;
    const nodes = rss.map((mb) => mb.toFixed(0).padStart(5)).join(' ');
    console.log(`${gb.toFixed(1).padStart(10)}   ${nodes}   ${diskMb.toFixed(0).padStart(14)}`);
  }
  const peak = Math.max(...samples.flatMap(({ rssMb: rss }) => rss));
  const rate = (Number(options.gb) * GB) / seconds / 1e6;
  console.log(
    `peak ${peak.toFixed(0)} MB, ${rate.toFixed(1)} MB/s at MAJORITY_FSYNC, ${read} messages read`,
  );
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-soak-'));
  const target = await startHoldfast(directory, SETTINGS);
  const samples: Sample[] = [];
  const client = connect({ servers: target.server });
  const stopped = new AbortController();
  try {
    const topic = 'soak';
    await client.admin.createTopic({
      ...{ name: topic, queueCount: QUEUES },
      retentionBytes: RETENTION_BYTES,
    });
    const { nodes } = await client.admin.describeCluster();
    const moved = { bytes: 0 };
    const timer = setInterval(() => {
      const rss = nodes.map(({ pid }) => rssMb(pid));
      samples.push({ gb: moved.bytes / GB, rssMb: rss, diskMb: bytesBelow(directory) / 1e6 });
    }, SAMPLE_MS);
    const reading = options['no-reader'] ? 0 : follow(client, topic, stopped.signal);
    const start = performance.now();
    await produce(client, topic, Number(options.gb) * GB, moved);
    const seconds = (performance.now() - start) / 1000;
    clearInterval(timer);
    stopped.abort();
    report(samples, seconds, await reading);
  } finally {
    await client.close();
    await target.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();

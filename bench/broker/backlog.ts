/** Sends at half of what the cluster takes, alone and while gigabytes of backlog are read. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { HoldfastError, type Producer } from '../../src/client/index.ts';
import { percentile } from '../percentiles.ts';
import type { BacklogReader } from './backlog-reader.ts';
import { type Part, rounded } from './row.ts';

const BODY_BYTES = 1024;
const QUEUES = 8;
const AT_ONCE = 512;
const TICK_MS = 5;
const FACTOR_MAX = 2;
const MB = 1e6;

export const backlog: Part = async ({ client, servers, gb, seconds, tell }) => {
  const topic = 'bench-backlog';
  await client.admin.createTopic({ name: topic, queueCount: QUEUES });
  const producer = client.producer({ topic, maxInFlight: 16 });
  const perS = await fill(producer, gb * 1000 * MB);
  tell(`${gb} GB written, ${Math.round(perS)} messages a second at most`);
  const reader = await startReader({ servers, topic, bytes: gb * 1000 * MB });
  await sendPaced(producer, perS / 2, AbortSignal.timeout(1000 * seconds));
  const alone = await sendPaced(producer, perS / 2, AbortSignal.timeout(1000 * seconds));
  const reading = new AbortController();
  const sends = sendPaced(producer, perS / 2, reading.signal);
  reader.postMessage('read');
  const bytesPerS = await messageOf<number>(reader);
  reading.abort();
  const beside = await sends;
  await producer.close();
  const p99 = { alone: percentile(alone, 0.99), beside: percentile(beside, 0.99) };
  return {
    workload: `${gb} GB of backlog read while producing at half speed, ${BODY_BYTES} B`,
    durability: 'MAJORITY_FSYNC',
    figures: {
      produced_per_s: rounded(perS / 2),
      read_mb_per_s: rounded(bytesPerS / MB),
      p99_alone_ms: rounded(p99.alone),
      p99_beside_ms: rounded(p99.beside),
      factor: rounded(p99.beside / p99.alone),
    },
    goal: `p99 of produce at most ${FACTOR_MAX} times`,
    met: p99.beside <= FACTOR_MAX * p99.alone,
  };
};

/** As fast as it goes; answers messages per second. */
async function fill(producer: Producer, bytes: number): Promise<number> {
  const body = Buffer.alloc(BODY_BYTES, 'x');
  let left = bytes;
  const startMs = performance.now();
  const loop = async (): Promise<void> => {
    while (left > 0) {
      left -= BODY_BYTES;
      await producer.send({ body });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  return bytes / BODY_BYTES / ((performance.now() - startMs) / 1000);
}

/**
 * Each has its time, whether earlier ones were answered or not; answers how long after it each was
 * acknowledged, in ms. One that finds no room waits, and that counts.
 */
async function sendPaced(producer: Producer, perS: number, signal: AbortSignal) {
  const body = Buffer.alloc(BODY_BYTES, 'y');
  const tookMs: number[] = [];
  const sends: Promise<void>[] = [];
  const startMs = performance.now();
  const one = async (dueMs: number): Promise<void> => {
    while (!(await isSent(producer, body))) await producer.whenRoom();
    tookMs.push(performance.now() - dueMs);
  };
  while (!signal.aborted) {
    const due = ((performance.now() - startMs) * perS) / 1000;
    while (sends.length < due) sends.push(one(startMs + (1000 * sends.length) / perS));
    await delay(TICK_MS);
  }
  await Promise.all(sends);
  return tookMs;
}

/** False: there was no room for it. */
function isSent(producer: Producer, body: Buffer): Promise<boolean> {
  return producer.send({ body }).then(
    () => true,
    (error: unknown) => {
      if (error instanceof HoldfastError && error.reason === 'CLIENT_BUFFER_FULL') return false;
      throw error;
    },
  );
}

/** In a thread of its own; it reads when it gets a message and answers bytes per second. */
async function startReader(workerData: BacklogReader): Promise<Worker> {
  const thread = new Worker(new URL('./backlog-reader.js', import.meta.url), { workerData });
  await messageOf<'ready'>(thread);
  return thread;
}

function messageOf<T>(thread: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    thread.once('message', resolve);
    thread.once('error', reject);
  });
}

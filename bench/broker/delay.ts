/** Messages of 1 KB, each delayed by a second: how many come a second, how late, and none early. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Consumer, Producer } from '../../src/client/index.ts';
import { percentile } from '../percentiles.ts';
import { type Part, rounded } from './row.ts';

const BODY_BYTES = 1024;
const DELAY_MS = 1000;
const QUEUES = 12;
const TICK_MS = 10;
const PER_S_MIN = 5000;
const LATE_P99_MAX_MS = 1000;
/** What was sent last comes after its delay, and whatever it is late. */
const DRAIN_MS = 10_000;

interface Arrived {
  /** Later than it was asked for; below 0 is early. */
  readonly lateMs: number[];
  firstMs: number;
  lastMs: number;
}

export const delayed: Part = async ({ client, seconds, ratePerS, tell }) => {
  const topic = 'bench-delay';
  await client.admin.createTopic({ name: topic, queueCount: QUEUES });
  const consumer = client.consumer({ topic, from: 'earliest', credits: 20_000 });
  const arrived: Arrived = { lateMs: [], firstMs: 0, lastMs: 0 };
  const reading = read(consumer, arrived);
  const producer = client.producer({ topic, maxInFlight: 64 });
  const sent = await sendPaced(producer, ratePerS, seconds);
  tell(`${sent} delayed messages acknowledged`);
  const giveUpAtMs = Date.now() + DRAIN_MS;
  while (arrived.lateMs.length < sent && Date.now() < giveUpAtMs) await delay(TICK_MS);
  await producer.close();
  await consumer.close();
  await reading;
  const { lateMs, firstMs, lastMs } = arrived;
  const perS = (1000 * lateMs.length) / Math.max(1, lastMs - firstMs);
  const early = lateMs.filter((ms) => ms < 0).length;
  const p99 = percentile(lateMs, 0.99);
  const missing = sent - lateMs.length;
  return {
    workload: `delayed by ${DELAY_MS} ms, ${BODY_BYTES} B, ${QUEUES} queues`,
    durability: 'MAJORITY_FSYNC',
    figures: {
      delivered_per_s: rounded(perS),
      asked_per_s: ratePerS,
      late_p50_ms: rounded(percentile(lateMs, 0.5)),
      late_p99_ms: rounded(p99),
      early,
      missing,
    },
    goal: `at least ${PER_S_MIN}/s, none early, p99 at most ${LATE_P99_MAX_MS} ms late`,
    met: perS >= PER_S_MIN && early === 0 && missing === 0 && p99 <= LATE_P99_MAX_MS,
  };
};

/** Each body begins with the time it is for: on one machine there is one clock. */
async function read(consumer: Consumer, arrived: Arrived): Promise<void> {
  for await (const { body } of consumer) {
    const nowMs = Date.now();
    arrived.firstMs ||= nowMs;
    arrived.lastMs = nowMs;
    arrived.lateMs.push(nowMs - body.readDoubleBE(0));
  }
}

/** Answers how many were acknowledged. */
async function sendPaced(producer: Producer, ratePerS: number, seconds: number): Promise<number> {
  const sends: Promise<unknown>[] = [];
  const startMs = performance.now();
  const total = Math.round(ratePerS * seconds);
  while (sends.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) * ratePerS) / 1000));
    const deliverAtMs = Date.now() + DELAY_MS;
    while (sends.length < due) {
      const body = Buffer.alloc(BODY_BYTES, 'x');
      body.writeDoubleBE(deliverAtMs, 0);
      sends.push(producer.send({ body, deliverAtMs }));
    }
    await delay(TICK_MS);
  }
  await Promise.all(sends);
  return sends.length;
}

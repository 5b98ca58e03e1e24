import { fieldsOf } from './ceiling/wire.ts';
import { fetchRequest, produceRequest, RawClient } from './raw-calls.ts';
import { closedLoop, type Sample, type Workload } from './workload.ts';

const MIB = 1024 * 1024;
const END_TO_END_PER_SECOND = 500;
/** Long enough that no poll ends empty while messages come. */
const POLL_MS = 20_000;

export function nextOffsetOf(answer: Buffer): number {
  for (const field of fieldsOf(answer)) if (field.number === 1) return field.value;
  return 0;
}

/** The backlog that the catch-up reader goes through: requests of 64 messages of 1 KB. */
const FILL_REQUESTS = 1024;
const FILL_MESSAGES = 64;

/** Catch-up: one consumer reads a backlog from its start to its end, again and again. */
const fetch: Workload = {
  name: 'fetch 1 MiB',
  compares: 'rate',
  durabilities: ['MAJORITY_FSYNC'],
  async run(target, _durability, seconds) {
    const client = new RawClient(target.server);
    const fill = produceRequest(target.topic, 'MAJORITY_FSYNC', FILL_MESSAGES, 1024);
    try {
      const start = await endOf(client, target.topic);
      for (let i = 0; i < FILL_REQUESTS; i++) await client.call('Produce', fill);
      let offset = start;
      return await closedLoop(1, seconds, async () => {
        const answer = await client.call('Fetch', fetchRequest(target.topic, offset, MIB, 0));
        const next = nextOffsetOf(answer);
        const messages = next - offset;
        offset = messages === 0 ? start : next;
        return { messages, bytes: answer.length };
      });
    } finally {
      client.close();
    }
  },
};

/** Sent at a steady pace, read by a long poll: time from the send to the read. */
const endToEnd: Workload = {
  name: `end to end 1 KB ${END_TO_END_PER_SECOND}/s`,
  compares: 'latency',
  durabilities: ['MAJORITY_FSYNC'],
  async run(target, _durability, seconds) {
    const producer = new RawClient(target.server);
    const consumer = new RawClient(target.server);
    const request = produceRequest(target.topic, 'MAJORITY_FSYNC', 1, 1024);
    try {
      let offset = await endOf(consumer, target.topic);
      const sentAt: number[] = [];
      const latenciesMs: number[] = [];
      const total = Math.round(seconds * END_TO_END_PER_SECOND);
      const start = performance.now();
      const sending = sendAtPace(producer, request, sentAt, total);
      while (latenciesMs.length < total) {
        const poll = fetchRequest(target.topic, offset, MIB, POLL_MS);
        const next = nextOffsetOf(await consumer.call('Fetch', poll));
        const now = performance.now();
        for (; offset < next; offset++) {
          latenciesMs.push(now - (sentAt[latenciesMs.length] as number));
        }
      }
      await sending;
      const elapsed = (performance.now() - start) / 1000;
      return { messages: total, bytes: total * 1024, seconds: elapsed, latenciesMs } as Sample;
    } finally {
      producer.close();
      consumer.close();
    }
  },
};

/** Follows the queue to its end: the ceiling knows no ListOffsets. */
async function endOf(client: RawClient, topic: string): Promise<number> {
  for (let offset = 0; ; ) {
    const next = nextOffsetOf(await client.call('Fetch', fetchRequest(topic, offset, 4 * MIB, 0)));
    if (next === offset) return offset;
    offset = next;
  }
}

/** Planned times, so that a slow answer is not hidden by a late next send. */
async function sendAtPace(
  client: RawClient,
  request: Buffer,
  sentAt: number[],
  total: number,
): Promise<void> {
  const start = performance.now();
  const calls: Promise<Buffer>[] = [];
  while (calls.length < total) {
    const due = Math.floor(((performance.now() - start) / 1000) * END_TO_END_PER_SECOND) + 1;
    while (calls.length < Math.min(due, total)) {
      sentAt.push(start + (calls.length / END_TO_END_PER_SECOND) * 1000);
      calls.push(client.call('Produce', request));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(calls);
}

export const READ_WORKLOADS: readonly Workload[] = [fetch, endToEnd];

import { connect } from '../src/client/index.ts';
import { bytesField, numberField } from './ceiling/wire.ts';
import { produceRequest, RawClient } from './raw-calls.ts';
import { closedLoop, type Sample, type Workload } from './workload.ts';

const SMALL_BYTES = 200;
const BOTH = ['MAJORITY_FSYNC', 'MAJORITY'] as const;

/** Plain unary calls of one request, as a generated stub would make them. */
export function unary(
  name: string,
  concurrency: number,
  count: number,
  bodyBytes: number,
): Workload {
  return {
    name,
    compares: 'rate',
    durabilities: BOTH,
    async run(target, durability, seconds) {
      const client = new RawClient(target.server, target.entrance);
      const request = produceRequest(target.topic, durability, count, bodyBytes);
      const moved = { messages: count, bytes: count * bodyBytes };
      try {
        return await closedLoop(concurrency, seconds, async () => {
          await client.call('Produce', request);
          return moved;
        });
      } finally {
        client.close();
      }
    },
  };
}

/** Single sends through the client, whose waiting sends leave together. */
export function throughClient(concurrency: number): Workload {
  return {
    name: `client 200 B c=${concurrency}`,
    compares: 'rate',
    durabilities: BOTH,
    async run(target, durability, seconds) {
      const client = connect({ servers: target.server });
      const producer = client.producer({ topic: target.topic, durability });
      const body = Buffer.alloc(SMALL_BYTES, 'x');
      const moved = { messages: 1, bytes: SMALL_BYTES };
      try {
        return await closedLoop(concurrency, seconds, async () => {
          await producer.send({ body });
          return moved;
        });
      } finally {
        await producer.close();
        await client.close();
      }
    },
  };
}

/** One ProduceStream of single 200 B messages with `window` requests on their way. */
export function stream(window: number): Workload {
  return {
    name: `stream 200 B w=${window}`,
    compares: 'rate',
    durabilities: BOTH,
    async run(target, durability, seconds) {
      const client = new RawClient(target.server, target.entrance);
      const request = produceRequest(target.topic, durability, 1, SMALL_BYTES);
      const call = client.stream('ProduceStream');
      try {
        return await pump(call, request, window, seconds);
      } finally {
        client.close();
      }
    },
  };
}

function pump(
  call: ReturnType<RawClient['stream']>,
  request: Buffer,
  window: number,
  seconds: number,
): Promise<Sample> {
  const sentAt: number[] = [];
  const latenciesMs: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  const element = bytesField(3, request);
  return new Promise((resolve, reject) => {
    const send = (): void => {
      sentAt.push(performance.now());
      call.write(Buffer.concat([Buffer.from(numberField(1, sentAt.length)), element]));
    };
    call.on('error', reject);
    call.on('data', () => {
      const now = performance.now();
      latenciesMs.push(now - (sentAt[latenciesMs.length] as number));
      if (now < end) send();
      else if (latenciesMs.length === sentAt.length) {
        call.end();
        const messages = latenciesMs.length;
        const bytes = messages * SMALL_BYTES;
        resolve({ messages, bytes, seconds: (now - start) / 1000, latenciesMs });
      }
    });
    for (let i = 0; i < window; i++) send();
  });
}

export const PRODUCE_WORKLOADS: readonly Workload[] = [
  unary('unary 200 B c=1', 1, 1, SMALL_BYTES),
  unary('unary 200 B c=16', 16, 1, SMALL_BYTES),
  unary('unary 200 B c=128', 128, 1, SMALL_BYTES),
  throughClient(1),
  throughClient(16),
  throughClient(128),
  stream(512),
  unary('64 x 1 KB c=16', 16, 64, 1024),
  unary('1024 x 1 KB c=6', 6, 1024, 1024),
];

/** Producers that never pause while something happens to the cluster; then all is read back. */
import { connect } from '../../src/client/index.ts';
import { finalRead } from './final-read.ts';
import { AckGaps } from './gaps.ts';
import { cleanVerdict, QueueLedger, type Verdict } from './ledger.ts';
import { type Feed, ProducingLane, type Progress } from './producers.ts';

const TOPIC = 'load';
const QUEUES = 6;
const PRODUCERS = 2;
const SEND_TIMEOUT_MS = 120_000;
const LINE_BYTES = 200;

export interface Loaded {
  readonly verdict: Verdict;
  readonly progress: Progress;
  readonly gaps: AckGaps;
}

/** Lines without end until it is told to stop. */
class Lines implements Feed {
  #count = 0;
  #stopped = false;

  next(): Buffer | undefined {
    if (this.#stopped) return undefined;
    this.#count += 1;
    return Buffer.from(`line ${this.#count} `.padEnd(LINE_BYTES, 'x'));
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** `servers`: those that clients know, also such as come and go. `work` is what happens. */
export async function underLoad(
  servers: readonly string[],
  inFlightMax: number,
  work: (progress: Progress) => Promise<void>,
): Promise<Loaded> {
  const admin = connect({ servers });
  await admin.admin.createTopic({ name: TOPIC, queueCount: QUEUES });
  await admin.close();
  const verdict = cleanVerdict();
  const gaps = new AckGaps();
  const progress: Progress = { acked: 0, bytes: 0, refused: 0 };
  const ledgers = Array.from({ length: QUEUES }, () => new QueueLedger());
  const feed = new Lines();
  const shared = { gaps, verdict, progress, inFlightMax };
  const clients = Array.from({ length: PRODUCERS }, () => connect({ servers }));
  const lanes = clients.flatMap((client) => {
    const producer = client.producer({ topic: TOPIC, timeoutMs: SEND_TIMEOUT_MS });
    return ledgers.map((ledger, queue) => new ProducingLane(producer, queue, feed, ledger, shared));
  });
  const produced = Promise.all(lanes.map((lane) => lane.run()));
  try {
    await Promise.race([work(progress), produced.then(() => undefined)]);
  } finally {
    feed.stop();
  }
  await produced;
  await Promise.all(clients.map((client) => client.close()));
  await finalRead(servers.join(','), TOPIC, ledgers, verdict, () => undefined);
  return { verdict, progress, gaps };
}

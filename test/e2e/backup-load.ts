/** What goes on in a cluster while a backup of it is taken, and what it owes to a restored one. */
import { connect, type Holdfast, HoldfastError } from '../../src/client/index.ts';
import type { Stubs } from './stubs.ts';

export const TOPIC = 'load';
export const QUEUES = [0, 1, 2, 3, 4, 5];
export const GROUP = 'readers';
const PAIRS = 4;
const PADDING = 'x'.repeat(2000);

export interface Acked {
  readonly queue: number;
  readonly offset: number;
  readonly body: string;
  readonly atMs: number;
}

export class BackupLoad {
  readonly acked: Acked[] = [];
  /** Numbers of transactions over two queues whose commit was acknowledged, and when. */
  readonly committed = new Map<number, number>();
  readonly #client: Holdfast;
  readonly #works: Promise<void>[];
  #count = 0;
  #isStopped = false;

  constructor(servers: readonly string[]) {
    this.#client = connect({ servers });
    const producer = this.#client.producer({ topic: TOPIC });
    this.#works = [
      ...QUEUES.map((queue) =>
        this.#repeat(async (number) => {
          const body = `message ${number} ${PADDING}`;
          const { offset = -1 } = await producer.send({ body: Buffer.from(body), queue });
          this.acked.push({ queue, offset, body, atMs: Date.now() });
        }),
      ),
      ...Array.from({ length: PAIRS }, () => this.#repeat((number) => this.#pair(number))),
      this.#repeat((number) => this.#commitOffset(number % QUEUES.length)),
    ];
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#works);
    await this.#client.close();
  }

  async #repeat(once: (number: number) => Promise<void>): Promise<void> {
    while (!this.#isStopped) {
      this.#count += 1;
      try {
        await once(this.#count);
      } catch (error) {
        // A node is killed meanwhile: what was refused or is unknown is owed to nobody.
        if (!(error instanceof HoldfastError)) throw error;
      }
    }
  }

  async #pair(number: number): Promise<void> {
    const queue = number % QUEUES.length;
    const parts = [queue, (queue + 1) % QUEUES.length].map((into) => ({
      ...{ topic: TOPIC, queue: into },
      messages: [{ body: Buffer.from(`pair ${number}`) }],
    }));
    const transaction = await this.#client.transactions('shop').prepareMany({ parts });
    if (number % 5 === 0) await transaction.rollback();
    else if (number % 7 !== 0) {
      await transaction.commit();
      this.committed.set(number, Date.now());
    }
  }

  async #commitOffset(queue: number): Promise<void> {
    const { admin } = this.#client;
    const [range] = await admin.listOffsets({ topic: TOPIC, queues: [queue] });
    const offsets = [{ queue, offset: range!.endOffset }];
    await admin.commitOffsets({ group: GROUP, topic: TOPIC, offsets });
  }
}

/** Everything of the restored cluster that is not as it should be. */
export async function problemsOf(
  { acked, committed }: BackupLoad,
  begunAtMs: number,
  stubs: Stubs,
): Promise<string[]> {
  const queues = await Promise.all(QUEUES.map((queue) => stubs.readAll(TOPIC, queue)));
  const bodies = queues.map((read) => read.map(({ body }) => body.toString()));
  const lost = acked.filter(
    ({ atMs, body, offset, queue }) => atMs < begunAtMs && bodies[queue]?.[offset] !== body,
  );
  const shown = new Map<string, number>();
  for (const body of bodies.flat()) {
    if (body.startsWith('pair')) shown.set(body, (shown.get(body) ?? 0) + 1);
  }
  const halves = [...shown].filter(([, count]) => count !== 2);
  const forgotten = [...committed].filter(
    ([number, atMs]) => atMs < begunAtMs && !shown.has(`pair ${number}`),
  );
  return [
    ...lost.map(({ offset, queue }) => `lost offset ${offset} of queue ${queue}`),
    ...halves.map(([pair, count]) => `${count} of ${pair}`),
    ...forgotten.map(([number]) => `pair ${number} was committed`),
  ];
}

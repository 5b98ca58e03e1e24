/**
 * Half messages beside the load: prepared, left alone for a while, then committed or rolled back,
 * while readers follow every queue. Nobody may read one before its commit was asked for, or ever
 * after a rollback.
 */
import { connect, HoldfastError } from '../../src/client/index.ts';
import { digestOf, type QueueLedger, type Verdict } from './ledger.ts';

const MARK = 'half-';
const PAUSE_MS = 50;
const UNDECIDED_MS = 300;

type Fate = 'undecided' | 'committing' | 'rolledBack';

export class HalfWatch {
  readonly #servers: readonly string[];
  readonly #topic: string;
  readonly #queueCount: number;
  readonly #ledgers: readonly QueueLedger[];
  readonly #verdict: Verdict;
  readonly #fates = new Map<string, Fate>();
  readonly #abort = new AbortController();
  prepared = 0;
  committed = 0;
  rolledBack = 0;
  seen = 0;

  constructor(
    servers: readonly string[],
    topic: string,
    queueCount: number,
    ledgers: readonly QueueLedger[],
    verdict: Verdict,
  ) {
    this.#servers = servers;
    this.#topic = topic;
    this.#queueCount = queueCount;
    this.#ledgers = ledgers;
    this.#verdict = verdict;
  }

  stop(): void {
    this.#abort.abort();
  }

  /** Prepares and decides until stopped; every decision begun is carried through. */
  async produce(): Promise<void> {
    const client = connect({ servers: this.#servers });
    const transactions = client.transactions('e2e');
    while (!this.#abort.signal.aborted) {
      const id = this.prepared++;
      const text = `${MARK}${id}`;
      this.#fates.set(text, 'undecided');
      const queue = id % this.#queueCount;
      const messages = [{ body: text }];
      const half = await persist(() =>
        transactions.prepare({ topic: this.#topic, queue, messages, transactionId: text }),
      );
      await pause(UNDECIDED_MS);
      if (id % 3 === 2) {
        this.#fates.set(text, 'rolledBack');
        await persist(() => half.rollback());
        this.rolledBack++;
        continue;
      }
      this.#fates.set(text, 'committing');
      const { parts } = await persist(() => half.commit());
      const offset = parts[0]?.baseOffset;
      if (offset === undefined) throw new Error(`commit of ${text} named no offset`);
      this.#ledgers[queue]?.acknowledge(offset, digestOf(Buffer.from(text)));
      this.committed++;
      await pause(PAUSE_MS);
    }
    await client.close();
  }

  /** Follows the topic from its start, as any consumer would. */
  async follow(): Promise<void> {
    const client = connect({ servers: this.#servers });
    const { signal } = this.#abort;
    const consumer = client.consumer({ topic: this.#topic, from: 'earliest', signal });
    for await (const message of consumer) this.read(message.body);
    await client.close();
  }

  /** Also called for every message of the final read. */
  read(body: Buffer): void {
    if (body.length > 20 || !body.toString('latin1').startsWith(MARK)) return;
    const fate = this.#fates.get(body.toString('latin1'));
    if (fate === undefined) return;
    this.seen++;
    if (fate !== 'committing') this.#verdict.halfSeen++;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Prepare and End are idempotent: repeated until the outcome is known. */
async function persist<Result>(once: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await once();
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      if (!error.retryable && !error.outcomeUnknown) throw error;
    }
  }
}

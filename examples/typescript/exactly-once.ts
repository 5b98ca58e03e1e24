/**
 * Consume, process, produce, exactly once: every order becomes one invoice, though the process that
 * makes them is killed in the midst of it, twice.
 *
 *   1. read a few orders, from where the group stands
 *   2. prepare: the invoices and the group's new place are one transaction, stored and invisible
 *   3. commit: both, or neither
 *   4. a process that died between 2 and 3 is asked about it (here: whoever works for the group
 *      now); all of it is stored, so the answer is commit
 *
 *     npm run build && node dist/examples/typescript/exactly-once.js
 *
 * Starts its workers itself. Checks itself: ends with an error when an invoice is missing, or
 * there twice.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, type Holdfast, HoldfastError, type OutgoingMessage } from 'holdfast';

const servers = process.env.HOLDFAST_SERVER ?? 'localhost:7401';
const QUEUES = [0, 1];
const ORDERS = 60;
const AT_A_TIME = 5;

/** When a worker kills itself, and in which batch: as the power would, without a word. */
type Death = 'prepared' | 'committing' | 'never';
const DEATHS: readonly Death[] = ['prepared', 'committing', 'never'];
const DEADLY_BATCH = 3;

const [run, death] = process.argv.slice(2);
if (run === undefined) await runAll(`example-${randomUUID()}`);
else await work(run, death as Death);

async function runAll(name: string): Promise<void> {
  await using holdfast = connect({ servers });
  for (const topic of [`${name}-orders`, `${name}-invoices`]) {
    await holdfast.admin.createTopic({ name: topic, queueCount: QUEUES.length });
  }
  {
    await using producer = holdfast.producer({ topic: `${name}-orders` });
    for (let order = 0; order < ORDERS; order += 1) {
      await producer.send({ queue: order % QUEUES.length, body: `order ${order}` });
    }
  }
  for (const how of DEATHS) {
    const file = fileURLToPath(import.meta.url);
    const worker = spawn(process.execPath, [file, name, how], { stdio: 'inherit' });
    const [code, signal] = await once(worker, 'exit');
    console.log(`a worker ended: ${signal ?? `code ${code}`}`);
    assert.equal(signal ?? code, how === 'never' ? 0 : 'SIGKILL');
  }
  const invoices = await readAll(holdfast, `${name}-invoices`);
  const wanted = Array.from({ length: ORDERS }, (_, order) => `invoice for order ${order}`);
  assert.deepEqual(invoices.sort(), wanted.sort());
  for (const topic of [`${name}-orders`, `${name}-invoices`]) {
    await holdfast.admin.deleteTopic(topic);
  }
  console.log(`${ORDERS} orders, ${invoices.length} invoices, none missing, none twice: ok`);
}

async function readAll(holdfast: Holdfast, topic: string): Promise<string[]> {
  const bodies: string[] = [];
  for (const { queue, endOffset } of await holdfast.admin.listOffsets({ topic })) {
    for (let offset = 0; offset < endOffset; ) {
      const found = await holdfast.fetch({ topic, queue, offset });
      bodies.push(...found.messages.map(({ body }) => body.toString()));
      offset = found.nextOffset;
    }
  }
  return bodies;
}

async function work(name: string, how: Death): Promise<void> {
  await using holdfast = connect({ servers });
  const group = `${name}-billing`;
  const billing = holdfast.transactions(group);
  // What a former life left undecided: it was stored whole, or nobody would be asked about it.
  await using checks = billing.checks(() => 'commit');
  void checks;
  const orders = `${name}-orders`;
  let batches = 0;

  const invoice = async (queue: number, from: number | undefined): Promise<number> => {
    const query = { topic: orders, queue, offset: from ?? 0, maxMessages: AT_A_TIME };
    const { messages, nextOffset } = await holdfast.fetch(query);
    const made: OutgoingMessage[] = messages.map(({ body }) => ({ body: `invoice for ${body}` }));
    const transaction = await billing.prepareMany({
      parts: [{ topic: `${name}-invoices`, queue, messages: made }],
      offsets: { group, topic: orders, offsets: [{ queue, from, offset: nextOffset }] },
    });
    batches += 1;
    const isDeadly = batches === DEADLY_BATCH;
    if (isDeadly && how === 'prepared') process.kill(process.pid, 'SIGKILL');
    const committed = transaction.commit();
    // The commit has left or not; its answer never comes.
    if (isDeadly && how === 'committing') setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    await committed;
    return nextOffset;
  };

  for (const queue of QUEUES) {
    const [end] = await holdfast.admin.listOffsets({ topic: orders, queues: [queue] });
    let from = await standing(holdfast, group, orders, queue);
    while ((from ?? 0) < end!.endOffset) {
      try {
        from = await invoice(queue, from);
      } catch (error) {
        if (!isPassing(error)) throw error;
        // A former life's transaction holds the group's place, or was committed meanwhile.
        await sleep(200);
        from = await standing(holdfast, group, orders, queue);
      }
    }
  }
}

/** undefined = the group never committed anything there. */
async function standing(
  holdfast: Holdfast,
  group: string,
  topic: string,
  queue: number,
): Promise<number | undefined> {
  try {
    const [place] = await holdfast.admin.groupOffsets({ group, topic, queues: [queue] });
    return place!.offset;
  } catch (error) {
    if (error instanceof HoldfastError && error.reason === 'GROUP_NOT_FOUND') return undefined;
    throw error;
  }
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof HoldfastError)) return false;
  return error.reason === 'TRANSACTION_NOT_PREPARED' || error.retryable || error.outcomeUnknown;
}

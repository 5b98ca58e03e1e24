/** After the run: everything again, from offset 0, through every node. */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from './client.ts';
import { type Reading, readCommitted } from './committed.ts';
import { drain } from './drain.ts';
import { WORK_GROUPS } from './leases.ts';
import type { Load, Topic } from './load.ts';
import { NodeStub } from './node-stub.ts';
import { recordOpen } from './open-transactions.ts';
import { poll } from './read.ts';
import { WORK_QUEUES } from './work-topic.ts';
import { readingsOf } from './workload.ts';

const CONNECT_WAIT_MS = 1000;
/** A damaged entry comes from another node within a fraction of this. */
const REPAIR_WAIT_MS = 250;
/** Of failed fetches in a row; the cluster is whole by now. */
const FAILURES_MAX = 20;

/** `afterChecks`: by now every transaction has to be decided or parked. */
export async function readEverything(load: Load, afterChecks: boolean): Promise<void> {
  const nodes = load.addresses.map((_, i) => i + 1);
  await Promise.all(nodes.map((node) => readThrough(load, node)));
  const client = new Client(load.addresses, 0, load.giveUp);
  for (const _ of nodes) {
    for (const reading of readingsOf(load)) await readGroup(load, client, reading);
    client.useNext();
  }
  await recordOpen(load, client, afterChecks);
  for (const of of WORK_GROUPS) await drain({ load, client, of, process: `final-${of.group}` });
  client.close();
}

async function readThrough(load: Load, node: number): Promise<void> {
  const stub = new NodeStub(node, load.addresses[node - 1]!);
  const own = Array.from({ length: load.queues }, (_, queue) => ({ queue }));
  const work = Array.from({ length: WORK_QUEUES }, (_, queue) => ({ topic: load.work, queue }));
  for (const place of [...own, ...work]) {
    if (!(await readQueue(load, stub, place))) break;
  }
  stub.close();
}

interface Place {
  readonly topic?: Topic;
  readonly queue: number;
}

async function readQueue(load: Load, stub: NodeStub, place: Place): Promise<boolean> {
  const { topic, queue } = place;
  const process = `final-${stub.node}`;
  let from = 0;
  let failures = 0;
  for (;;) {
    const answer = await poll(load, stub, {
      process,
      ...place,
      from,
      linearizable: true,
      last: true,
    });
    if (answer.outcome !== 'ok') {
      if (++failures < FAILURES_MAX && load.isWorthRepeating(answer)) {
        if (!answer.retryable) await delay(REPAIR_WAIT_MS);
        await stub.connected(CONNECT_WAIT_MS);
        continue;
      }
      load.trouble(process, `queue ${queue} is not readable at ${from}: ${answer.text}`);
      return false;
    }
    failures = 0;
    const { next_offset: next, end_offset: end } = answer.value;
    if (next >= end) {
      const where = topic === undefined ? { queue } : { topic: topic.id, queue };
      load.record({ type: 'final', node: stub.node, ...where, endOffset: end });
      return true;
    }
    if (next <= from) {
      load.trouble(process, `queue ${queue} stands still at ${from}, its end is ${end}`);
      return false;
    }
    from = next;
  }
}

async function readGroup(load: Load, client: Client, reading: Reading): Promise<void> {
  for (let failures = 0; failures < FAILURES_MAX; failures++) {
    const answer = await readCommitted(load, client, 'final', reading);
    // A group that never committed has nothing to fall.
    if (answer.outcome === 'ok' || !answer.retryable) return;
    await client.pauseAfter(answer);
  }
  load.trouble('final', `the committed offsets of ${reading.group} are not readable`);
}

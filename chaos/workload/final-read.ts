/** After the run: everything again, from offset 0, through every node. */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from './client.ts';
import { readCommitted } from './committed.ts';
import type { Load } from './load.ts';
import { NodeStub } from './node-stub.ts';
import { poll } from './read.ts';
import { groupsOf } from './workload.ts';

const CONNECT_WAIT_MS = 1000;
/** A damaged entry comes from another node within a fraction of this. */
const REPAIR_WAIT_MS = 250;
/** Of failed fetches in a row; the cluster is whole by now. */
const FAILURES_MAX = 20;

export async function readEverything(load: Load): Promise<void> {
  const nodes = load.addresses.map((_, i) => i + 1);
  await Promise.all(nodes.map((node) => readThrough(load, node)));
  const client = new Client(load.addresses, 0, load.giveUp);
  for (const _ of nodes) {
    for (const group of groupsOf(load)) await readGroup(load, client, group);
    client.useNext();
  }
  client.close();
}

async function readThrough(load: Load, node: number): Promise<void> {
  const stub = new NodeStub(node, load.addresses[node - 1]!);
  for (let queue = 0; queue < load.queues; queue++) {
    if (!(await readQueue(load, stub, queue))) break;
  }
  stub.close();
}

async function readQueue(load: Load, stub: NodeStub, queue: number): Promise<boolean> {
  const process = `final-${stub.node}`;
  let from = 0;
  let failures = 0;
  for (;;) {
    const answer = await poll(load, stub, { process, queue, from, linearizable: true, last: true });
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
      load.record({ type: 'final', node: stub.node, queue, endOffset: end });
      return true;
    }
    if (next <= from) {
      load.trouble(process, `queue ${queue} stands still at ${from}, its end is ${end}`);
      return false;
    }
    from = next;
  }
}

async function readGroup(load: Load, client: Client, group: string): Promise<void> {
  for (let failures = 0; failures < FAILURES_MAX; failures++) {
    const answer = await readCommitted(load, client, 'final', group);
    // A group that never committed has nothing to fall.
    if (answer.outcome === 'ok' || !answer.retryable) return;
    await client.pauseAfter(answer);
  }
  load.trouble('final', `the committed offsets of ${group} are not readable`);
}

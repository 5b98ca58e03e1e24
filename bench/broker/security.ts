/**
 * The same loads on a cluster that is open and on one with TLS, tokens, a rule and a quota, in
 * turn: what it costs to be closed.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ConnectOptions, connect } from '../../src/client/index.ts';
import { HOLDFAST, UpProcess } from '../../test/processes/up-process.ts';
import { median } from '../percentiles.ts';
import { stream, unary } from '../produce-workloads.ts';
import { fetchRequest, produceRequest, RawClient } from '../raw-calls.ts';
import { nextOffsetOf } from '../read-workloads.ts';
import { createTopic, startHoldfast, type Target } from '../targets.ts';
import { closedLoop, type Workload } from '../workload.ts';
import { type Part, type Row, rounded } from './row.ts';

const MIB = 1024 * 1024;
const DURABILITY = 'MAJORITY_FSYNC';
const RATIO_MIN = 0.75;
/** Short turns: what disturbs the machine for longer than one disturbs both. */
const TURNS_PER_ROUND = 2;
const PRINCIPAL = 'bench';
/** It is counted against and never reached. */
const PLENTY = 1e12;
/** What is read again and again: requests of 64 messages of 1 KB. */
const FILL_REQUESTS = 256;
const FILL_MESSAGES = 64;
const BACKLOG = FILL_REQUESTS * FILL_MESSAGES;

/** Messages a second. */
const LOADS = {
  unary: (target: Target, seconds: number) => rateOf(unary('', 16, 1, 200), target, seconds),
  stream: (target: Target, seconds: number) => rateOf(stream(512), target, seconds),
  batches: (target: Target, seconds: number) => rateOf(unary('', 16, 64, 1024), target, seconds),
  fetch: readBacklog,
};
type Load = keyof typeof LOADS;
const NAMES = Object.keys(LOADS) as Load[];

interface Turn {
  readonly open: number;
  readonly closed: number;
}

/** Two clusters beside each other, of which only one is asked for anything at a time. */
export const security: Part = async ({ directory, seconds, rounds, tell }) => {
  const open = await startHoldfast(join(directory, 'open'));
  try {
    const closed = await startClosed(join(directory, 'closed'));
    try {
      for (const target of [open, closed]) await fill(target);
      const found = new Map<Load, Turn[]>();
      for (const load of NAMES) {
        found.set(load, await turns(LOADS[load], { open, closed }, rounds, seconds / 4));
        tell(load);
      }
      return rowOf(found);
    } finally {
      await closed.stop();
    }
  } finally {
    await open.stop();
  }
};

/** Of a principal that may not do everything: for an admin less is looked up. */
async function startClosed(directory: string): Promise<Target> {
  const data = join(directory, 'holdfast');
  const up = await UpProcess.start({ data, closed: true });
  try {
    const ca = readFileSync(join(data, 'tls', 'ca.crt'), 'utf8');
    const token = readFileSync(join(data, 'auth', 'admin.token'), 'utf8').trim();
    const asAdmin = { servers: up.servers, tls: { ca }, token };
    const topic = 'bench';
    const server = await createTopic(asAdmin, topic);
    const own = await tokenOf(asAdmin, topic, join(data, 'auth', 'tokens.key'));
    const entrance = { ca, token: own };
    return { kind: 'holdfast', server, topic, entrance, stop: () => up.stop() };
  } catch (error) {
    await up.stop();
    throw error;
  }
}

/** With a rule and a quota, as a company's application would have them. */
async function tokenOf(asAdmin: ConnectOptions, topic: string, key: string): Promise<string> {
  const client = connect(asAdmin);
  try {
    const rule = { kind: 'topic', name: topic, prefix: false } as const;
    await client.access.grant({ principal: PRINCIPAL, ...rule, verbs: ['produce', 'fetch'] });
    const rates = { producedBytesPerSecond: PLENTY, fetchedBytesPerSecond: PLENTY };
    await client.quotas.set({ principal: PRINCIPAL, ...rates, requestsPerSecond: PLENTY });
    const { clusterId } = await client.admin.describeCluster();
    const whose = ['--cluster', clusterId, '--principal', PRINCIPAL];
    const words = [HOLDFAST, 'token', 'issue', '--key', key, ...whose];
    return (await promisify(execFile)(process.execPath, words)).stdout.trim();
  } finally {
    await client.close();
  }
}

async function fill(target: Target): Promise<void> {
  const client = new RawClient(target.server, target.entrance);
  const request = produceRequest(target.topic, DURABILITY, FILL_MESSAGES, 1024);
  for (let i = 0; i < FILL_REQUESTS; i++) await client.call('Produce', request);
  client.close();
}

async function turns(
  load: (target: Target, seconds: number) => Promise<number>,
  { open, closed }: { readonly open: Target; readonly closed: Target },
  rounds: number,
  seconds: number,
): Promise<Turn[]> {
  await load(open, seconds);
  await load(closed, seconds);
  const all: Turn[] = [];
  for (let at = 0; at < rounds * TURNS_PER_ROUND; at++) {
    // Whoever comes second finds the disk as the first has left it: so each is first in turn.
    if (at % 2 === 0) {
      const first = await load(open, seconds);
      all.push({ open: first, closed: await load(closed, seconds) });
    } else {
      const first = await load(closed, seconds);
      all.push({ open: await load(open, seconds), closed: first });
    }
  }
  return all;
}

async function rateOf(workload: Workload, target: Target, seconds: number): Promise<number> {
  const run = await workload.run(target, DURABILITY, seconds);
  return run.messages / run.seconds;
}

async function readBacklog(target: Target, seconds: number): Promise<number> {
  const client = new RawClient(target.server, target.entrance);
  let offset = 0;
  try {
    const run = await closedLoop(1, seconds, async () => {
      const answer = await client.call('Fetch', fetchRequest(target.topic, offset, MIB, 0));
      const next = nextOffsetOf(answer);
      const messages = next - offset;
      offset = next >= BACKLOG ? 0 : next;
      return { messages, bytes: answer.length };
    });
    return run.messages / run.seconds;
  } finally {
    client.close();
  }
}

function rowOf(found: ReadonlyMap<Load, readonly Turn[]>): Row {
  const figures: Record<string, number> = {};
  let least = Number.POSITIVE_INFINITY;
  for (const [load, all] of found) {
    const ratio = median(all.map(({ open, closed }) => closed / open));
    figures[`${load}_open_per_s`] = rounded(median(all.map(({ open }) => open)));
    figures[`${load}_closed_per_s`] = rounded(median(all.map(({ closed }) => closed)));
    figures[`${load}_ratio`] = Math.round(ratio * 1000) / 1000;
    least = Math.min(least, ratio);
  }
  return {
    workload: 'TLS, tokens, rules and quotas against none of them',
    durability: DURABILITY,
    figures,
    goal: `each ratio at least ${RATIO_MIN}`,
    met: least >= RATIO_MIN,
  };
}

/** The same load on 1,000 topics and on 8 queues, in turn; and what 1,000 topics cost at rest. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../percentiles.ts';
import { produceRequest, RawClient } from '../raw-calls.ts';
import { closedLoop } from '../workload.ts';
import { type Part, rounded, type Setting } from './row.ts';

const TOPICS = 1000;
const QUEUES = 8;
const AT_ONCE = 128;
const BODY_BYTES = 1024;
const CREATED_AT_ONCE = 16;
const RATIO_MIN = 0.9;
const IDLE_MAX_PERCENT = 5;
const REST_MS = 10_000;
const TICKS_PER_S = 100;
const MOVED = { messages: 1, bytes: BODY_BYTES };

export const topics: Part = async (setting) => {
  const { client, servers, seconds, rounds, tell } = setting;
  const few = Array.from({ length: QUEUES }, (_, i) => `bench-few-${i}`);
  const many = Array.from({ length: TOPICS }, (_, i) => `bench-many-${i}`);
  await createAll(setting, few);
  await createAll(setting, many);
  tell(`${TOPICS} topics made`);
  const clients = servers.map((server) => new RawClient(server));
  const requests = new Map([...few, ...many].map((name) => [name, requestTo(name)]));
  const round = async (names: readonly string[]): Promise<number> => {
    let next = 0;
    const run = await closedLoop(AT_ONCE, seconds, async () => {
      const turn = next++;
      const raw = clients[turn % clients.length]!;
      await raw.call('Produce', requests.get(names[turn % names.length]!)!);
      return MOVED;
    });
    return run.messages / run.seconds;
  };
  await round(few);
  await round(many);
  const pairs: { few: number; many: number }[] = [];
  for (let i = 0; i < rounds; i++) pairs.push({ few: await round(few), many: await round(many) });
  for (const raw of clients) raw.close();
  const { nodes } = await client.admin.describeCluster();
  await delay(REST_MS);
  tell('at rest');
  const idle = await idlePercent(nodes.map(({ pid }) => pid));
  const ratio = median(pairs.map((pair) => pair.many / pair.few));
  return {
    workload: `${TOPICS} topics against ${QUEUES} queues, ${BODY_BYTES} B, ${AT_ONCE} at once`,
    durability: 'MAJORITY_FSYNC',
    figures: {
      many_per_s: rounded(median(pairs.map((pair) => pair.many))),
      few_per_s: rounded(median(pairs.map((pair) => pair.few))),
      ratio: rounded(ratio),
      idle_percent_of_a_core: rounded(idle),
    },
    goal: `at least ${RATIO_MIN} of it; at rest at most ${IDLE_MAX_PERCENT} % of a core, all nodes`,
    met: ratio >= RATIO_MIN && idle <= IDLE_MAX_PERCENT,
  };
};

async function createAll({ client }: Setting, names: readonly string[]): Promise<void> {
  let next = 0;
  const loop = async (): Promise<void> => {
    for (let name = names[next++]; name !== undefined; name = names[next++]) {
      await client.admin.createTopic({ name, queueCount: 1 });
    }
  };
  await Promise.all(Array.from({ length: CREATED_AT_ONCE }, loop));
}

function requestTo(topic: string): Buffer {
  return produceRequest(topic, 'MAJORITY_FSYNC', 1, BODY_BYTES);
}

/** Processor time of all of them over a while; Linux only, elsewhere not a number. */
async function idlePercent(pids: readonly number[]): Promise<number> {
  const ticks = (): number => pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
  const [before, startMs] = [ticks(), performance.now()];
  await delay(REST_MS);
  const seconds = (performance.now() - startMs) / 1000;
  return (100 * (ticks() - before)) / TICKS_PER_S / seconds;
}

function ticksOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return Number.NaN;
  }
}

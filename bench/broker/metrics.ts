/** The same stream of produces with metrics on (and scraped) and with metrics off, in turn. */
import { join } from 'node:path';
import { median } from '../percentiles.ts';
import { stream } from '../produce-workloads.ts';
import { startHoldfast, type Target } from '../targets.ts';
import { type Part, rounded } from './row.ts';

const WINDOW = 512;
const SCRAPE_MS = 5000;
const HTTP_PORT_OFFSET = 200;
const RATIO_MIN = 0.98;
/** Short turns: what disturbs the machine for longer than one disturbs both. */
const TURNS_PER_ROUND = 6;

interface Turn {
  readonly on: number;
  readonly off: number;
}

/** Two clusters beside each other, of which only one is asked for anything at a time. */
export const metrics: Part = async ({ directory, seconds, rounds, tell }) => {
  const on = await startHoldfast(join(directory, 'on'));
  try {
    const off = await startHoldfast(join(directory, 'off'), ['metrics=false']);
    try {
      return rowOf(await turns(on, off, rounds * TURNS_PER_ROUND, seconds / 4, tell));
    } finally {
      await off.stop();
    }
  } finally {
    await on.stop();
  }
};

async function turns(
  on: Target,
  off: Target,
  count: number,
  seconds: number,
  tell: (text: string) => void,
): Promise<Turn[]> {
  const withMetrics = () => scrapedMeanwhile(on, () => rateOf(on, seconds));
  await withMetrics();
  await rateOf(off, seconds);
  tell('warm');
  const all: Turn[] = [];
  for (let at = 0; at < count; at++) {
    // Whoever comes second finds the disk as the first has left it: so each is first in turn.
    if (at % 2 === 0) {
      const first = await withMetrics();
      all.push({ on: first, off: await rateOf(off, seconds) });
    } else {
      const first = await rateOf(off, seconds);
      all.push({ on: await withMetrics(), off: first });
    }
  }
  return all;
}

async function rateOf(target: Target, seconds: number): Promise<number> {
  const run = await stream(WINDOW).run(target, 'MAJORITY_FSYNC', seconds);
  return run.messages / run.seconds;
}

/** The node that is measured is asked, as a Prometheus in a hurry would. */
async function scrapedMeanwhile<Value>(on: Target, run: () => Promise<Value>): Promise<Value> {
  const [host, port] = on.server.split(':');
  const url = `http://${host}:${Number(port) + HTTP_PORT_OFFSET}/metrics`;
  const scrape = async (): Promise<void> => {
    const text = await (await fetch(url)).text();
    if (!text.includes('holdfast_stored_messages_total')) throw new Error(`${url}: no metrics`);
  };
  const failures: unknown[] = [];
  const timer = setInterval(() => void scrape().catch((error) => failures.push(error)), SCRAPE_MS);
  try {
    await scrape();
    const value = await run();
    if (failures.length > 0) throw failures[0];
    return value;
  } finally {
    clearInterval(timer);
  }
}

function rowOf(all: readonly Turn[]) {
  const ratio = median(all.map(({ on, off }) => on / off));
  return {
    workload: `metrics on against off, stream of 200 B, ${WINDOW} on their way`,
    durability: 'MAJORITY_FSYNC' as const,
    figures: {
      on_per_s: rounded(median(all.map(({ on }) => on))),
      off_per_s: rounded(median(all.map(({ off }) => off))),
      ratio: Math.round(ratio * 1000) / 1000,
    },
    goal: `at least ${RATIO_MIN}`,
    met: ratio >= RATIO_MIN,
  };
}

/**
 * `npm run grow`: a cluster of three grows to five and shrinks to three again, under load, while
 * leaders are killed with SIGKILL; then every byte is read back and compared.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CleanUp, runCommand } from '../processes/command.ts';
import { flag, number, type ValuesOf } from '../processes/options.ts';
import { GrowingCluster, type GrowingStatus } from './growing-cluster.ts';
import { isClean } from './ledger.ts';
import { underLoad } from './under-load.ts';

const BORN = 3;
const GROWN = 5;
const RESTART_AFTER_MS = 200;
/** The bar of the project for a gap while nodes come, go and die. */
const GAP_MAX_MS = 3000;

const COMMAND = {
  name: 'grow',
  does: 'Grows a cluster from 3 to 5 nodes and back under load and kills; compares every byte.',
  options: {
    rounds: number(1, 'how often it grows and shrinks', { min: 1, max: 1000, whole: true }),
    every: number(4, 'seconds between two kills (0: nobody is killed)', { max: 3600 }),
    inflight: number(64, 'messages on the way per producer and queue', {
      ...{ min: 1, max: 1024, whole: true },
    }),
    json: flag('the summary as JSON'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

/** Kills the leader of one shard after the other, and starts it again. */
class LeaderKiller {
  kills = 0;
  readonly #cluster: GrowingCluster;
  readonly #everyMs: number;
  readonly #stopped: Promise<void>;
  #stop: () => void = () => undefined;
  #isStopped = false;

  constructor(cluster: GrowingCluster, everyMs: number) {
    this.#cluster = cluster;
    this.#everyMs = everyMs;
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#stop();
  }

  async run(): Promise<void> {
    if (this.#everyMs === 0) return;
    for (;;) {
      await Promise.race([pause(this.#everyMs), this.#stopped]);
      if (this.#isStopped) return;
      await this.#killOne();
    }
  }

  async #whole(): Promise<GrowingStatus | undefined> {
    while (!this.#isStopped) {
      const status = await this.#cluster.status().catch(() => undefined);
      if (status?.nodes.every(({ up }) => up) === true) return status;
    }
    return undefined;
  }

  /** Only in a cluster that is whole: two dead of three would be no failover but an outage. */
  async #killOne(): Promise<void> {
    const status = await this.#whole();
    if (status === undefined) return;
    const data = status.shards.filter(({ id }) => id > 0);
    const victim = data[this.kills % data.length]?.leader ?? 0;
    if (victim === 0 || !this.#cluster.runs(victim)) return;
    await this.#cluster.kill(victim);
    this.kills += 1;
    await pause(RESTART_AFTER_MS);
    await this.#cluster.launch(victim);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A command whose node was killed meanwhile is given again: it is idempotent. */
async function again(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 10) throw error;
      await pause(500);
    }
  }
}

async function growAndShrink(cluster: GrowingCluster, rounds: number, say: Say): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let node = BORN + 1; node <= GROWN; node++) {
      await again(() => cluster.add(node));
      say(`node ${node} added`);
    }
    for (let node = GROWN; node > BORN; node--) {
      await again(() => cluster.remove(node));
      say(`node ${node} removed`);
    }
  }
}

type Say = (text: string) => void;

async function grow(options: Options, cleanUp: CleanUp): Promise<number> {
  const root = cleanUp.directory(join(tmpdir(), 'holdfast-grow-'));
  const starting = GrowingCluster.start(join(root, 'd'), BORN, GROWN);
  const cluster = await cleanUp.started(starting);
  const killer = new LeaderKiller(cluster, options.every * 1000);
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const say: Say = (text) => console.error(`${seconds().toFixed(1)} s: ${text}`);
  const loaded = await underLoad(cluster.servers, options.inflight, async () => {
    const killing = killer.run();
    await growAndShrink(cluster, options.rounds, say);
    killer.stop();
    await killing;
  });
  const { verdict, gaps } = loaded;
  const attacked = options.every === 0 || killer.kills > 0;
  const clean = isClean(verdict) && verdict.unknown === 0 && gaps.longestMs <= GAP_MAX_MS;
  const summary = {
    verdict: !attacked || verdict.acked === 0 ? 'invalid' : clean ? 'pass' : 'fail',
    rounds: options.rounds,
    kills: killer.kills,
    ...verdict,
    seconds: seconds(),
    longest_gap_ms: Math.round(gaps.longestMs),
    longest_gap_at_s: Math.round(gaps.longestAtMs / 1000),
  } as const;
  if (options.json) console.log(JSON.stringify(summary, undefined, 2));
  else for (const [name, value] of Object.entries(summary)) console.log(`${name}: ${value}`);
  if (summary.verdict !== 'pass') cleanUp.keep(root);
  return { pass: 0, fail: 1, invalid: 3 }[summary.verdict];
}

await runCommand(COMMAND, grow);

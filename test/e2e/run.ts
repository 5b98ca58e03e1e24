/**
 * `npm run e2e`: the main job on real input. Lines of all text files below a directory through a
 * real cluster from three producers over six queues, while leaders (or everybody) are killed with
 * SIGKILL, then read back and compared.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Holdfast } from '../../src/client/index.ts';
import { packageRoot } from '../../src/package-root.ts';
import { type CleanUp, runCommand } from '../processes/command.ts';
import { choice, flag, number, text, UsageError, type ValuesOf } from '../processes/options.ts';
import { ClusterProcess } from './cluster-process.ts';
import { finalRead } from './final-read.ts';
import { GapMeter } from './gaps.ts';
import { HalfWatch } from './half-watch.ts';
import { type Attack, Killer } from './killer.ts';
import { cleanVerdict, isClean, QueueLedger, type Verdict } from './ledger.ts';
import { type Feed, ProducingLane, type Progress } from './producers.ts';
import { linesBelow } from './text-lines.ts';

const TOPIC = 'lines';
const QUEUES = 6;
const PRODUCERS = 3;
const GAP_WATCH_MS = 15_000;
/** Long enough that a send outlives any failover: its outcome is then never unknown. */
const SEND_TIMEOUT_MS = 120_000;
const MIB = 1024 * 1024;

const COMMAND = {
  name: 'e2e',
  does: 'Lines of real files through a cluster while its leaders are killed; compares every byte.',
  options: {
    bytes: number(40, 'MiB of lines, at most', { min: 0.001, max: 1_000_000 }),
    from: text('DIR', join(packageRoot(), 'node_modules'), 'whose text files are read'),
    attack: choice(['leader', 'all', 'none'], 'leader', 'who is killed'),
    kills: number(0, 'begin the input again until so many are made', {
      ...{ max: 10_000, whole: true },
    }),
    every: number(5, 'seconds between two kills', { max: 3600 }),
    nodes: number(3, 'nodes of the cluster', { min: 1, max: 7, whole: true }),
    json: flag('the summary as JSON'),
  },
};
type Options = ValuesOf<typeof COMMAND.options>;

interface Summary extends Verdict {
  verdict: 'pass' | 'fail' | 'invalid';
  attack: Attack;
  kills: number;
  seconds: number;
  mb_per_s: number;
  bytes: number;
  refused: number;
  read: number;
  half_prepared: number;
  half_committed: number;
  half_rolled_back: number;
  half_read: number;
  longest_gaps_ms: number[];
  median_gap_ms: number;
  worst_gap_ms: number;
}

/** Lines from the directory, begun again until enough kills were made. */
class Input implements Feed {
  readonly #begin: () => Generator<Buffer>;
  readonly #goesOn: () => boolean;
  #lines: Generator<Buffer>;

  constructor({ bytes, from }: Options, goesOn: () => boolean) {
    this.#begin = () => linesBelow(from, bytes * MIB);
    this.#goesOn = goesOn;
    this.#lines = this.#begin();
  }

  next(): Buffer | undefined {
    const { value, done } = this.#lines.next();
    if (done !== true) return value;
    if (!this.#goesOn()) return undefined;
    this.#lines = this.#begin();
    return this.#lines.next().value ?? undefined;
  }
}

async function shardsOfQueues(client: Holdfast): Promise<number[]> {
  const { queues } = await client.admin.describeTopic(TOPIC);
  return queues.map(({ shard }) => shard);
}

async function produceAll(
  cluster: ClusterProcess,
  feed: Feed,
  ledgers: readonly QueueLedger[],
  shared: { gaps: GapMeter; verdict: Verdict; progress: Progress },
): Promise<void> {
  const clients = Array.from({ length: PRODUCERS }, (_, i) => {
    const { servers } = cluster;
    const first = i % servers.length;
    return connect({ servers: [...servers.slice(first), ...servers.slice(0, first)] });
  });
  const lanes = clients.flatMap((client) => {
    const producer = client.producer({ topic: TOPIC, timeoutMs: SEND_TIMEOUT_MS });
    return ledgers.map((ledger, queue) => new ProducingLane(producer, queue, feed, ledger, shared));
  });
  await Promise.all(lanes.map((lane) => lane.run()));
  await Promise.all(clients.map((client) => client.close()));
}

function showProgress(progress: Progress, killer: Killer): () => void {
  if (process.stderr.isTTY !== true) return () => undefined;
  const timer = setInterval(() => {
    const mib = (progress.bytes / MIB).toFixed(0);
    process.stderr.write(`\racked ${progress.acked} lines, ${mib} MiB, ${killer.kills} kills   `);
  }, 500);
  return () => {
    clearInterval(timer);
    process.stderr.write('\n');
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

async function run(cluster: ClusterProcess, options: Options): Promise<Summary> {
  const client = connect({ servers: cluster.servers });
  await client.admin.createTopic({ name: TOPIC, queueCount: QUEUES });
  const shardOfQueue = await shardsOfQueues(client);
  await client.close();
  const { attack, every, kills: killsWanted } = options;
  const verdict = cleanVerdict();
  const ledgers = shardOfQueue.map(() => new QueueLedger());
  const gaps = new GapMeter(GAP_WATCH_MS);
  const progress: Progress = { acked: 0, bytes: 0, refused: 0 };
  const killsMax = killsWanted || Number.POSITIVE_INFINITY;
  const plan = { attack, everyMs: every * 1000, shardOfQueue, killsMax };
  const killer = new Killer(cluster, plan, gaps);
  const halves = new HalfWatch(cluster.servers, TOPIC, QUEUES, ledgers, verdict);
  const feed = new Input(options, () => killer.kills < killsWanted);
  const background = [killer.run(), halves.produce(), halves.follow()];
  const hideProgress = showProgress(progress, killer);
  const start = performance.now();
  await produceAll(cluster, feed, ledgers, { gaps, verdict, progress });
  const seconds = (performance.now() - start) / 1000;
  killer.stop();
  halves.stop();
  await Promise.all(background);
  hideProgress();
  const server = cluster.servers[0] as string;
  const read = await finalRead(server, TOPIC, ledgers, verdict, (body) => halves.read(body));
  const longest = gaps.gapsMs().map(Math.round);
  const attacked = attack === 'none' || killer.kills > 0;
  return {
    verdict: !attacked || verdict.acked === 0 ? 'invalid' : isClean(verdict) ? 'pass' : 'fail',
    attack,
    kills: killer.kills,
    ...verdict,
    seconds,
    mb_per_s: progress.bytes / seconds / 1e6,
    bytes: progress.bytes,
    refused: progress.refused,
    read: read.messages,
    half_prepared: halves.prepared,
    half_committed: halves.committed,
    half_rolled_back: halves.rolledBack,
    half_read: halves.seen,
    longest_gaps_ms: longest,
    median_gap_ms: median(longest),
    worst_gap_ms: Math.max(0, ...longest),
  };
}

function print(summary: Summary): void {
  const rows: [string, string | number][] = [
    ['acknowledged', summary.acked],
    ['lost', summary.lost],
    ['duplicated', summary.duplicated],
    ['reordered', summary.reordered],
    ['holes in the offsets', summary.holes],
    ['half messages seen too early', summary.halfSeen],
    ['half messages committed', summary.half_committed],
    ['half messages rolled back', summary.half_rolled_back],
    ['outcome unknown', summary.unknown],
    ['refused as too large', summary.refused],
    ['read back', summary.read],
    [`kills (${summary.attack})`, summary.kills],
    ['longest gap, median ms', summary.median_gap_ms],
    ['longest gap, worst ms', summary.worst_gap_ms],
    ['seconds', summary.seconds.toFixed(1)],
    ['MB/s at MAJORITY_FSYNC', summary.mb_per_s.toFixed(1)],
  ];
  for (const [name, value] of rows) console.log(`${name.padEnd(30)}${value}`);
  console.log(`verdict: ${summary.verdict}`);
  if (summary.verdict !== 'invalid') return;
  console.log(
    'It proves nothing: no kill landed before the lines ended (--kills N, or more --bytes)',
  );
}

async function e2e(options: Options, cleanUp: CleanUp): Promise<number> {
  if (!existsSync(options.from)) throw new UsageError(`--from ${options.from}: does not exist`);
  const data = cleanUp.directory(join(tmpdir(), 'holdfast-e2e-'));
  try {
    const starting = ClusterProcess.start(join(data, 'd'), options.nodes);
    const summary = await run(await cleanUp.started(starting), options);
    if (options.json) console.log(JSON.stringify(summary, undefined, 2));
    else print(summary);
    if (summary.verdict !== 'pass') cleanUp.keep(data);
    return { pass: 0, fail: 1, invalid: 3 }[summary.verdict];
  } catch (error) {
    cleanUp.keep(data);
    throw error;
  }
}

await runCommand(COMMAND, e2e);

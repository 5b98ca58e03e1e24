/**
 * Waits, with a line for each step, until a change of the cluster is done, or cannot go on without
 * an operator. It only looks: whoever stops the waiting (Ctrl-C, --timeout) does not stop the
 * change, and the same command waits on.
 */
import type { Command } from 'commander';
import type { ClusterDescription, Holdfast } from '../client/index.ts';
import { HoldfastError } from '../client/index.ts';
import { Failure } from '../failure.ts';
import { durationOption } from './client-options.ts';

const LOOK_EVERY_MS = 500;
/** A node that is being restarted is back by then. */
export const STUCK_FOR_MS = 15_000;

type Shard = ClusterDescription['shards'][number];

export interface WaitOptions {
  readonly wait: boolean;
  readonly timeout?: number;
}

export interface Step {
  readonly text: string;
  /** Why it cannot go on by itself, and what to do. */
  readonly stuck?: string | undefined;
}

/** Says how far it is; undefined = done. */
export type Look = (cluster: ClusterDescription) => Step | undefined | Promise<Step | undefined>;

export function addWaitOptions(command: Command, until: string): Command {
  return command
    .option('--no-wait', `do not wait until ${until}`)
    .option('--timeout <duration>', 'wait at most so long, such as 10m', durationOption);
}

export interface WaitClock {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}

const SYSTEM: WaitClock = {
  nowMs: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Fails with what is missing when the time is over, or when only an operator can help. */
export async function waitFor(
  client: Pick<Holdfast, 'admin'>,
  { timeout = Number.POSITIVE_INFINITY }: Pick<WaitOptions, 'timeout'>,
  look: Look,
  clock: WaitClock = SYSTEM,
): Promise<void> {
  const endAtMs = clock.nowMs() + timeout;
  let said = '';
  let stuckSinceMs: number | undefined;
  for (;;) {
    const step = await ask(client, look);
    if (step === undefined) return;
    const { text, stuck } = step;
    if (text !== said) console.error(`  ${text}`);
    said = text;
    stuckSinceMs = stuck === undefined ? undefined : (stuckSinceMs ?? clock.nowMs());
    const isStuck = stuckSinceMs !== undefined && clock.nowMs() - stuckSinceMs >= STUCK_FOR_MS;
    if (isStuck || clock.nowMs() >= endAtMs) throw unfinished(step, isStuck);
    await clock.sleep(LOOK_EVERY_MS);
  }
}

function unfinished({ text, stuck }: Step, isStuck: boolean): Failure {
  const why = stuck === undefined ? '' : `; ${stuck}`;
  const when = isStuck ? 'it cannot go on by itself' : 'not done when the time was over';
  return new Failure(`${when}: ${text}${why}; the same command goes on from there`);
}

/** A node that went away in between is no reason to give up the waiting. */
async function ask(client: Pick<Holdfast, 'admin'>, look: Look): Promise<Step | undefined> {
  try {
    return await look(await client.admin.describeCluster());
  } catch (error) {
    if (!(error instanceof HoldfastError) || !error.retryable) throw error;
    return { text: `waiting for the cluster to answer: ${error.message}` };
  }
}

/** Every shard is where it shall be. */
export function unplaced({ shards }: ClusterDescription): readonly Shard[] {
  return shards.filter(({ placement }) => placement.version !== placement.placedVersion);
}

/** Such as `shards in place: 5 of 13 (moving: 0, 2, 7…)`. */
export function progress(cluster: ClusterDescription): Step {
  const moving = unplaced(cluster);
  const total = cluster.shards.length;
  const text = `shards in place: ${total - moving.length} of ${total}`;
  if (moving.length === 0) return { text };
  return { text: `${text} (moving: ${some(moving.map(({ id }) => id))})`, stuck: stuckOf(cluster) };
}

/** undefined: at least one shard that still moves does not wait for a node that is down. */
function stuckOf(cluster: ClusterDescription): string | undefined {
  const { nodes } = cluster;
  const down = new Set(nodes.filter(({ up }) => !up).map(({ id }) => id));
  const waits = unplaced(cluster).map((shard) => ({ shard, on: blockers(shard, down) }));
  if (waits.length === 0 || waits.some(({ on }) => on.length === 0)) return undefined;
  const missing = [...new Set(waits.flatMap(({ on }) => on))].sort((one, two) => one - two);
  const reasons = missing.map((node) => {
    const shards = waits.filter(({ on }) => on.includes(node)).map(({ shard }) => shard.id);
    return `node ${node} is down, and shards ${some(shards)} wait for it`;
  });
  return `${reasons.join('; ')}: ${advice(
    missing,
    waits.map(({ shard }) => shard),
    nodes,
  )}`;
}

/** Nodes that are down and without which the shard cannot come to where it shall be. */
function blockers({ leader, placement, replicas }: Shard, down: ReadonlySet<number>): number[] {
  // Nobody can lead: its voters that are down are too many.
  if (leader === 0) return replicas.map(({ node }) => node).filter((node) => down.has(node));
  return placement.voters.filter((node) => {
    const own = replicas.find((replica) => replica.node === node && !replica.leaving);
    return down.has(node) && (own === undefined || own.catchingUp);
  });
}

/** Taking a node out as well helps where enough others hold the shard to decide on it. */
function advice(
  missing: readonly number[],
  shards: readonly Shard[],
  nodes: ClusterDescription['nodes'],
): string {
  const one = missing.length === 1 ? `start node ${missing[0]}` : 'start them';
  const isMember = (node: number) =>
    nodes.some(({ id, state }) => id === node && state === 'member');
  const removable = missing.filter(isMember);
  if (shards.some(({ leader }) => leader === 0) || removable.length === 0) return one;
  const commands = removable.map((node) => `holdfast cluster remove ${node}`).join(', ');
  return `${one}, or take what is lost out too (${commands})`;
}

function some(ids: readonly number[]): string {
  const shown = ids.slice(0, 6).join(', ');
  return ids.length > 6 ? `${shown}, …` : shown;
}

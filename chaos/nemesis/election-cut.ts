import { nowMs } from '../history.ts';
import { CUT_MIN_MS, install } from './cutting.ts';
import { linksAcross, minorityFirst, without } from './links.ts';
import type { Nemesis, Stage, Strike } from './nemesis.ts';
import { losePower } from './power.ts';
import { queuesLedBy } from './targets.ts';

/**
 * What was written during an election is not on the disk yet. Two votes one after the other, each
 * behind another flush, still take less than an election timeout.
 */
const SYNC_DELAY_MS = 300;
const ELECTED_WITHIN_MS = 30_000;
const ASKED_EVERY_MS = 10;

/**
 * A leader is cut off, the others elect a new one, and at that moment those who voted for it lose
 * their power. Then the new leader is cut off instead: its voters and the old one have to be the
 * majority. Whoever forgot its vote may give it again, to another leader of the same term.
 */
export const electionCut: Nemesis = {
  name: 'election-cut',
  does: 'a leader is cut off; who elects another one loses power, and has to follow the old one',
  needs: ['processes', 'shim', 'proxies'],
  movesLeader: true,
  strike,
};

async function strike(stage: Stage, holdMs: number): Promise<Strike> {
  const { cluster, random, shardOfQueue, leaders } = stage;
  const shard = random.pick(shardOfQueue);
  const old = leaders.get(shard) ?? 0;
  const [away, rest] = minorityFirst([old, ...random.shuffled(without(cluster.nodes, [old]))]);
  const proxies = cluster.proxies();
  const slowDown = (delayMs: number) => {
    for (const node of rest) cluster.disk(node).page.slowSyncs(delayMs);
  };
  slowDown(SYNC_DELAY_MS);
  // Each of its own, for they are taken back one by one; nobody waits for the proof to strike.
  const cutting = rest.map((node) => install(stage, linksAcross(away, [node]), 'silence'));
  const elected = await firstElected(stage, shard, rest);
  const voters = elected === undefined ? [] : without(rest, [elected]);
  const loss = await losePower(stage, voters);
  slowDown(0);
  const cuts = await Promise.all(cutting);
  const release = await proxies.silence(linksAcross(without(rest, voters), voters));
  await Promise.all(rest.map((node, at) => voters.includes(node) && cuts[at]?.release()));
  for (const node of voters) cluster.process(node).start();
  if (elected !== undefined) await stage.hold(Math.max(holdMs, CUT_MIN_MS));
  await release();
  await Promise.all(rest.map((node, at) => voters.includes(node) || cuts[at]?.release()));
  const struck = { nodes: cluster.nodes, queues: queuesLedBy(stage, cluster.nodes) };
  if (elected === undefined) {
    return { state: 'indeterminate', text: `nobody but ${old} was elected`, ...struck };
  }
  const open = cuts.flatMap((cut) => cut.open);
  const who = `${away.join('+')} away, ${elected} elected by ${voters.join('+')}`;
  const state = open.length === 0 ? loss.state : 'indeterminate';
  return { state, text: [who, loss.text, ...open].join('; '), ...struck };
}

/** The first of them that says of itself that it leads the shard; undefined: the time is over. */
async function firstElected(
  { cluster, load, hold }: Stage,
  shard: number,
  nodes: readonly number[],
): Promise<number | undefined> {
  const giveUpAtMs = nowMs() + ELECTED_WITHIN_MS;
  let first: number | undefined;
  const ask = async (node: number): Promise<void> => {
    while (first === undefined && load.running && nowMs() < giveUpAtMs) {
      const view = await cluster.view(node);
      const leads = view?.shards.some(({ id, leader }) => id === shard && leader === node);
      if (leads === true) first ??= node;
      else await hold(ASKED_EVERY_MS);
    }
  };
  await Promise.race(nodes.map(ask));
  return first;
}

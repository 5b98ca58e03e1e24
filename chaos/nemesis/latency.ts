import { CLIENTS, type Link, type Proxies } from '../cluster/proxies.ts';
import { peerLinks } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { provable, queuesLedBy } from './targets.ts';

const LATENCY_MS = 150;
const JITTER_MS = 50;
const DUE_MS = LATENCY_MS - JITTER_MS;
const PROBES_MAX = 10;
const PROBE_TIMEOUT_MS = 3000;

/** Of some answers: what else the machine does makes none faster. Stops at one without delay. */
async function fastest(proxies: Proxies, link: Link): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < PROBES_MAX && least >= DUE_MS; i++) {
    const seen = await proxies.probe(link, PROBE_TIMEOUT_MS);
    if (seen?.end === 'closed') least = Math.min(least, seen.ms);
  }
  return least;
}

/** One to every node: a node that is down, by another fault, answers through no proxy late. */
function towardsEach(links: readonly Link[]): Link[] {
  return links.filter((link, at) => links.findIndex(({ to }) => to === link.to) === at);
}

export const latency: Nemesis = {
  name: 'latency',
  does: `everything is ${LATENCY_MS} ms late, more or less ${JITTER_MS}, on all links both ways`,
  needs: ['proxies'],
  movesLeader: false,
  async strike(stage, holdMs) {
    const { nodes } = stage.cluster;
    const proxies = stage.cluster.proxies();
    await stage.begun;
    const links = towardsEach(provable(stage, stage.random.shuffled(peerLinks(nodes))));
    const times = () => Promise.all(links.map((link) => fastest(proxies, link)));
    const before = await times();
    const release = await proxies.afflict(
      [...peerLinks(nodes), ...nodes.map((node) => ({ from: CLIENTS, to: node }))],
      { type: 'latency', attributes: { latency: LATENCY_MS, jitter: JITTER_MS } },
    );
    const [during] = await Promise.all([times(), stage.hold(holdMs)]);
    await release();
    const isProved = links.some((_, at) => {
      return before[at]! < DUE_MS && during[at]! >= DUE_MS && Number.isFinite(during[at]);
    });
    const text = links
      .map(({ from, to }, at) => {
        return `${from}-${to} from ${Math.round(before[at]!)} to ${Math.round(during[at]!)} ms`;
      })
      .join(', ');
    const state = isProved ? 'installed' : 'indeterminate';
    return { state, text, nodes, queues: queuesLedBy(stage, nodes) };
  },
};

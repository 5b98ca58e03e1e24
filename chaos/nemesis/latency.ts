import { CLIENTS, type Link, type Proxies } from '../cluster/proxies.ts';
import { peerLinks } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

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

export const latency: Nemesis = {
  name: 'latency',
  does: `everything is ${LATENCY_MS} ms late, more or less ${JITTER_MS}, on all links both ways`,
  needs: ['proxies'],
  movesLeader: false,
  async strike(stage, holdMs) {
    const { nodes } = stage.cluster;
    const proxies = stage.cluster.proxies();
    const link = stage.random.pick(peerLinks(nodes));
    const before = await fastest(proxies, link);
    const release = await proxies.afflict(
      [...peerLinks(nodes), ...nodes.map((node) => ({ from: CLIENTS, to: node }))],
      { type: 'latency', attributes: { latency: LATENCY_MS, jitter: JITTER_MS } },
    );
    const [during] = await Promise.all([fastest(proxies, link), stage.hold(holdMs)]);
    await release();
    const isProved = before < DUE_MS && during >= DUE_MS && Number.isFinite(during);
    const text = `${link.from}-${link.to} from ${Math.round(before)} to ${Math.round(during)} ms`;
    const state = isProved ? 'installed' : 'indeterminate';
    return { state, text, nodes, queues: queuesLedBy(stage, nodes) };
  },
};

import { cutFor } from './cutting.ts';
import { linksBetween, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

/** Its heartbeats keep the others from electing: it has to step down by itself. */
export const oneWayIn: Nemesis = {
  name: 'one-way-in',
  does: 'what its peers say to a leader is lost; they hear it',
  needs: ['proxies'],
  movesLeader: true,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = linksBetween(without(stage.cluster.nodes, [node]), [node]);
    return cutFor(stage, { links, nodes: [node], text: `node ${node} hears nobody` }, holdMs);
  },
};

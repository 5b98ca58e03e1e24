import { cutFor } from './cutting.ts';
import { linksAcross, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

export const refuseLeader: Nemesis = {
  name: 'refuse-leader',
  does: 'connections between a leader and its peers end, and new ones are refused',
  needs: ['proxies'],
  movesLeader: true,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = linksAcross([node], without(stage.cluster.nodes, [node]));
    const text = `node ${node} refused`;
    return cutFor(stage, { links, nodes: [node], cut: 'refuse', text }, holdMs);
  },
};

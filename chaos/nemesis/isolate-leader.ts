import { cutFor } from './cutting.ts';
import { linksAcross, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

export const isolateLeader: Nemesis = {
  name: 'isolate-leader',
  does: 'a leader and its peers hear nothing of each other; clients still reach it',
  needs: ['proxies'],
  movesLeader: true,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = linksAcross([node], without(stage.cluster.nodes, [node]));
    return cutFor(stage, { links, nodes: [node], text: `node ${node} alone` }, holdMs);
  },
};

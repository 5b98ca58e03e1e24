import { CLIENTS } from '../cluster/proxies.ts';
import { cutFor } from './cutting.ts';
import { linksOf } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

/** Connections stay open, so everybody has to notice by silence alone. */
export const blackhole: Nemesis = {
  name: 'blackhole',
  does: 'a leader hears nothing, of peers or of clients, and nobody hears it',
  needs: ['proxies'],
  movesLeader: true,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = [...linksOf(node, stage.cluster.nodes), { from: node, to: CLIENTS }];
    return cutFor(stage, { links, nodes: [node], text: `node ${node} in a black hole` }, holdMs);
  },
};

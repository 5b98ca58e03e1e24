import { cutFor } from './cutting.ts';
import { linksBetween, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

export const oneWayOut: Nemesis = {
  name: 'one-way-out',
  does: 'what a leader says to its peers is lost; it hears them',
  needs: ['proxies'],
  movesLeader: true,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = linksBetween([node], without(stage.cluster.nodes, [node]));
    return cutFor(stage, { links, nodes: [node], text: `node ${node} is not heard` }, holdMs);
  },
};

import { cutFor } from './cutting.ts';
import { ringCuts } from './links.ts';
import type { Nemesis } from './nemesis.ts';

export const majorityRing: Nemesis = {
  name: 'majority-ring',
  does: 'every node hears a majority, and no two hear the same one',
  needs: ['proxies'],
  movesLeader: false,
  nodesMin: 5,
  strike(stage, holdMs) {
    const order = stage.random.shuffled(stage.cluster.nodes);
    const text = `ring ${order.join(' ')}`;
    return cutFor(stage, { links: ringCuts(order), nodes: order, text }, holdMs);
  },
};

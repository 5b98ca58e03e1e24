import { cutFor } from './cutting.ts';
import { bridgeCuts } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { inAnyOrder } from './targets.ts';

export const bridge: Nemesis = {
  name: 'bridge',
  does: 'two halves hear nothing of each other, and one node hears everybody',
  needs: ['proxies'],
  movesLeader: false,
  strike(stage, holdMs) {
    const order = inAnyOrder(stage);
    // The one between them may be hit by another fault: none of the cut links is its own.
    stage.claim(order.slice(0, -1));
    const text = `node ${order.at(-1)} between ${order.slice(0, -1).join(', ')}`;
    return cutFor(stage, { links: bridgeCuts(order), nodes: order.slice(0, -1), text }, holdMs);
  },
};

import { linksOf } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { resetFor } from './resetting.ts';
import { someLeader } from './targets.ts';

export const resets: Nemesis = {
  name: 'resets',
  does: 'every connection of a leader is reset, again and again',
  needs: ['proxies'],
  movesLeader: false,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    return resetFor(stage, node, linksOf(node, stage.cluster.nodes), holdMs);
  },
};

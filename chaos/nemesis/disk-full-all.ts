import { fillFor } from './filling.ts';
import type { Nemesis } from './nemesis.ts';

export const diskFullAll: Nemesis = {
  name: 'disk-full-all',
  does: 'no node can make a file longer, for a while; then all go on',
  needs: ['processes', 'shim'],
  movesLeader: false,
  strike: (stage, holdMs) => fillFor(stage, stage.cluster.nodes, holdMs),
};

import { fillFor } from './filling.ts';
import type { Nemesis } from './nemesis.ts';
import { someNode } from './targets.ts';

export const diskFull: Nemesis = {
  name: 'disk-full',
  does: 'whatever makes a file of one node longer fails with ENOSPC, for a while',
  needs: ['processes', 'shim'],
  movesLeader: false,
  strike: (stage, holdMs) => fillFor(stage, [someNode(stage)], holdMs),
};

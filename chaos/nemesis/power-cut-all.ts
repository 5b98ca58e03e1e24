import type { Nemesis } from './nemesis.ts';
import { cutPowerFor } from './power.ts';

export const powerCutAll: Nemesis = {
  name: 'power-cut-all',
  does: 'all machines lose their power at the same moment',
  needs: ['processes', 'shim'],
  movesLeader: true,
  strike: (stage, holdMs) => cutPowerFor(stage, stage.cluster.nodes, holdMs),
};

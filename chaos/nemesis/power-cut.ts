import type { Nemesis } from './nemesis.ts';
import { cutPowerFor } from './power.ts';
import { someLeader } from './targets.ts';

export const powerCut: Nemesis = {
  name: 'power-cut',
  does: 'the machine of a leader loses its power: what was not synced is lost, or torn',
  needs: ['processes', 'shim'],
  movesLeader: true,
  strike: (stage, holdMs) => cutPowerFor(stage, [someLeader(stage)], holdMs),
};

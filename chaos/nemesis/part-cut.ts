import { forkFor } from './forking.ts';
import type { Nemesis } from './nemesis.ts';
import { cutPowerOf } from './power.ts';

/** What was acknowledged while A was away is on the disk of the one that comes back, or nowhere. */
export const partCut: Nemesis = {
  name: 'part-cut',
  does: 'as part-kill, but the other node loses its power',
  needs: ['processes', 'proxies', 'shim'],
  movesLeader: true,
  strike: (stage, holdMs) => forkFor(stage, (node) => cutPowerOf(stage, [node]), holdMs),
};

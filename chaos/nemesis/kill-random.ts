import { killFor } from './killing.ts';
import type { Nemesis } from './nemesis.ts';
import { someNodes } from './targets.ts';

export const killRandom: Nemesis = {
  name: 'kill-random',
  does: 'kill -9 of any nodes at the same moment, a majority of them or not, never all',
  needs: ['processes'],
  movesLeader: false,
  strike: (stage, holdMs) => killFor(stage, someNodes(stage), holdMs),
};

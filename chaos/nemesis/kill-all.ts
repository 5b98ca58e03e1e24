import { killFor } from './killing.ts';
import type { Nemesis } from './nemesis.ts';

export const killAll: Nemesis = {
  name: 'kill-all',
  does: 'kill -9 of every node at the same moment',
  needs: ['processes'],
  movesLeader: true,
  strike: (stage, holdMs) => killFor(stage, stage.cluster.nodes, holdMs),
};

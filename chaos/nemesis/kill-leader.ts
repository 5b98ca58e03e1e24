import { killFor } from './killing.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

export const killLeader: Nemesis = {
  name: 'kill-leader',
  does: 'kill -9 of the node that leads the shard of some queue',
  needs: ['processes'],
  movesLeader: true,
  strike: (stage, holdMs) => killFor(stage, [someLeader(stage)], holdMs),
};

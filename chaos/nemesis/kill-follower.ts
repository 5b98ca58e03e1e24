import { killFor } from './killing.ts';
import type { Nemesis } from './nemesis.ts';
import { someFollower } from './targets.ts';

export const killFollower: Nemesis = {
  name: 'kill-follower',
  does: 'kill -9 of a node that follows in the shard of some queue',
  needs: ['processes'],
  movesLeader: false,
  strike: (stage, holdMs) => killFor(stage, [someFollower(stage)], holdMs),
};

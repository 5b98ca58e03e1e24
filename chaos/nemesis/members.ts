import type { Nemesis } from './nemesis.ts';
import { replace } from './replacing.ts';
import { someLeader } from './targets.ts';

export const members: Nemesis = {
  name: 'members',
  does: 'a leader is taken out of the cluster while it runs, and added again, empty',
  needs: ['processes'],
  movesLeader: true,
  strike: (stage) => replace(stage, someLeader(stage), 0),
};

import { ELECTION_TIMEOUT_MS } from '../cluster/local-cluster.ts';
import type { Nemesis } from './nemesis.ts';
import { pauseFor } from './pausing.ts';
import { someLeader } from './targets.ts';

export const pauseShort: Nemesis = {
  name: 'pause-short',
  does: 'SIGSTOP of a leader for half an election timeout, again and again: it may stay leader',
  needs: ['processes'],
  movesLeader: false,
  strike: (stage, holdMs) => pauseFor(stage, someLeader(stage), ELECTION_TIMEOUT_MS / 2, holdMs),
};

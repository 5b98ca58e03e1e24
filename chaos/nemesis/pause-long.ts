import { ELECTION_TIMEOUT_MS } from '../cluster/local-cluster.ts';
import type { Nemesis } from './nemesis.ts';
import { pauseFor } from './pausing.ts';
import { someLeader } from './targets.ts';

/** Long enough for an election without it, and for it to wake up as a leader of the past. */
const ELECTION_TIMEOUTS_MIN = 3;

export const pauseLong: Nemesis = {
  name: 'pause-long',
  does: 'SIGSTOP of a leader for several election timeouts: it wakes up deposed',
  needs: ['processes'],
  movesLeader: true,
  strike(stage, holdMs) {
    const pauseMs = Math.max(holdMs, ELECTION_TIMEOUTS_MIN * ELECTION_TIMEOUT_MS);
    return pauseFor(stage, someLeader(stage), pauseMs, pauseMs);
  },
};

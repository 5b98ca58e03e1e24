import { CLIENTS } from '../cluster/proxies.ts';
import type { Nemesis } from './nemesis.ts';
import { resetFor } from './resetting.ts';
import { someLeader } from './targets.ts';

export const resetClients: Nemesis = {
  name: 'reset-clients',
  does: 'every connection of clients to a leader is reset, again and again',
  needs: ['client-links'],
  movesLeader: false,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    return resetFor(stage, node, [{ from: CLIENTS, to: node }], holdMs);
  },
};

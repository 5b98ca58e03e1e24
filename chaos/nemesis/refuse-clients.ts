import { CLIENTS } from '../cluster/proxies.ts';
import { cutFor } from './cutting.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

export const refuseClients: Nemesis = {
  name: 'refuse-clients',
  does: 'connections of clients to a leader end, and new ones are refused',
  needs: ['client-links'],
  movesLeader: false,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = [{ from: CLIENTS, to: node }];
    const text = `node ${node} without clients`;
    return cutFor(stage, { links, nodes: [node], text, cut: 'refuse' }, holdMs);
  },
};

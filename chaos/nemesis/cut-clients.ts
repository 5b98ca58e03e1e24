import { CLIENTS } from '../cluster/proxies.ts';
import { cutFor } from './cutting.ts';
import type { Nemesis } from './nemesis.ts';
import { someLeader } from './targets.ts';

export const cutClients: Nemesis = {
  name: 'cut-clients',
  does: 'clients and a leader hear nothing of each other; its peers do',
  needs: ['client-links'],
  movesLeader: false,
  strike(stage, holdMs) {
    const node = someLeader(stage);
    const links = [
      { from: CLIENTS, to: node },
      { from: node, to: CLIENTS },
    ];
    const text = `node ${node} without clients`;
    return cutFor(stage, { links, nodes: [node], text }, holdMs);
  },
};

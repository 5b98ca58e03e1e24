import type { Nemesis } from './nemesis.ts';
import { replace } from './replacing.ts';
import { someLeader } from './targets.ts';

export const wipe: Nemesis = {
  name: 'wipe',
  does: 'a leader dies and its directory with it; it is removed, and added again, empty',
  needs: ['processes'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const node = someLeader(stage);
    if (await stage.cluster.process(node).kill()) return replace(stage, node, holdMs);
    return { state: 'indeterminate', text: `node ${node} did not run`, nodes: [node], queues: [] };
  },
};

import { forkFor } from './forking.ts';
import type { Nemesis } from './nemesis.ts';
import type { Loss } from './power.ts';

export const partKill: Nemesis = {
  name: 'part-kill',
  does: 'a minority is cut off, another node dies, and those two have to be the majority',
  needs: ['processes', 'proxies'],
  movesLeader: true,
  strike(stage, holdMs) {
    const die = async (node: number): Promise<Loss> => {
      const wasKilled = await stage.cluster.process(node).kill();
      if (wasKilled) return { state: 'installed', text: 'killed' };
      return { state: 'indeterminate', text: 'it did not run' };
    };
    return forkFor(stage, die, holdMs);
  },
};

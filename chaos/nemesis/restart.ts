import type { Nemesis } from './nemesis.ts';
import { queuesLedBy, someLeader } from './targets.ts';

export const restart: Nemesis = {
  name: 'restart',
  does: 'SIGTERM of a leader, as an operator does it, and its start after a while',
  needs: ['processes'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const node = someLeader(stage);
    const target = stage.cluster.process(node);
    const stopped = await target.stop();
    await stage.hold(holdMs);
    target.start();
    const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
    if (stopped) return { state: 'installed', ...struck };
    return { state: 'indeterminate', text: `node ${node} did not run`, ...struck };
  },
};

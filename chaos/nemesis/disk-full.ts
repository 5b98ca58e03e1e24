import type { Nemesis } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

export const diskFull: Nemesis = {
  name: 'disk-full',
  does: 'whatever makes a file of one node longer fails with ENOSPC, for a while',
  needs: ['processes', 'shim'],
  movesLeader: false,
  async strike(stage, holdMs) {
    const { cluster, random } = stage;
    const node = random.pick(cluster.nodes);
    const [target, disk] = [cluster.process(node), cluster.disk(node)];
    const before = disk.seen.refusedWrites;
    target.mayEnd = true;
    disk.page.fillDisk(true);
    await stage.hold(holdMs);
    disk.page.fillDisk(false);
    const refused = disk.seen.refusedWrites - before;
    const hasEnded = !target.isRunning;
    target.mayEnd = false;
    target.start();
    const text = `${refused} writes refused${hasEnded ? ', the node ended' : ''}`;
    const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
    return { state: refused > 0 ? 'installed' : 'indeterminate', text, ...struck };
  },
};

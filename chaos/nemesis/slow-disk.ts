import type { Nemesis } from './nemesis.ts';
import { queuesLedBy, someNode } from './targets.ts';

const DELAYS_MS = [20, 100, 500];

export const slowDisk: Nemesis = {
  name: 'slow-disk',
  does: 'every sync of one node takes 20, 100 or 500 ms longer',
  needs: ['processes', 'shim'],
  movesLeader: false,
  async strike(stage, holdMs) {
    const node = someNode(stage);
    const disk = stage.cluster.disk(node);
    const before = disk.seen.delayedSyncs;
    const delayMs = stage.random.pick(DELAYS_MS);
    disk.page.slowSyncs(delayMs);
    await stage.hold(holdMs);
    disk.page.slowSyncs(0);
    const delayed = disk.seen.delayedSyncs - before;
    const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
    const text = `${delayed} syncs ${delayMs} ms longer`;
    return { state: delayed > 0 ? 'installed' : 'indeterminate', text, ...struck };
  },
};

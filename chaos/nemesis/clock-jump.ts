import type { AttackedCluster } from '../cluster/attacked-cluster.ts';
import type { Nemesis } from './nemesis.ts';
import { queuesLedBy, someMinority } from './targets.ts';

const JUMP_MAX_MS = 3_600_000;

export const clockJump: Nemesis = {
  name: 'clock-jump',
  does: 'wall clocks of a minority of each shard jump by up to an hour, ahead or back, for a while',
  needs: ['processes', 'shim'],
  movesLeader: false,
  async strike(stage, holdMs) {
    // Time follows the median of a shard's clocks: what its majority says is the time.
    const nodes = someMinority(stage, await replicasByShard(stage.cluster));
    const disks = nodes.map((node) => stage.cluster.disk(node));
    const before = disks.map((disk) => disk.seen.shiftedClockReads);
    const jumps = nodes.map(() => Math.round(stage.random.between(-JUMP_MAX_MS, JUMP_MAX_MS)));
    for (const [at, disk] of disks.entries()) disk.page.shiftClock(jumps[at]!);
    await stage.hold(holdMs);
    for (const disk of disks) disk.page.shiftClock(0);
    const isMet = disks.map((disk, at) => disk.seen.shiftedClockReads > before[at]!);
    const isSeen = isMet.length > 0 && isMet.every(Boolean);
    const struck = { nodes, queues: queuesLedBy(stage, nodes) };
    const text = nodes.map((node, at) => `node ${node} by ${jumps[at]} ms`).join(', ');
    return { state: isSeen ? 'installed' : 'indeterminate', text, ...struck };
  },
};

async function replicasByShard(cluster: AttackedCluster): Promise<number[][]> {
  for (const node of cluster.nodes) {
    const seen = await cluster.view(node);
    if (seen !== undefined)
      return seen.shards.map(({ replicas }) => replicas.map((one) => one.node));
  }
  throw new Error('no node says where the replicas are');
}

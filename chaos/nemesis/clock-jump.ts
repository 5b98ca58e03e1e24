import type { Nemesis } from './nemesis.ts';
import { queuesLedBy, someMinority } from './targets.ts';

const JUMP_MAX_MS = 3_600_000;

export const clockJump: Nemesis = {
  name: 'clock-jump',
  does: 'the wall clocks of a minority jump by up to an hour, ahead or back, and later return',
  needs: ['processes', 'shim'],
  movesLeader: false,
  async strike(stage, holdMs) {
    // Time follows the median of the clocks: what a majority says is the time.
    const nodes = someMinority(stage);
    const disks = nodes.map((node) => stage.cluster.disk(node));
    const before = disks.map((disk) => disk.seen.shiftedClockReads);
    const jumps = nodes.map(() => Math.round(stage.random.between(-JUMP_MAX_MS, JUMP_MAX_MS)));
    for (const [at, disk] of disks.entries()) disk.page.shiftClock(jumps[at]!);
    await stage.hold(holdMs);
    for (const disk of disks) disk.page.shiftClock(0);
    const isSeen = disks.every((disk, at) => disk.seen.shiftedClockReads > before[at]!);
    const struck = { nodes, queues: queuesLedBy(stage, nodes) };
    const text = nodes.map((node, at) => `node ${node} by ${jumps[at]} ms`).join(', ');
    return { state: isSeen ? 'installed' : 'indeterminate', text, ...struck };
  },
};

import { CUT_MIN_MS } from './cutting.ts';
import { minorityFirst, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { areStopped } from './pausing.ts';
import { queuesLedBy } from './targets.ts';

const PHASES = 2;

/** As part-kill, by processes alone: A stands still, the others die, and X starts beside A. */
export const pauseKill: Nemesis = {
  name: 'pause-kill',
  does: 'a minority stands still, all others die, and one of these with it has to be the majority',
  needs: ['processes'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const { cluster, random } = stage;
    const phaseMs = Math.max(holdMs / PHASES, CUT_MIN_MS);
    const [still, rest] = minorityFirst(random.shuffled(cluster.nodes));
    const processes = (nodes: readonly number[]) => nodes.map((node) => cluster.process(node));
    const [starts] = rest as [number];
    const others = without(rest, [starts]);
    for (const one of processes(still)) one.pause();
    const wereStopped = await areStopped(processes(still));
    await stage.hold(phaseMs);
    const killed = await Promise.all(processes(rest).map((one) => one.kill()));
    for (const one of processes(still)) one.resume();
    cluster.process(starts).start();
    await stage.hold(phaseMs);
    for (const one of processes(others)) one.start();
    const struck = { nodes: cluster.nodes, queues: queuesLedBy(stage, cluster.nodes) };
    const text = `${still.join('+')} still, ${rest.join('+')} killed, ${starts} first back`;
    const isDone = wereStopped && killed.every(Boolean);
    return { state: isDone ? 'installed' : 'indeterminate', text, ...struck };
  },
};

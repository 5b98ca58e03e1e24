import { CUT_MIN_MS, install } from './cutting.ts';
import { linksAcross, minorityFirst, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** Part, kill, part, start: what A missed has to come from the one that died. */
const PHASES = 2;

/**
 * A majority that was never together before: A is cut off and misses writes, X dies with them, A
 * comes back, all others but X are cut off, and X starts again. Whatever was acknowledged without A
 * has to be in what X finds on its disk.
 */
export const partKill: Nemesis = {
  name: 'part-kill',
  does: 'a minority is cut off, another node dies, and those two have to be the majority',
  needs: ['processes', 'proxies'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const { cluster, random } = stage;
    const phaseMs = Math.max(holdMs / PHASES, CUT_MIN_MS);
    const [away, rest] = minorityFirst(random.shuffled(cluster.nodes));
    const [dies] = rest as [number];
    const others = without(rest, [dies]);
    const first = await install(cluster.proxies(), linksAcross(away, rest), 'silence');
    await stage.hold(phaseMs);
    const wasKilled = await cluster.process(dies).kill();
    await first.release();
    // Links to the dead one cannot be proved: nothing answers on them before.
    const release = await cluster.proxies().silence(linksAcross(others, [dies]));
    const second = await install(cluster.proxies(), linksAcross(others, away), 'silence');
    cluster.process(dies).start();
    await stage.hold(phaseMs);
    await second.release();
    await release();
    const open = [...first.open, ...second.open];
    if (!wasKilled) open.push(`node ${dies} did not run`);
    const who = `${away.join('+')} away, ${dies} killed, then ${others.join('+')} away`;
    const struck = { nodes: cluster.nodes, queues: queuesLedBy(stage, cluster.nodes) };
    const state = open.length === 0 ? 'installed' : 'indeterminate';
    return { state, text: [who, ...open].join('; '), ...struck };
  },
};

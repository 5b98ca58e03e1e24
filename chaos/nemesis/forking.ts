/** The fork script: two parts of a cluster that each hold another half of the truth. */
import { CUT_MIN_MS, install } from './cutting.ts';
import { linksAcross, minorityFirst, without } from './links.ts';
import type { Stage, Strike } from './nemesis.ts';
import type { Loss } from './power.ts';
import { inAnyOrder, queuesLedBy } from './targets.ts';

/** Part, kill, part, start: what A missed has to come from the one that died. */
const PHASES = 2;

/**
 * A majority that was never together before: A is cut off and misses writes, X dies with them, A
 * comes back, all others but X are cut off, and X starts again. Whatever was acknowledged without A
 * has to be in what X finds on its disk.
 */
export async function forkFor(
  stage: Stage,
  die: (node: number) => Promise<Loss>,
  holdMs: number,
): Promise<Strike> {
  const { cluster } = stage;
  const phaseMs = Math.max(holdMs / PHASES, CUT_MIN_MS);
  const [away, rest] = minorityFirst(inAnyOrder(stage));
  stage.claim(cluster.nodes);
  const [dies] = rest as [number];
  const others = without(rest, [dies]);
  const first = await install(stage, linksAcross(away, rest), 'silence');
  await stage.hold(phaseMs);
  const death = await die(dies);
  await first.release();
  // Links to the dead one cannot be proved: nothing answers on them before.
  const release = await cluster.proxies().silence(linksAcross(others, [dies]));
  const second = await install(stage, linksAcross(others, away), 'silence');
  cluster.process(dies).start();
  await stage.hold(phaseMs);
  await second.release();
  await release();
  const open = [...first.open, ...second.open];
  const who = `${away.join('+')} away, ${dies} dies (${death.text}), then ${others.join('+')} away`;
  const struck = { nodes: cluster.nodes, queues: queuesLedBy(stage, cluster.nodes) };
  const state = open.length === 0 ? death.state : 'indeterminate';
  return { state, text: [who, ...open].join('; '), ...struck };
}

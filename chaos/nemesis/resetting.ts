/** Resets every connection of a leader along some links, again and again. */
import type { Affliction, Link } from '../cluster/proxies.ts';
import type { Stage, Strike } from './nemesis.ts';
import { provable, queuesLedBy } from './targets.ts';

const SPELL_MS = 100;
const PAUSE_MS = 900;
const PROBE_TIMEOUT_MS = 1000;
const RESET: Affliction = { type: 'reset_peer', attributes: { timeout: 0 } };

export async function resetFor(
  stage: Stage,
  node: number,
  links: readonly Link[],
  holdMs: number,
): Promise<Strike> {
  const proxies = stage.cluster.proxies();
  await stage.begun;
  const [first = links[0]!, ...more] = provable(stage, links);
  const probed = [first, ...more];
  let spells = 0;
  let seen = 0;
  for (let leftMs = holdMs; spells === 0 || leftMs > 0; leftMs -= SPELL_MS + PAUSE_MS) {
    if (spells > 0) await stage.hold(PAUSE_MS);
    const release = await proxies.afflict(links, RESET);
    const probing = proxies.probe(stage.random.pick(probed), PROBE_TIMEOUT_MS);
    const [answer] = await Promise.all([probing, stage.hold(SPELL_MS)]);
    await release();
    spells++;
    if (answer?.end === 'reset') seen++;
  }
  const text = `node ${node}: ${seen} of ${spells} resets seen`;
  // A spell may be over before a busy machine answers; one that was seen proves what they do.
  const state = seen > 0 ? 'installed' : 'indeterminate';
  return { state, text, nodes: [node], queues: queuesLedBy(stage, [node]) };
}

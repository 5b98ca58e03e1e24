import { CUT_MIN_MS, install } from './cutting.ts';
import { linksAcross, without } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { queuesLedBy, someNodes } from './targets.ts';

/** FoundationDB's name for it: links stop one by one and come back in another order. */
export const swizzleClog: Nemesis = {
  name: 'swizzle-clog',
  does: 'some nodes fall silent one after the other, and are heard again in another order',
  needs: ['proxies'],
  movesLeader: false,
  async strike(stage, holdMs) {
    const { cluster, random } = stage;
    const chosen = someNodes(stage);
    const stepMs = Math.max(holdMs, CUT_MIN_MS) / (2 * chosen.length);
    const releases = new Map<number, () => Promise<void>>();
    const texts: string[] = [];
    for (const [at, node] of chosen.entries()) {
      // Links to those that are silent already were proved with them.
      const heard = without(cluster.nodes, [node, ...chosen.slice(0, at)]);
      const cut = await install(stage, linksAcross([node], heard), 'silence');
      releases.set(node, cut.release);
      texts.push(...cut.open);
      await stage.hold(stepMs);
    }
    const back = random.shuffled(chosen);
    for (const node of back) {
      await releases.get(node)?.();
      await stage.hold(stepMs);
    }
    const text = [`silent ${chosen.join(' ')}, heard ${back.join(' ')}`, ...texts].join('; ');
    const state = texts.length === 0 ? 'installed' : 'indeterminate';
    return { state, text, nodes: chosen, queues: queuesLedBy(stage, chosen) };
  },
};

import { killFor } from './killing.ts';
import type { Nemesis } from './nemesis.ts';

/** The next one dies while the last one is still catching up. */
export const killInTurn: Nemesis = {
  name: 'kill-in-turn',
  does: 'kill -9 of every node, one after the other, without waiting for a whole cluster',
  needs: ['processes'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const order = stage.random.shuffled(stage.cluster.nodes);
    const each = holdMs / order.length;
    const queues = new Set<number>();
    const texts: string[] = [];
    for (const node of order) {
      const { state, queues: hit } = await killFor(stage, [node], each);
      for (const queue of hit) queues.add(queue);
      if (state !== 'installed') texts.push(`node ${node} did not run`);
    }
    const struck = { nodes: order, queues: [...queues].sort((a, b) => a - b) };
    if (texts.length === 0) return { state: 'installed', ...struck };
    return { state: 'indeterminate', text: texts.join(', '), ...struck };
  },
};

import type { Nemesis } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** An operator waits for a whole cluster before the next node; under other faults not for ever. */
const WHOLE_TIMEOUT_MS = 30_000;

export const rollingRestart: Nemesis = {
  name: 'rolling-restart',
  does: 'SIGTERM and start of every node, one after the other, each after a whole cluster',
  needs: ['processes'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const { cluster, load, random } = stage;
    const order = random.shuffled(cluster.nodes);
    const waits: string[] = [];
    for (const node of order) {
      const target = cluster.process(node);
      if (!(await target.stop())) waits.push(`node ${node} did not run`);
      await stage.hold(holdMs / order.length);
      target.start();
      const whole = await cluster.whole(WHOLE_TIMEOUT_MS, () => load.running);
      if (whole === undefined) waits.push(`not whole after node ${node}`);
    }
    const struck = { nodes: order, queues: queuesLedBy(stage, order) };
    if (waits.length === 0) return { state: 'installed', ...struck };
    return { state: 'indeterminate', text: waits.join(', '), ...struck };
  },
};

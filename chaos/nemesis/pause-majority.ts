import { ELECTION_TIMEOUT_MS } from '../cluster/local-cluster.ts';
import type { Nemesis } from './nemesis.ts';
import { areStopped } from './pausing.ts';
import { inAnyOrder, queuesLedBy } from './targets.ts';

/** Longer than any belief about who leads may last. */
const ELECTION_TIMEOUTS = 10;
const STEP_MS = ELECTION_TIMEOUT_MS / 2;

export const pauseMajority: Nemesis = {
  name: 'pause-majority',
  does: `a majority stops, one by one, stands still for ${ELECTION_TIMEOUTS} election timeouts`,
  needs: ['processes'],
  movesLeader: false,
  async strike(stage, holdMs) {
    const { cluster, random } = stage;
    const nodes = inAnyOrder(stage).slice(0, (cluster.nodes.length >> 1) + 1);
    stage.claim(nodes);
    const processes = nodes.map((node) => cluster.process(node));
    for (const one of processes) {
      one.pause();
      await stage.hold(STEP_MS);
    }
    const wereStopped = await areStopped(processes);
    await stage.hold(Math.max(holdMs, ELECTION_TIMEOUTS * ELECTION_TIMEOUT_MS));
    // Whoever wakes up first finds the others of its majority still silent.
    for (const one of random.shuffled(processes)) {
      one.resume();
      await stage.hold(STEP_MS);
    }
    const state = wereStopped ? 'installed' : 'indeterminate';
    return { state, text: nodes.join('+'), nodes, queues: queuesLedBy(stage, nodes) };
  },
};

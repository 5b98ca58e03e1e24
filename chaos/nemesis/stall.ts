import { ELECTION_TIMEOUT_MS } from '../cluster/local-cluster.ts';
import { STALL_MS, STALL_SIGNAL } from '../cluster/stall-hook.ts';
import { nowMs } from '../history.ts';
import type { Nemesis } from './nemesis.ts';
import { queuesLedBy, someLeader } from './targets.ts';

/** The view gives up after two seconds; a node at work answers in a fraction of one. */
const PROOF_MS = ELECTION_TIMEOUT_MS;

export const stall: Nemesis = {
  name: 'stall',
  does: `the event loop of a leader stands still for ${STALL_MS} ms, its other threads go on`,
  needs: ['processes'],
  movesLeader: true,
  async strike(stage, holdMs) {
    const node = someLeader(stage);
    const target = stage.cluster.process(node);
    const before = await answerMs(() => stage.cluster.view(node));
    const wasTold = target.signal(STALL_SIGNAL);
    const [during] = await Promise.all([
      answerMs(() => stage.cluster.view(node)),
      stage.hold(Math.max(holdMs, STALL_MS)),
    ]);
    const text = `node ${node} answered in ${Math.round(before)}, then ${Math.round(during)} ms`;
    const isProved = wasTold && before < PROOF_MS && during >= PROOF_MS;
    const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
    return { state: isProved ? 'installed' : 'indeterminate', text, ...struck };
  },
};

async function answerMs(ask: () => Promise<unknown>): Promise<number> {
  const beganMs = nowMs();
  await ask();
  return nowMs() - beganMs;
}

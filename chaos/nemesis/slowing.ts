/** Makes every link of a leader slow by a share of bytes, and proves it on one large answer. */
import type { Affliction } from '../cluster/proxies.ts';
import { type Drag, drag } from './dragging.ts';
import { linksOf } from './links.ts';
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy, someLeader } from './targets.ts';

/** The least that proves anything on a machine with other work. */
const PROOF_MIN_MS = 50;
/** Of the time that so many bytes have to take. */
const PROOF_SHARE = 0.8;
/** Where a busy machine is that slow by itself the fault has to make it slower. */
const PROOF_FACTOR = 2;

export interface Slowness extends Affliction {
  /** What so many bytes have to take at least. */
  readonly msFor: (bytes: number) => number;
}

export async function slowFor(stage: Stage, slowness: Slowness, holdMs: number): Promise<Strike> {
  const { cluster } = stage;
  const node = someLeader(stage);
  // What others lead comes over their links.
  const [queue = 0] = queuesLedBy(stage, [node]);
  const before = await drag(stage, node, queue);
  const release = await cluster.proxies().afflict(linksOf(node, cluster.nodes), slowness);
  const [during] = await Promise.all([drag(stage, node, queue), stage.hold(holdMs)]);
  await release();
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  if (before === undefined || during === undefined) {
    return { state: 'indeterminate', text: `node ${node} gave no large answer`, ...struck };
  }
  const times = `${Math.round(before.ms)} to ${Math.round(during.ms)} ms`;
  const text = `node ${node}: ${during.bytes} bytes from ${times}`;
  const isProved = proves(before, during, slowness);
  return { state: isProved ? 'installed' : 'indeterminate', text, ...struck };
}

export function proves(before: Drag, during: Drag, { msFor }: Slowness): boolean {
  const dueMs = Math.max(PROOF_MIN_MS, PROOF_SHARE * msFor(during.bytes));
  if (during.ms < dueMs) return false;
  return before.ms < dueMs || during.ms >= PROOF_FACTOR * before.ms;
}

/**
 * Which nodes give signs of life. Quiet shards have no heartbeats of their own: what their members'
 * nodes say to each other, about anything, stands for all of them.
 */
import type { MonotonicMs, NodeId } from './types.ts';

export class NodeLiveness {
  readonly #silenceMs: number;
  readonly #heardMs = new Map<NodeId, MonotonicMs>();
  readonly #silent = new Set<NodeId>();

  /** A node that was not heard of for `silenceMs` is silent. */
  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
  }

  heard(node: NodeId, nowMs: MonotonicMs): void {
    this.#heardMs.set(node, nowMs);
    this.#silent.delete(node);
  }

  /** Which of `nodes` fell silent since the last call, and when they were last heard of. */
  newlySilent(
    nodes: ReadonlySet<NodeId>,
    nowMs: MonotonicMs,
  ): readonly { readonly node: NodeId; readonly heardMs: MonotonicMs }[] {
    const found: { node: NodeId; heardMs: MonotonicMs }[] = [];
    for (const node of nodes) {
      const heardMs = this.#heardMs.get(node);
      // Never heard of: counts from the first time that anybody asks.
      if (heardMs === undefined) this.#heardMs.set(node, nowMs);
      else if (nowMs - heardMs >= this.#silenceMs && !this.#silent.has(node)) {
        this.#silent.add(node);
        found.push({ node, heardMs });
      }
    }
    return found;
  }
}

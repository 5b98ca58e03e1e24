/**
 * What followers far behind are sent is read from the store. Per node only so much of it is under
 * way at a time, over all shards: it fills no queue that live traffic waits in, and what one node
 * reads, sends and keeps for another is bounded. Acknowledgements make room for the next read.
 */
import type { ShardRunner } from './driver-shard.ts';
import type { LoadRequest } from './ready.ts';
import type { NodeId } from './types.ts';

interface Load {
  readonly runner: ShardRunner;
  readonly request: LoadRequest;
}

interface Lane {
  /** In the order in which they were asked for; at most one of a replica. */
  waiting: Load[];
  readingBytes: number;
}

export class PacedLoads {
  readonly #maxBytes: number;
  readonly #lanes = new Map<NodeId, Lane>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  ask(runner: ShardRunner, request: LoadRequest): void {
    // One without a node is sent nothing either.
    const node = runner.nodeOf(request.peer) ?? 0;
    const lane = this.#lanes.get(node) ?? { waiting: [], readingBytes: 0 };
    this.#lanes.set(node, lane);
    lane.waiting.push({ runner, request });
  }

  /** Once per flush: acknowledgements may have made room. */
  start(runners: Iterable<ShardRunner>): void {
    for (const [node, lane] of this.#lanes) {
      if (lane.waiting.length > 0) this.#fill(lane, unacknowledged(node, runners));
    }
  }

  #fill(lane: Lane, unacknowledgedBytes: number): void {
    let left = this.#maxBytes - unacknowledgedBytes - lane.readingBytes;
    while (left > 0) {
      const load = lane.waiting.shift();
      if (load === undefined) return;
      if (!isWanted(load)) continue;
      const { maxBytes } = load.request;
      left -= maxBytes;
      lane.readingBytes += maxBytes;
      load.runner.load(load.request, () => {
        lane.readingBytes -= maxBytes;
      });
    }
  }
}

function isWanted({ runner, request }: Load): boolean {
  return !runner.isStopped && runner.core.term === request.term;
}

function unacknowledged(node: NodeId, runners: Iterable<ShardRunner>): number {
  let bytes = 0;
  for (const { core } of runners) bytes += core.loadedBytesTo(node);
  return bytes;
}

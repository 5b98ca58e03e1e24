/** Gathers the messages of all shards, so that one flush is one send per node and lane. */
import type { PeerMessage, PeerMessageType } from './messages.ts';
import type { Transport } from './ports.ts';
import type { NodeId } from './types.ts';

const BULK: ReadonlySet<PeerMessageType> = new Set(['append', 'snapshotChunk', 'repairReply']);

interface Lanes {
  control: PeerMessage[];
  bulk: PeerMessage[];
}

export class Outbox {
  readonly #nodes = new Map<NodeId, Lanes>();
  #isEmpty = true;

  /** What has a payload goes apart: everything else must never wait behind it. */
  add(to: NodeId, message: PeerMessage): void {
    let lanes = this.#nodes.get(to);
    if (lanes === undefined) {
      lanes = { control: [], bulk: [] };
      this.#nodes.set(to, lanes);
    }
    (BULK.has(message.type) ? lanes.bulk : lanes.control).push(message);
    this.#isEmpty = false;
  }

  flush(transport: Transport): void {
    if (this.#isEmpty) return;
    this.#isEmpty = true;
    for (const [node, lanes] of this.#nodes) {
      const { control, bulk } = lanes;
      if (control.length > 0) {
        lanes.control = [];
        transport.send(node, 'control', control);
      }
      if (bulk.length > 0) {
        lanes.bulk = [];
        transport.send(node, 'bulk', bulk);
      }
    }
  }
}

import type { NodeId } from '../../raft/types.ts';
import type { NodeIdentity } from './api.ts';
import type { Greeting, Refusal, RefusalReason } from './handshake.ts';
import { PROTOCOL_VERSION } from './handshake.ts';

/** One life of a process on one data directory. */
export interface Life {
  readonly incarnation: string;
  readonly bootCounter: number;
}

export function sameLife(one: Life, other: Life): boolean {
  return one.incarnation === other.incarnation && one.bootCounter === other.bootCounter;
}

/**
 * Decides whether a greeting comes from a member of this cluster that has not been replaced or set
 * back (internals rule 8), and remembers the latest life seen of each.
 */
export class Gatekeeper {
  readonly #identity: NodeIdentity;
  readonly #members: { has(node: NodeId): boolean };
  readonly #knownIncarnations: ReadonlyMap<NodeId, string>;
  readonly #seen: Map<NodeId, Life>;
  readonly #onNewLife: (node: NodeId, life: Life) => void;

  /** The maps are read at every greeting: their owner may change them. */
  constructor(
    identity: NodeIdentity,
    members: { has(node: NodeId): boolean },
    knownIncarnations: ReadonlyMap<NodeId, string>,
    seen: Iterable<readonly [NodeId, Life]>,
    onNewLife: (node: NodeId, life: Life) => void,
  ) {
    this.#identity = identity;
    this.#members = members;
    this.#knownIncarnations = knownIncarnations;
    this.#seen = new Map(seen);
    this.#onNewLife = onNewLife;
  }

  /** `undefined` = welcome. */
  judge(greeting: Greeting): Refusal | undefined {
    const { clusterId, node, bootCounter, incarnation } = greeting;
    const own = this.#identity;
    if (greeting.protocol !== PROTOCOL_VERSION) {
      const detail = `speaks version ${greeting.protocol}, not ${PROTOCOL_VERSION}`;
      return refuse('wrongProtocol', node, detail);
    }
    if (clusterId !== own.clusterId) {
      return refuse('wrongCluster', node, `is of cluster ${clusterId}, not ${own.clusterId}`);
    }
    if (node === own.node) return refuse('selfConnection', node, 'is this node itself');
    if (greeting.to !== own.node) {
      return refuse('wrongAddressee', node, `looks for node ${greeting.to}, not ${own.node}`);
    }
    if (!this.#members.has(node)) return refuse('unknownNode', node, 'is not a known peer');
    const known = this.#knownIncarnations.get(node);
    if (known !== undefined && known !== incarnation) {
      return refuse('wrongIncarnation', node, `has incarnation ${incarnation}, not ${known}`);
    }
    const seen = this.#seen.get(node);
    if (seen?.incarnation === incarnation && bootCounter < seen.bootCounter) {
      const detail = `is of boot ${bootCounter}, boot ${seen.bootCounter} was seen already`;
      return refuse('staleBoot', node, detail);
    }
    return undefined;
  }

  /** Of a greeting that was found to be in order. */
  remember(greeting: Greeting): void {
    const { node, incarnation, bootCounter } = greeting;
    const seen = this.#seen.get(node);
    if (seen !== undefined && sameLife(seen, greeting)) return;
    const life = { incarnation, bootCounter };
    this.#seen.set(node, life);
    this.#onNewLife(node, life);
  }
}

function refuse(reason: RefusalReason, node: NodeId, problem: string): Refusal {
  return { reason, detail: `node ${node} ${problem}` };
}

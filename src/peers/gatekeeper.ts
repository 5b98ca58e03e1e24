import type { NodeId } from '../../raft/types.ts';
import { nodeName } from '../security/node-name.ts';
import type { NodeIdentity } from './api.ts';
import type { Greeting, Refusal, RefusalReason } from './handshake.ts';
import { NEWEST_PROTOCOL, OLDEST_PROTOCOL, spokenProtocol } from './handshake.ts';
import type { HostPort, PeerProof } from './transport.ts';

const OWN_PROTOCOLS = `${OLDEST_PROTOCOL} to ${NEWEST_PROTOCOL}`;

/** One life of a process on one data directory. */
export interface Life {
  readonly incarnation: string;
  readonly bootCounter: number;
}

export function sameLife(one: Life, other: Life): boolean {
  return one.incarnation === other.incarnation && one.bootCounter === other.bootCounter;
}

/** Who belongs to the cluster, as far as this node knows now. Asked anew at every use. */
export interface PeerDirectory {
  /** The other nodes that are members. */
  nodes(): readonly NodeId[];
  addressOf(node: NodeId): HostPort | undefined;
  /** Of the cluster: builds that do not know it stay out. */
  featureLevel(): number;
  /** `undefined`: the directory of that incarnation is a member under that number. */
  objection(
    node: NodeId,
    incarnation: string,
  ): { readonly reason: 'unknownNode' | 'wrongIncarnation' | 'removed'; why: string } | undefined;
}

/**
 * Decides whether a greeting comes from a member of this cluster that has not been replaced or set
 * back (internals rule 8), and remembers the latest life seen of each.
 */
export class Gatekeeper {
  readonly #identity: NodeIdentity;
  readonly #directory: PeerDirectory;
  readonly #seen: Map<NodeId, Life>;
  readonly #onNewLife: (node: NodeId, life: Life) => void;

  constructor(
    identity: NodeIdentity,
    directory: PeerDirectory,
    seen: Iterable<readonly [NodeId, Life]>,
    onNewLife: (node: NodeId, life: Life) => void,
  ) {
    this.#identity = identity;
    this.#directory = directory;
    this.#seen = new Map(seen);
    this.#onNewLife = onNewLife;
  }

  /** `undefined` = may be that node: it proved so, or nothing is ever proven here. */
  judgeProof(node: NodeId, proof: PeerProof | undefined): Refusal | undefined {
    if (proof === undefined) return undefined;
    if ('refusal' in proof) return proof.refusal;
    const expected = nodeName(this.#identity.clusterId, node);
    if (proof.names.includes(expected)) return undefined;
    const found = proof.names.length === 0 ? 'of no node' : `for ${proof.names.join(', ')}`;
    return refuse('wrongCertificate', node, `shows a certificate ${found}, not for ${expected}`);
  }

  /** `undefined` = welcome. */
  judge(greeting: Greeting, proof: PeerProof | undefined): Refusal | undefined {
    const { clusterId, node, bootCounter, incarnation } = greeting;
    const own = this.#identity;
    const unproven = this.judgeProof(node, proof);
    if (unproven !== undefined) return unproven;
    if (spokenProtocol(greeting) === undefined) {
      const { newestProtocol, protocol } = greeting;
      const detail = `speaks versions ${protocol} to ${newestProtocol}, not ${OWN_PROTOCOLS}`;
      return refuse('wrongProtocol', node, detail);
    }
    if (clusterId !== own.clusterId) {
      return refuse('wrongCluster', node, `is of cluster ${clusterId}, not ${own.clusterId}`);
    }
    if (node === own.node) return refuse('selfConnection', node, 'is this node itself');
    if (greeting.to !== own.node) {
      return refuse('wrongAddressee', node, `looks for node ${greeting.to}, not ${own.node}`);
    }
    const level = this.#directory.featureLevel();
    if (greeting.featureLevel < level) {
      const detail =
        `runs a build of feature level ${greeting.featureLevel}, ` +
        `but the cluster is at ${level}: install a newer build there`;
      return refuse('wrongProtocol', node, detail);
    }
    const objection = this.#directory.objection(node, incarnation);
    if (objection !== undefined) return refuse(objection.reason, node, objection.why);
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

/**
 * Who belongs to the cluster, and where: from this node's replica of the metadata, from what it was
 * told when it was added (its replica may be behind, or not here yet), and from its configuration,
 * whose addresses win. A directory that was removed for good is let in by none of them.
 *
 * A node that was away while others joined knows nobody of them, and one of them may lead the
 * metadata by now: then only the operator's word, their addresses in its configuration, brings it
 * back. Raft hears strangers without harm (thesis 4.1); what must stay out is a directory that took
 * another one's place, and a number that the metadata knows has its directory named there.
 */
import type { NodeId } from '../../raft/types.ts';
import { type Address, parseAddress } from '../address.ts';
import type { PeerDirectory } from '../peers/gatekeeper.ts';
import type { MetaView } from './api.ts';
import type { Identity } from './identity.ts';

type Roster = Pick<MetaView, 'isKnownNode' | 'member' | 'members' | 'wasRemoved'>;

export class KnownPeers implements PeerDirectory {
  readonly #identity: Identity;
  readonly #configured: ReadonlyMap<NodeId, Address>;
  readonly #meta: Roster;

  constructor(identity: Identity, configured: ReadonlyMap<NodeId, Address>, meta: Roster) {
    this.#identity = identity;
    this.#configured = configured;
    this.#meta = meta;
  }

  nodes(): readonly NodeId[] {
    const nodes = new Set(this.#meta.members().map(({ node }) => node));
    for (const { node, incarnation } of this.#identity.contacts) {
      if (!this.#meta.wasRemoved(node, incarnation)) nodes.add(node);
    }
    for (const node of this.#configured.keys()) if (this.#isNews(node)) nodes.add(node);
    nodes.delete(this.#identity.node);
    return [...nodes].sort((left, right) => left - right);
  }

  addressOf(node: NodeId): Address | undefined {
    const contact = this.#identity.contacts.find((one) => one.node === node);
    const known = this.#meta.member(node)?.peerAddress || contact?.peerAddress;
    return this.#configured.get(node) ?? parseAddress(known ?? '');
  }

  objection(node: NodeId, incarnation: string): ReturnType<PeerDirectory['objection']> {
    if (this.#meta.wasRemoved(node, incarnation)) {
      return { reason: 'removed', why: 'was removed from the cluster with this directory' };
    }
    const known = [
      this.#meta.member(node)?.incarnation,
      ...this.#identity.contacts.filter((one) => one.node === node).map((one) => one.incarnation),
    ].filter((one) => one !== undefined);
    if (known.includes(incarnation)) return undefined;
    if (known.length === 0) {
      if (this.#configured.has(node) && this.#isNews(node)) return undefined;
      return { reason: 'unknownNode', why: 'is not a member' };
    }
    const why =
      `came with another data directory (incarnation ${incarnation}, not ${known[0]}); if the ` +
      `old one is lost: holdfast cluster remove ${node}, then holdfast cluster add`;
    return { reason: 'wrongIncarnation', why };
  }

  /** Nothing that this node was told so far is about this number. */
  #isNews(node: NodeId): boolean {
    const isContact = this.#identity.contacts.some((one) => one.node === node);
    return !isContact && !this.#meta.isKnownNode(node);
  }
}

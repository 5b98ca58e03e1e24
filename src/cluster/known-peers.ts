/**
 * Who belongs to the cluster, and where: from this node's replica of the metadata, from what it was
 * told when it was added (its replica may be behind, or not here yet), and from its configuration,
 * whose addresses win. A directory that was removed for good is let in by none of them.
 *
 * A node that was away while others joined knows nobody of them, and one of them may lead the
 * metadata by now. It asks the members that it does know (`learn`); where none is left, only the
 * operator's word, their addresses in its configuration, brings it back. Raft hears strangers
 * without harm (thesis 4.1); what must stay out is a directory that took another one's place, and a
 * number that the metadata knows has its directory named there.
 */
import type { NodeId } from '../../raft/types.ts';
import { type Address, parseAddress } from '../address.ts';
import type { PeerDirectory } from '../peers/gatekeeper.ts';
import type { MetaView } from './api.ts';
import type { Contact, Identity } from './identity.ts';

/** Several times as many as there may be members. */
const TOLD_MAX = 256;

type Roster = Pick<MetaView, 'featureLevel' | 'isKnownNode' | 'member' | 'members' | 'wasRemoved'>;

export class KnownPeers implements PeerDirectory {
  readonly #identity: Identity;
  readonly #configured: ReadonlyMap<NodeId, Address>;
  readonly #meta: Roster;
  /** What other members say who belongs to the cluster; they may be behind, too. */
  #told: readonly Contact[] = [];
  /** Somebody came who is not known: others may know more. */
  onStranger: (() => void) | undefined;

  constructor(identity: Identity, configured: ReadonlyMap<NodeId, Address>, meta: Roster) {
    this.#identity = identity;
    this.#configured = configured;
    this.#meta = meta;
  }

  learn(told: readonly Contact[]): void {
    const isTold = (one: Contact) =>
      told.some(({ node, incarnation }) => node === one.node && incarnation === one.incarnation);
    this.#told = [...told, ...this.#told.filter((one) => !isTold(one))].slice(0, TOLD_MAX);
  }

  nodes(): readonly NodeId[] {
    const nodes = new Set(this.#meta.members().map(({ node }) => node));
    for (const { node, incarnation } of this.#contacts) {
      if (!this.#meta.wasRemoved(node, incarnation)) nodes.add(node);
    }
    for (const node of this.#configured.keys()) if (this.#isNews(node)) nodes.add(node);
    nodes.delete(this.#identity.node);
    return [...nodes].sort((left, right) => left - right);
  }

  featureLevel(): number {
    return this.#meta.featureLevel();
  }

  addressOf(node: NodeId): Address | undefined {
    const contact = this.#contacts.find((one) => one.node === node && one.peerAddress !== '');
    const known = this.#meta.member(node)?.peerAddress || contact?.peerAddress;
    return this.#configured.get(node) ?? parseAddress(known ?? '');
  }

  objection(node: NodeId, incarnation: string): ReturnType<PeerDirectory['objection']> {
    if (this.#meta.wasRemoved(node, incarnation)) {
      return { reason: 'removed', why: 'was removed from the cluster with this directory' };
    }
    const known = [
      this.#meta.member(node)?.incarnation,
      ...this.#contacts.filter((one) => one.node === node).map((one) => one.incarnation),
    ].filter((one) => one !== undefined);
    if (known.includes(incarnation)) return undefined;
    if (known.length === 0) {
      if (this.#configured.has(node) && this.#isNews(node)) return undefined;
      this.onStranger?.();
      return { reason: 'unknownNode', why: 'is not a member' };
    }
    this.onStranger?.();
    const why =
      `came with another data directory (incarnation ${incarnation}, not ${known[0]}); if the ` +
      `old one is lost: holdfast cluster remove ${node}, then holdfast cluster add`;
    return { reason: 'wrongIncarnation', why };
  }

  get #contacts(): readonly Contact[] {
    return [...this.#told, ...this.#identity.contacts];
  }

  /** Nothing that this node was told so far is about this number. */
  #isNews(node: NodeId): boolean {
    const isContact = this.#contacts.some((one) => one.node === node);
    return !isContact && !this.#meta.isKnownNode(node);
  }
}

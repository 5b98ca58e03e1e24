/** Keeps the network in step with the metadata's members, and notices that this node is none. */
import type { NodeId } from '../../raft/types.ts';
import type { RunningPeerNetwork } from '../peers/network.ts';
import type { ShardHost } from '../shards/api.ts';
import type { MetaView } from './api.ts';
import { META_SHARD } from './birth-placement.ts';
import type { Contact } from './identity.ts';
import type { KnownPeers } from './known-peers.ts';

/** What a node answers when another one asks who belongs to the cluster. */
export const MEMBERS_METHOD = '.cluster/members';
const ASK_TIMEOUT_MS = 1000;

/** A stranger at the door: whoever is connected may know it. Asked again after a while. */
export function askAboutStrangers(
  known: Pick<KnownPeers, 'learn' | 'onStranger'>,
  peers: Pick<RunningPeerNetwork, 'call' | 'isUp' | 'membersChanged' | 'peers'>,
): void {
  let askedAtMs = Number.NEGATIVE_INFINITY;
  known.onStranger = () => {
    if (performance.now() - askedAtMs < ASK_TIMEOUT_MS) return;
    askedAtMs = performance.now();
    const request = { method: MEMBERS_METHOD, timeoutMs: ASK_TIMEOUT_MS, lane: '', body: NOTHING };
    for (const node of peers.peers().filter((peer) => peers.isUp(peer))) {
      peers.call(node, request, (outcome) => {
        if (outcome.status !== 'ok') return;
        known.learn(JSON.parse(Buffer.from(outcome.body).toString('utf8')) as Contact[]);
        peers.membersChanged();
      });
    }
  };
}

const NOTHING = new Uint8Array(0);

/** Two lists are the same exactly when these texts are. */
function fingerprint(meta: MetaView): string {
  return JSON.stringify(meta.members());
}

export function followMembers(
  host: Pick<ShardHost, 'meta' | 'onApplied'>,
  peers: Pick<RunningPeerNetwork, 'membersChanged'>,
): { stop(): void } {
  let known = fingerprint(host.meta());
  const stop = host.onApplied((shard) => {
    if (shard !== META_SHARD) return;
    const next = fingerprint(host.meta());
    if (next === known) return;
    known = next;
    peers.membersChanged();
  });
  return { stop };
}

/**
 * A peer says that this directory was removed. That is final, and this node's own metadata may
 * never come to say it: nobody sends it any more. Calls `retire` once.
 */
export function onceRemoved(
  retire: (by: NodeId) => void,
): (by: NodeId, refusal: { readonly reason: string }) => void {
  let isRetired = false;
  return (by, { reason }) => {
    if (isRetired || reason !== 'removed') return;
    isRetired = true;
    retire(by);
  };
}

/** What the node's other parts see of the network between nodes. */
import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';

export interface NodeIdentity {
  readonly clusterId: string;
  readonly node: NodeId;
  /** Random, written when the data directory is created (internals rule 8). */
  readonly incarnation: string;
  /** Counts the starts of this data directory. */
  readonly bootCounter: number;
}

/** A call that another node forwarded to this one, or that this node forwards. */
export interface PeerRequest {
  /** Such as `/holdfast.v1.Log/Produce`, or an internal name that starts with a dot. */
  readonly method: string;
  /** Milliseconds left; the receiver counts them on its own clock. */
  readonly timeoutMs: number;
  /** Groups calls that must run in order and fail together (one queue of one stream); '' = none. */
  readonly lane: string;
  /** Who asks, as the node that was called has found out; absent = it asked nobody. */
  readonly principal?: string;
  /** W3C trace context of what the call is part of; absent = nobody watches. */
  readonly traceparent?: string | undefined;
  readonly body: Uint8Array;
}

export type PeerAnswer =
  | { readonly status: 'ok'; readonly body: Uint8Array }
  /** `body` is an encoded holdfast.v1.Error. */
  | { readonly status: 'error'; readonly body: Uint8Array };

export type PeerCallOutcome =
  | PeerAnswer
  /** Definite: no byte of it left this node. */
  | { readonly status: 'notSent' }
  /** The connection broke, or the time ran out, after a byte went out: outcome unknown. */
  | { readonly status: 'lost' }
  | { readonly status: 'timeout' };

export interface PeerCall {
  /** Tells the other side; the outcome still comes (an answer, or `lost`). */
  cancel(): void;
}

export interface IncomingCall {
  readonly from: NodeId;
  readonly request: PeerRequest;
  /** At most one listener; called at once if already cancelled. */
  onCancel(listener: () => void): void;
  answer(answer: PeerAnswer): void;
}

export interface PeerNetwork {
  send(to: NodeId, lane: 'control' | 'bulk', messages: readonly PeerMessage[]): void;
  call(to: NodeId, request: PeerRequest, done: (outcome: PeerCallOutcome) => void): PeerCall;
  isUp(node: NodeId): boolean;
  /** Every node of the cluster but this one. */
  peers(): readonly NodeId[];
  /** Called when a node's connections came up or broke; returns the unsubscriber. */
  onPeerChange(listener: (node: NodeId, up: boolean) => void): () => void;
}

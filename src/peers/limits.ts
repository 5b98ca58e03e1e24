/** Every bound of the network between nodes, in one place. */
export interface PeerLimits {
  /** One frame on a bulk connection, header included: one append of the largest body, and more. */
  readonly maxFrameBytes: number;
  readonly maxControlFrameBytes: number;
  /** Before the handshake is over nothing longer than this is read. */
  readonly maxHandshakeBytes: number;
  /** An accepted connection must have said who it is by then. */
  readonly handshakeTimeoutMs: number;
  /** Accepted connections that have not said who they are: further ones are closed at once. */
  readonly maxPendingHandshakes: number;
  /** From the first SYN to the peer's welcome. */
  readonly dialTimeoutMs: number;
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  /** Waiting to be written or being written, per connection. */
  readonly maxQueuedBulkBytes: number;
  readonly maxQueuedControlBytes: number;
  /** One vectored write takes at most this much of the queue (and at least one item). */
  readonly maxFlushBytes: number;
  /** Calls of this node to one peer that have no outcome yet. */
  readonly maxCallsInFlight: number;
  readonly keepAliveIntervalMs: number;
  /** A control connection on which nothing moved for so long is closed. */
  readonly maxSilenceControlMs: number;
  /** Longer: a ping may wait behind megabytes on a slow link. */
  readonly maxSilenceBulkMs: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_PEER_LIMITS: PeerLimits = Object.freeze({
  maxFrameBytes: 20 * MIB,
  maxControlFrameBytes: MIB,
  maxHandshakeBytes: 1024,
  handshakeTimeoutMs: 5_000,
  maxPendingHandshakes: 64,
  dialTimeoutMs: 3_000,
  minBackoffMs: 50,
  maxBackoffMs: 1_000,
  maxQueuedBulkBytes: 64 * MIB,
  maxQueuedControlBytes: MIB,
  maxFlushBytes: 4 * MIB,
  maxCallsInFlight: 10_000,
  keepAliveIntervalMs: 2_000,
  maxSilenceControlMs: 6_000,
  maxSilenceBulkMs: 15_000,
});

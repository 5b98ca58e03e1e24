/**
 * What Raft needs from the world. The driver is the only caller. Every port takes completion
 * callbacks: no promise crosses this line, so that the simulator can run each event as a plain
 * call (internals rule 14).
 */

import type { Invite, PeerMessage } from './messages.ts';
import type {
  Entry,
  EntryId,
  LogIndex,
  Membership,
  MonotonicMs,
  NodeId,
  ReplicaId,
  ShardId,
  ShardState,
  ShardTimeMs,
  Term,
} from './types.ts';

/** One thing to make durable. Order within and across calls of `LogStore.write` is file order. */
export type LogRecord =
  | { readonly kind: 'entry'; readonly shard: ShardId; readonly entry: Entry }
  /** Replaces the shard's durable facts. The first one of a shard creates it. */
  | { readonly kind: 'state'; readonly shard: ShardId; readonly state: ShardState }
  /** A snapshot took the log's place: voids all earlier entries of the shard, sets its facts. */
  | { readonly kind: 'reset'; readonly shard: ShardId; readonly state: ShardState }
  /**
   * The replica leaves this directory: voids everything of the shard. That this id was here is
   * never forgotten (internals rule 8).
   */
  | { readonly kind: 'drop'; readonly shard: ShardId; readonly replica: ReplicaId }
  /** A body that was damaged, sent again by a peer: same index and term; voids nothing. */
  | { readonly kind: 'repair'; readonly shard: ShardId; readonly entry: Entry };

export interface WriteCallbacks {
  /**
   * In the page cache of this node: survives `kill -9`, not a power cut. Called first, at most
   * once.
   */
  onWritten?(): void;
  /** On the disk. Called exactly once, in the order of the `write` calls. */
  onDurable(): void;
}

/**
 * The log of all shards of this node. An `entry` record (shard, i) voids every earlier record of
 * that shard with index >= i, whatever its term (internals rule 1). A failed write or sync never
 * reaches a callback: the store reports it to its owner, and the process ends.
 */
export interface LogStore {
  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void;
  /**
   * Entries from `from` up to and including `to`, at least one if `from` exists, then as many as
   * fit into `maxBytes`. Only what was already written may be asked for. `onEntries` may be called
   * synchronously. Damage is an error with code `DATA_LOSS`; an index below the log's start is one
   * with code `COMPACTED`.
   */
  read(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    onEntries: (error: Error | undefined, entries: readonly Entry[]) => void,
  ): void;
}

/**
 * Sends messages to peers. Never blocks, never throws; drops when a queue is full or the peer is
 * not connected (Raft repeats what matters). Messages of one call and one `lane` keep their order.
 */
export interface Transport {
  /** `control` never waits behind `bulk` (heartbeats, votes, replies against appends). */
  send(to: NodeId, lane: 'control' | 'bulk', messages: readonly PeerMessage[]): void;
}

/** Time, and the one thing that lets inputs of one event-loop turn be handled together. */
export interface Clock {
  /** Monotonic milliseconds (fractions allowed). */
  nowMs(): MonotonicMs;
  /** Wall-clock Unix milliseconds; may jump. */
  wallMs(): ShardTimeMs;
  /** Calls back once at or after `atMs`; a later call replaces an earlier one. */
  wakeAt(atMs: MonotonicMs, wake: () => void): void;
  /**
   * Calls back once, soon, after the inputs that are already waiting (production: setImmediate).
   */
  defer(run: () => void): void;
  /** Forgets what `wakeAt` was asked. */
  cancelWake(): void;
}

/** Uniform in [0, 1). Seeded in tests and in the simulator. */
export type Rng = () => number;

/** Applies committed entries, in index order, each exactly once per process life. */
export interface StateMachine {
  /**
   * Synchronous and deterministic. The returned value goes to whoever proposed the entry here.
   * Called for `command` entries and for no-ops and configurations (so that the applied index
   * moves without gaps).
   */
  apply(shard: ShardId, entry: Entry): unknown;
  /** After the last `apply` of one pass over a shard. */
  applied(shard: ShardId, through: EntryId): void;
  /**
   * False: too many effects wait for the disk, nothing is applied for now. Whoever says so calls
   * `RaftDriver.applyMore` when it is true again.
   */
  hasRoom?(): boolean;
  /**
   * The state as of `id`, which `SnapshotStore.finishReceive` has just loaded, replaces whatever
   * was there, at once. Its way to the disk is gated like that of any effect: only after this
   * node's own log is durable through `id` (`DriverEvents.onDurable`).
   */
  restore(shard: ShardId, id: EntryId): void;
}

/** A checkpoint opened for sending. */
export interface SnapshotSource {
  readonly totalBytes: number;
}

/** What a received checkpoint says about itself. */
export interface RestoredShard {
  /** The last entry that it contains. */
  readonly id: EntryId;
  /** Shard time of that entry. */
  readonly timeMs: ShardTimeMs;
  /** As of that entry. */
  readonly membership: Membership;
}

/** Where snapshots come from and go to: the shard's checkpoint files (internals rule 5). */
export interface SnapshotStore {
  /** Opens the checkpoint at the shard's log start. An error: there is none (try again later). */
  openSource(
    shard: ShardId,
    start: EntryId,
    done: (error: Error | undefined, source?: SnapshotSource) => void,
  ): void;
  /** At most `maxBytes` from `offset`; fewer only at the end. */
  readSource(
    source: SnapshotSource,
    offset: number,
    maxBytes: number,
    done: (error: Error | undefined, data?: Uint8Array) => void,
  ): void;
  closeSource(source: SnapshotSource): void;
  /**
   * `nextOffset` = bytes of `id` that a former attempt left here. Whatever belongs to another id of
   * the shard is discarded.
   */
  beginReceive(
    shard: ShardId,
    id: EntryId,
    totalBytes: number,
    done: (error: Error | undefined, nextOffset?: number) => void,
  ): void;
  /** Called with `offset` equal to the last `nextOffset`, one call at a time per shard. */
  receiveChunk(
    shard: ShardId,
    id: EntryId,
    offset: number,
    data: Uint8Array,
    done: (error: Error | undefined, nextOffset?: number) => void,
  ): void;
  /**
   * All bytes are here: verifies and syncs the file, and loads what `StateMachine.restore` swaps
   * in. An error: it did not verify, and is gone.
   */
  finishReceive(
    shard: ShardId,
    id: EntryId,
    done: (error: Error | undefined, restored?: RestoredShard) => void,
  ): void;
}

/** What others may want to know at once: who leads, and what is durable here. */
export interface DriverEvents {
  /** `leader` undefined = none known. Called on every change of (leader, term). */
  onLeader?(shard: ShardId, leader: NodeId | undefined, term: Term): void;
  /** This replica leads and has applied an entry of its own term: it may speak about content. */
  onReady?(shard: ShardId, term: Term): void;
  /** This replica stopped leading. */
  onDeposed?(shard: ShardId): void;
  /** This node's own log is durable through `index`. */
  onDurable?(shard: ShardId, index: LogIndex): void;
  /** Nothing was heard of the node for an election timeout; true: it was heard of again. */
  onLiveness?(node: NodeId, isAlive: boolean): void;
  /**
   * A leader names this node as the home of a replica that is not here. Called at every repetition,
   * for a shard that is not held, or held under a smaller id that has to give way.
   */
  onInvite?(from: NodeId, invite: Invite): void;
}

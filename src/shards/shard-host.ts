/** The shards of this node behind one face (api.ts): Raft driver, replicated states, readers. */
import type { ProposalOutcome, RaftDriver, ReadOutcome } from '../../raft/driver.ts';
import type { DriverEvents, LogStore } from '../../raft/ports.ts';
import type { Entry, LogIndex, NodeId, ShardId, ShardTimeMs } from '../../raft/types.ts';
import { bodyCrcOf } from '../../storage/record.ts';
import type { DataShard } from '../broker/api.ts';
import type { QueueId } from '../broker/commands.ts';
import type { StartTimer } from '../clock.ts';
import type { MetaView } from '../cluster/api.ts';
import type { Cancellable, FetchArguments, FetchOutcome, ShardHost, ShardStatus } from './api.ts';
import type { DiskLevels } from './disk-levels.ts';
import { Fetcher } from './fetcher.ts';
import { firstKeptSince } from './kept-messages.ts';
import type { Listeners } from './listeners.ts';
import { type Flushes, type LogReads, PacedReads } from './paced-reads.ts';
import { QueueReader } from './queue-reader.ts';
import { META_SHARD, type ShardMachine } from './shard-machine.ts';
import type { StateFlush } from './state-flush.ts';
import type { QueueWaiters } from './waiters.ts';

export interface HostParts {
  readonly node: NodeId;
  readonly shards: readonly ShardId[];
  readonly driver: RaftDriver;
  readonly log: LogStore & Flushes & { readonly queuedBytes: number };
  /** Bytes that may wait for this node's disk (`log.maxQueuedBytes`). */
  readonly maxQueuedBytes: number;
  readonly machine: ShardMachine;
  readonly flush: StateFlush;
  readonly waiters: QueueWaiters;
  readonly meta: MetaView;
  readonly disks: DiskLevels;
  readonly leadership: Listeners<[ShardId]>;
  readonly applied: Listeners<[ShardId]>;
  readonly startTimer: StartTimer;
}

/** What Raft tells about leadership and durability, passed on to whom it concerns. */
export function driverEvents(
  flush: StateFlush,
  waiters: QueueWaiters,
  leadership: Listeners<[ShardId]>,
  others: Pick<Required<DriverEvents>, 'onInvite' | 'onLiveness'>,
): DriverEvents {
  return {
    onLeader: (shard) => leadership.call(shard),
    onReady: (shard) => leadership.call(shard),
    onDeposed: (shard) => {
      waiters.wakeShard(shard, 'deposed');
      leadership.call(shard);
    },
    onDurable: (shard, index) => flush.durable(shard, index),
    ...others,
  };
}

/** Whoever finds damage gets the error; the entry is asked for at the other replicas meanwhile. */
function reportingReads(log: LogReads, driver: RaftDriver): LogReads {
  return {
    read: (shard, from, to, maxBytes, onEntries) =>
      log.read(shard, from, to, maxBytes, (error, entries) => {
        if (error !== undefined) driver.readFailed(shard, error, from);
        onEntries(error, entries);
      }),
  };
}

export class LocalShardHost implements ShardHost {
  readonly #parts: HostParts;
  readonly #fetcher: Fetcher;
  readonly #reads: PacedReads;
  #turnBytes = 0;

  constructor(parts: HostParts) {
    this.#parts = parts;
    const { driver, flush, log, machine, waiters } = parts;
    this.#reads = new PacedReads(reportingReads(log, driver), log);
    this.#fetcher = new Fetcher(
      {
        isReady: (shard) => driver.isReady(shard),
        leaderOf: (shard) => driver.leaderOf(shard),
        queue: (shard, queueId) =>
          machine.holds(shard) ? machine.data(shard).queue(queueId) : undefined,
        compactedKeys: (shard) =>
          machine.holds(shard) ? machine.data(shard).compactedKeys : undefined,
        shardTimeMs: (shard) => driver.shardTimeMs(shard),
        readIndex: (shard, done) => driver.readIndex(shard, done),
      },
      new QueueReader(flush, driver, this.#reads),
      waiters,
    );
  }

  get node(): NodeId {
    return this.#parts.node;
  }

  /** Of the log, giving way to writers. */
  get reads(): LogReads {
    return this.#reads;
  }

  shards(): readonly ShardId[] {
    return this.#parts.shards;
  }

  holds(shard: ShardId): boolean {
    return this.#parts.driver.holds(shard);
  }

  leaderOf(shard: ShardId): NodeId | undefined {
    return this.#parts.driver.leaderOf(shard);
  }

  isReady(shard: ShardId): boolean {
    return this.#parts.driver.isReady(shard);
  }

  onLeadership(listener: (shard: ShardId) => void): () => void {
    return this.#parts.leadership.add(listener);
  }

  onApplied(listener: (shard: ShardId) => void): () => void {
    return this.#parts.applied.add(listener);
  }

  shardTimeMs(shard: ShardId): ShardTimeMs {
    return this.#parts.driver.shardTimeMs(shard);
  }

  startTimer(delayMs: number, fire: () => void): () => void {
    return this.#parts.startTimer(delayMs, fire);
  }

  propose(
    shard: ShardId,
    head: Uint8Array,
    payload: Uint8Array,
    level: 'majorityFsync' | 'majority' | 'leader',
    done: (outcome: ProposalOutcome) => void,
  ): void {
    const bytes = head.length + payload.length;
    if (this.#isBacklogged(bytes)) {
      done({ status: 'overloaded' });
      return;
    }
    this.#countTurn(bytes);
    const bodyCrc = bodyCrcOf(head, payload);
    this.#parts.driver.propose(shard, { head, payload, bodyCrc }, level, done);
  }

  /** The disk or the state store is behind: nothing new is taken in until it has caught up. */
  #isBacklogged(bytes: number): boolean {
    const { flush, log, maxQueuedBytes } = this.#parts;
    return flush.isBacklogged || log.queuedBytes + this.#turnBytes + bytes > maxQueuedBytes;
  }

  /** What was proposed in this turn of the event loop reaches the log only at its end. */
  #countTurn(bytes: number): void {
    if (this.#turnBytes === 0) {
      setImmediate(() => {
        this.#turnBytes = 0;
      });
    }
    this.#turnBytes += bytes;
  }

  readIndex(shard: ShardId, done: (outcome: ReadOutcome) => void): void {
    this.#parts.driver.readIndex(shard, done);
  }

  fullDisk(shard: ShardId): NodeId | undefined {
    return this.#parts.disks.fullNode(shard);
  }

  data(shard: ShardId): DataShard {
    return this.#parts.machine.data(shard);
  }

  meta(): MetaView {
    return this.#parts.meta;
  }

  fetch(args: FetchArguments, done: (outcome: FetchOutcome) => void): Cancellable {
    return this.#fetcher.fetch(args, done);
  }

  offsetAtTime(
    shard: ShardId,
    queueId: QueueId,
    atMs: ShardTimeMs,
    done: (error: Error | undefined, offset: number) => void,
  ): void {
    const queue = this.data(shard).queue(queueId);
    if (queue === undefined) {
      done(new Error(`queue ${queueId} is not open`), 0);
      return;
    }
    const { compaction, endOffset, startOffset } = queue;
    const onOffset = (error: Error | undefined, offset: number): void => {
      if (error !== undefined || compaction === undefined) done(error, offset);
      else this.#withinRow(shard, queueId, offset, atMs, (within) => done(undefined, within));
    };
    this.#parts.flush.firstOffsetAtTime(shard, queueId, startOffset, endOffset, atMs, onOffset);
  }

  /** A compacted row has the time of its last batch. What cannot be read begins where it does. */
  #withinRow(
    shard: ShardId,
    queueId: QueueId,
    offset: number,
    atMs: ShardTimeMs,
    done: (offset: number) => void,
  ): void {
    this.#parts.flush.rowsFrom(shard, queueId, offset, 1, (_, [row]) => {
      if (row === undefined) done(offset);
      else {
        this.readEntry(shard, row.index, (_error, entry) => {
          if (entry?.term !== row.term) done(offset);
          else done(Math.max(offset, firstKeptSince(row, entry, atMs)));
        });
      }
    });
  }

  readEntry(
    shard: ShardId,
    index: LogIndex,
    done: (error: Error | undefined, entry: Entry | undefined) => void,
  ): void {
    const cached = this.#parts.driver.cachedEntries(shard, index, index, 1);
    if (cached !== undefined) done(undefined, cached[0]);
    else this.#reads.read(shard, index, index, 1, (error, entries) => done(error, entries[0]));
  }

  #counts(shard: ShardId): Pick<ShardStatus, 'counts'> {
    const { machine } = this.#parts;
    if (shard === META_SHARD || !machine.holds(shard)) return {};
    return { counts: machine.data(shard).counts() };
  }

  status(): readonly ShardStatus[] {
    return this.#parts.driver.shards().map((shard) => {
      const status = this.#parts.driver.status(shard);
      return {
        shard,
        leader: status.leader,
        term: status.term,
        commitIndex: status.commit,
        appliedIndex: status.applied,
        suspect: status.suspect === true,
        ...this.#counts(shard),
        replicas: status.replicas,
      };
    });
  }
}

/**
 * The giving side of a snapshot, a leader's or that of anybody who is asked: offers the checkpoint
 * at its log's start, sends chunks within a window, goes back to where the receiver says that it
 * is. Nothing here runs on a timer: what got lost is offered again when the shard is looked at
 * anyway (a heartbeat was answered, somebody asked again).
 */
import type { DriverContext } from './driver-context.ts';
import type { ShardRunner } from './driver-shard.ts';
import type { SnapshotChunk, SnapshotReply, SnapshotRequest } from './messages.ts';
import type { SnapshotSource, SnapshotStore } from './ports.ts';
import { votersOf } from './quorum.ts';
import { EMPTY_BYTES, type EntryId, type MonotonicMs, type ReplicaId, type Term } from './types.ts';

interface Sending {
  readonly runner: ShardRunner;
  readonly to: ReplicaId;
  readonly term: Term;
  readonly id: EntryId;
  source: SnapshotSource | undefined;
  /** The receiver answered the offer: it has everything before `acked`. */
  isAccepted: boolean;
  acked: number;
  /** The next byte to send. */
  next: number;
  /** Went back to here already: the answers to what else was on its way say the same again. */
  rewoundTo: number;
  isReading: boolean;
  /** The last sign of progress, or the last offer. */
  movedMs: MonotonicMs;
  /** The receiver asked by itself; the last time that it showed that it still wants it. */
  wantedMs: MonotonicMs;
  isEnded: boolean;
}

export class SnapshotSender {
  readonly #context: DriverContext;
  readonly #store: SnapshotStore;
  readonly #sendings = new Map<string, Sending>();
  /** When the file could not be read: it is looked at again, but not at every pass. */
  readonly #failedMs = new Map<string, MonotonicMs>();
  /** While leading without a checkpoint to give: how many voters were asked for theirs. */
  readonly #heirsAsked = new Map<ShardRunner, number>();

  constructor(context: DriverContext, store: SnapshotStore) {
    this.#context = context;
    this.#store = store;
  }

  /** At every pass over a shard: begins, goes on, ends. */
  look(runner: ShardRunner): void {
    const targets = runner.isStopped ? [] : runner.core.snapshotTargets();
    if (targets.length === 0) this.#heirsAsked.delete(runner);
    for (const sending of this.#sendings.values()) {
      if (sending.runner !== runner) continue;
      // A large file takes its time to be verified.
      const isAsked = sending.source === undefined || this.#isRecent(sending.wantedMs);
      const isWanted = targets.includes(sending.to) || isAsked;
      if (isWanted && sending.term === runner.core.term) this.#nudge(sending);
      else this.#end(sending);
    }
    for (const to of targets) {
      if (!this.#sendings.has(keyOf(runner, to))) this.#begin(runner, to, Number.NEGATIVE_INFINITY);
    }
  }

  #stillWanted(sending: Sending): void {
    const isAsked = sending.wantedMs !== Number.NEGATIVE_INFINITY;
    if (isAsked) sending.wantedMs = this.#context.now().nowMs;
  }

  #isRecent(atMs: MonotonicMs): boolean {
    const { config } = this.#context.options;
    return this.#context.now().nowMs - atMs < config.electionTimeoutMs;
  }

  #begin(runner: ShardRunner, to: ReplicaId, wantedMs: MonotonicMs): void {
    const { config } = this.#context.options;
    const { term, log } = runner.core;
    if (this.#sendings.size >= config.maxOutgoingSnapshots) return;
    const key = keyOf(runner, to);
    if (this.#isRecent(this.#failedMs.get(key) ?? Number.NEGATIVE_INFINITY)) return;
    this.#failedMs.delete(key);
    const sending: Sending = {
      ...{ runner, to, term, id: log.start },
      source: undefined,
      isAccepted: false,
      ...{ acked: 0, next: 0, rewoundTo: -1 },
      isReading: false,
      movedMs: this.#context.now().nowMs,
      wantedMs,
      isEnded: false,
    };
    this.#sendings.set(key, sending);
    this.#store.openSource(runner.shard, log.start, (error, source) => {
      if (sending.isEnded) {
        if (source !== undefined) this.#store.closeSource(source);
      } else if (error !== undefined || source === undefined) this.#fail(sending);
      else {
        sending.source = source;
        this.#stillWanted(sending);
        this.#heirsAsked.delete(runner);
        this.#offer(sending);
      }
    });
  }

  #fail(sending: Sending): void {
    this.#failedMs.set(keyOf(sending.runner, sending.to), this.#context.now().nowMs);
    this.#end(sending);
    if (sending.runner.core.role === 'leader') this.#seekHeir(sending.runner);
  }

  /**
   * The checkpoint is damaged or gone, and nothing else could take its place: the log before it is
   * trimmed. Another voter may lead who has one, of either half of a joint configuration: asked for
   * it, it offers it only if it verifies. Or one whose log is whole, who says so. One per attempt
   * is asked, in turn; not who waits for a snapshot itself: an empty log is whole, too, and could
   * not get the rest.
   */
  #seekHeir(runner: ShardRunner): void {
    const { core } = runner;
    const { self: from, term, currentMembership, log } = core;
    const heirs = votersOf(currentMembership.config).filter(
      (voter) => voter !== from && core.matchOf(voter) >= log.start.index,
    );
    const asked = this.#heirsAsked.get(runner) ?? 0;
    const to = heirs[asked % heirs.length];
    const node = to === undefined ? undefined : runner.nodeOf(to);
    this.#heirsAsked.set(runner, asked + 1);
    if (to === undefined || node === undefined) return;
    const { shard } = runner;
    const request = { type: 'snapshotRequest', shard, from, to, term, through: 0 } as const;
    this.#context.say(node, request);
  }

  /** What comes to a leader is the offer of somebody who could give what it cannot. */
  offered(runner: ShardRunner, { from }: SnapshotChunk | SnapshotReply): void {
    if (this.#heirsAsked.delete(runner)) runner.core.transferTo(from, this.#context.now());
  }

  #end(sending: Sending): void {
    if (sending.isEnded) return;
    sending.isEnded = true;
    this.#sendings.delete(keyOf(sending.runner, sending.to));
    if (sending.source !== undefined) this.#store.closeSource(sending.source);
  }

  #offer(sending: Sending): void {
    sending.isAccepted = false;
    sending.movedMs = this.#context.now().nowMs;
    this.#say(sending, 0, EMPTY_BYTES);
  }

  /** Nothing moved for two heartbeat intervals: something got lost. */
  #nudge(sending: Sending): void {
    const { nowMs } = this.#context.now();
    const { heartbeatIntervalMs } = this.#context.options.config;
    if (sending.source === undefined || sending.isReading) return;
    if (nowMs - sending.movedMs >= 2 * heartbeatIntervalMs) this.#offer(sending);
  }

  #say(sending: Sending, offset: number, data: Uint8Array): void {
    const { runner, to, term, id, source } = sending;
    const node = runner.nodeOf(to);
    if (node === undefined || source === undefined) return;
    const address = { shard: runner.shard, from: runner.core.self, to, term };
    const { totalBytes } = source;
    this.#context.say(node, { type: 'snapshotChunk', ...address, id, totalBytes, offset, data });
  }

  /** Whoever asks gets it, whoever leads: what a checkpoint covers is committed. */
  requested(runner: ShardRunner, { from, through }: SnapshotRequest): void {
    const { core } = runner;
    const { start } = core.log;
    if (core.isSuspect || start.index < through) return;
    // A leader asks in search of an heir: whoever may not lead would only hold up its proposals.
    if (from === core.leader && !core.isIntact) return;
    if (start.index === 0) {
      this.#sayWhole(runner, from);
      return;
    }
    const { nowMs } = this.#context.now();
    const sending = this.#sendings.get(keyOf(runner, from));
    if (sending === undefined) this.#begin(runner, from, nowMs);
    else sending.wantedMs = nowMs;
  }

  /** Before its first entry nothing is missing: no snapshot is needed to follow this log. */
  #sayWhole(runner: ShardRunner, to: ReplicaId): void {
    const node = runner.nodeOf(to);
    if (node === undefined) return;
    const { self: from, term, log } = runner.core;
    const address = { shard: runner.shard, from, to, term };
    const reply = { type: 'snapshotReply', ...address, id: log.start } as const;
    this.#context.say(node, { ...reply, nextOffset: 0, done: true });
  }

  received(runner: ShardRunner, reply: SnapshotReply): void {
    if (reply.done && reply.id.index === 0) this.offered(runner, reply);
    const sending = this.#sendings.get(keyOf(runner, reply.from));
    if (sending?.source === undefined || sending.id.index !== reply.id.index) return;
    if (sending.term !== reply.term || runner.core.term !== reply.term) return;
    this.#stillWanted(sending);
    if (reply.done) {
      this.#end(sending);
      runner.core.snapshotDone(reply.from, sending.id);
      this.#context.markDirty(runner);
      return;
    }
    const { totalBytes } = sending.source;
    if (reply.nextOffset > totalBytes) return;
    // It had everything, and that was damaged: if on this disk, the next look at the file tells.
    if (reply.nextOffset === 0 && sending.acked === totalBytes) {
      this.#end(sending);
      this.#context.markDirty(runner);
      return;
    }
    this.#moved(sending, reply.nextOffset);
    this.#fill(sending);
  }

  #moved(sending: Sending, nextOffset: number): void {
    const isAhead = nextOffset > sending.acked;
    const isLoss = !sending.isAccepted || nextOffset < sending.acked || nextOffset > sending.next;
    const isRepeated = nextOffset === sending.acked && sending.rewoundTo !== nextOffset;
    if (isAhead || !sending.isAccepted) sending.movedMs = this.#context.now().nowMs;
    if (isLoss || (isRepeated && sending.next > nextOffset)) {
      sending.next = nextOffset;
      sending.rewoundTo = nextOffset;
    }
    sending.isAccepted = true;
    sending.acked = nextOffset;
  }

  /** Reads ahead of the answers, one chunk after another, as far as the window allows. */
  #fill(sending: Sending): void {
    const { source, next, acked } = sending;
    const { snapshotChunkBytes, maxInflightSnapshotChunks } = this.#context.options.config;
    if (source === undefined || sending.isEnded || sending.isReading) return;
    if (!sending.isAccepted || next >= source.totalBytes) return;
    if (next - acked >= snapshotChunkBytes * maxInflightSnapshotChunks) return;
    sending.isReading = true;
    this.#store.readSource(source, next, snapshotChunkBytes, (error, data) => {
      sending.isReading = false;
      if (sending.isEnded) return;
      if (error !== undefined || data === undefined || data.length === 0) {
        this.#fail(sending);
        return;
      }
      // An answer may have sent it back meanwhile.
      if (sending.next === next) {
        this.#say(sending, next, data);
        sending.next += data.length;
      }
      this.#fill(sending);
    });
  }

  stop(): void {
    for (const sending of this.#sendings.values()) this.#end(sending);
  }
}

function keyOf(runner: ShardRunner, to: ReplicaId): string {
  return `${runner.shard}/${to}`;
}

/**
 * Damaged entries and whoever has them intact: asks the other replicas in turn, whoever leads, and
 * answers when it is asked.
 */
import type { DriverContext } from './driver-context.ts';
import type { ShardRunner } from './driver-shard.ts';
import { errorCode, RaftErrorCode } from './errors.ts';
import { membersOf } from './membership.ts';
import type { RepairReply, RepairRequest } from './messages.ts';
import type { Entry, EntryId, LogIndex, MonotonicMs, ReplicaId } from './types.ts';

interface Asking {
  /** How many were asked so far: the other members, then the own disk again. */
  asked: number;
  askedMs: MonotonicMs;
  /** One whose log has left it behind. */
  trimmed: ReplicaId | undefined;
}

/** Damaged entries that are asked for at a time, per shard. */
const MAX_REPAIRS = 16;

export class Repairs {
  readonly #context: DriverContext;
  readonly #asking = new Map<ShardRunner, Map<LogIndex, Asking>>();

  constructor(context: DriverContext) {
    this.#context = context;
  }

  /**
   * A read failed. True: it is a damaged entry that another replica may have; the reader tries
   * again when it is repaired.
   */
  noticed(runner: ShardRunner, error: Error, at: LogIndex): boolean {
    const { core } = runner;
    if (errorCode(error) !== RaftErrorCode.dataLoss || this.#others(runner).length === 0) {
      return false;
    }
    const term = core.log.term(at);
    const id = idOf(error) ?? (term === undefined ? undefined : { index: at, term });
    if (id === undefined) return false;
    if (core.noteDamage(id)) this.#context.markDirty(runner);
    return core.isDamaged(id.index);
  }

  look(runner: ShardRunner): void {
    if (runner.isStopped || runner.core.isIntact) {
      this.#asking.delete(runner);
      return;
    }
    const damaged = runner.core.damagedEntries();
    const known = this.#asking.get(runner) ?? new Map<LogIndex, Asking>();
    const asking = new Map<LogIndex, Asking>();
    for (const id of damaged.slice(0, MAX_REPAIRS)) {
      const fresh = { asked: 0, askedMs: Number.NEGATIVE_INFINITY, trimmed: undefined };
      asking.set(id.index, known.get(id.index) ?? fresh);
    }
    this.#asking.set(runner, asking);
    for (const id of damaged.slice(0, MAX_REPAIRS)) this.#askAgain(runner, id);
  }

  /** When to look again: without a leader nothing else may happen for long. */
  deadlineOf(runner: ShardRunner): MonotonicMs {
    let dueMs = Number.POSITIVE_INFINITY;
    // Most nodes have no damage, and this is asked for each shard at each pass.
    if (this.#asking.size === 0) return dueMs;
    for (const { askedMs } of this.#asking.get(runner)?.values() ?? []) {
      dueMs = Math.min(dueMs, askedMs + this.#pauseMs);
    }
    return dueMs;
  }

  get #pauseMs(): number {
    return 2 * this.#context.options.config.heartbeatIntervalMs;
  }

  #askAgain(runner: ShardRunner, id: EntryId): void {
    const { nowMs } = this.#context.now();
    const asking = this.#asking.get(runner)?.get(id.index);
    if (asking === undefined || nowMs - asking.askedMs < this.#pauseMs) return;
    asking.askedMs = nowMs;
    this.#ask(runner, id, asking);
  }

  #ask(runner: ShardRunner, id: EntryId, asking: Asking): void {
    const others = this.#others(runner);
    const turn = asking.asked++ % (others.length + 1);
    if (turn === others.length) {
      this.#readAgain(runner, id, asking);
      return;
    }
    const to = others[turn];
    const node = to === undefined ? undefined : runner.nodeOf(to);
    if (to === undefined || node === undefined) return;
    const { self: from, term } = runner.core;
    const address = { shard: runner.shard, from, to, term };
    this.#context.say(node, { type: 'repairRequest', ...address, id });
  }

  /** A disk that failed to read may read the next time; the entry then moves to fresh sectors. */
  #readAgain(runner: ShardRunner, id: EntryId, asking: Asking): void {
    this.#context.options.store.read(runner.shard, id.index, id.index, 1, (_error, [entry]) => {
      if (runner.isStopped || this.#asking.get(runner)?.get(id.index) !== asking) return;
      if (entry?.index === id.index && entry.term === id.term) {
        runner.core.repair(entry);
        this.#context.markDirty(runner);
      } else this.#askSnapshot(runner, id, asking);
    });
  }

  #others(runner: ShardRunner): number[] {
    const { self, currentMembership } = runner.core;
    return membersOf(currentMembership.config).filter((replica) => replica !== self);
  }

  requested(runner: ShardRunner, { from, id }: RepairRequest): void {
    const { core, shard } = runner;
    const { log } = core;
    const isTrimmed = id.index <= log.start.index;
    const isHere = !isTrimmed && log.matches(id.index, id.term) && !core.isDamaged(id.index);
    const cached = isHere ? log.entry(id.index) : undefined;
    if (!isHere || cached !== undefined) {
      this.#answer(runner, from, id, cached, isTrimmed);
      return;
    }
    this.#context.options.store.read(shard, id.index, id.index, 1, (error, [entry]) => {
      if (runner.isStopped) return;
      if (error !== undefined) this.noticed(runner, error, id.index);
      const isSame = entry?.index === id.index && entry.term === id.term;
      this.#answer(runner, from, id, isSame ? entry : undefined, false);
    });
  }

  #answer(
    runner: ShardRunner,
    to: ReplicaId,
    id: EntryId,
    entry: Entry | undefined,
    trimmed: boolean,
  ): void {
    const node = runner.nodeOf(to);
    if (node === undefined) return;
    const { shard } = runner;
    const { self: from, term } = runner.core;
    const reply = { type: 'repairReply', shard, from, to, term, id, trimmed } as const;
    this.#context.say(node, entry === undefined ? reply : { ...reply, entry });
  }

  replied(runner: ShardRunner, { from, id, entry, trimmed }: RepairReply): void {
    const asking = this.#asking.get(runner)?.get(id.index);
    if (entry !== undefined) runner.core.repair(entry);
    if (entry !== undefined || asking === undefined) return;
    if (trimmed) asking.trimmed = from;
    // Each once per interval, no more: all of them may be damaged there. The own disk is the last.
    if (asking.asked % (this.#others(runner).length + 1) !== 0) this.#ask(runner, id, asking);
  }

  /**
   * Of those who were asked one had left the entry behind, nobody had it: what comes behind it is
   * in a checkpoint. Whoever leads, and even if nobody does: this replica's log may be the longest,
   * so that only it could be elected.
   */
  #askSnapshot(runner: ShardRunner, id: EntryId, asking: Asking): void {
    const { trimmed: to } = asking;
    const node = to === undefined ? undefined : runner.nodeOf(to);
    if (to === undefined || node === undefined) return;
    asking.trimmed = undefined;
    const { self: from, term } = runner.core;
    const { shard } = runner;
    const request = { type: 'snapshotRequest', shard, from, to, term } as const;
    this.#context.say(node, { ...request, through: id.index });
  }
}

/** A store that knows which entry is damaged says so. */
function idOf(error: Error): EntryId | undefined {
  return 'damaged' in error ? (error.damaged as EntryId) : undefined;
}

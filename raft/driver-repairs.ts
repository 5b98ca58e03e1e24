/**
 * Damaged entries and whoever has them intact: asks the other replicas in turn, whoever leads, and
 * answers when it is asked. Asked again when the shard is looked at anyway: a replica with damage
 * is never quiet.
 */
import type { DriverContext } from './driver-context.ts';
import type { ShardRunner } from './driver-shard.ts';
import { errorCode, RaftErrorCode } from './errors.ts';
import { membersOf } from './membership.ts';
import type { RepairReply, RepairRequest } from './messages.ts';
import type { Entry, EntryId, LogIndex, MonotonicMs } from './types.ts';

interface Asking {
  /** How many were asked so far: the other members, then the own disk again. */
  asked: number;
  askedMs: MonotonicMs;
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
      const found = known.get(id.index) ?? { asked: 0, askedMs: Number.NEGATIVE_INFINITY };
      asking.set(id.index, found);
    }
    this.#asking.set(runner, asking);
    for (const id of damaged.slice(0, MAX_REPAIRS)) this.#askAgain(runner, id);
  }

  #askAgain(runner: ShardRunner, id: EntryId): void {
    const { nowMs } = this.#context.now();
    const asking = this.#asking.get(runner)?.get(id.index);
    const { heartbeatIntervalMs } = this.#context.options.config;
    if (asking === undefined || nowMs - asking.askedMs < 2 * heartbeatIntervalMs) return;
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
      } else this.#askSnapshot(runner, id);
    });
  }

  #others(runner: ShardRunner): number[] {
    const { self, currentMembership } = runner.core;
    return membersOf(currentMembership.config).filter((replica) => replica !== self);
  }

  requested(runner: ShardRunner, { from, id }: RepairRequest): void {
    const { core, shard } = runner;
    const { log } = core;
    const isHere = id.index > log.start.index && log.matches(id.index, id.term);
    const cached = isHere ? log.entry(id.index) : undefined;
    if (!isHere || cached !== undefined || core.isDamaged(id.index)) {
      this.#answer(runner, from, id, core.isDamaged(id.index) ? undefined : cached);
      return;
    }
    this.#context.options.store.read(shard, id.index, id.index, 1, (error, [entry]) => {
      if (runner.isStopped) return;
      if (error !== undefined) this.noticed(runner, error, id.index);
      const isSame = entry?.index === id.index && entry.term === id.term;
      this.#answer(runner, from, id, isSame ? entry : undefined);
    });
  }

  #answer(runner: ShardRunner, to: number, id: EntryId, entry: Entry | undefined): void {
    const node = runner.nodeOf(to);
    if (node === undefined) return;
    const { self: from, term } = runner.core;
    const reply = { type: 'repairReply', shard: runner.shard, from, to, term, id } as const;
    this.#context.say(node, entry === undefined ? reply : { ...reply, entry });
  }

  replied(runner: ShardRunner, { id, entry }: RepairReply): void {
    const asking = this.#asking.get(runner)?.get(id.index);
    if (entry !== undefined) runner.core.repair(entry);
    // Each once per interval, no more: all of them may be damaged there. The own disk is the last.
    else if (asking !== undefined && asking.asked % (this.#others(runner).length + 1) !== 0)
      this.#ask(runner, id, asking);
  }

  /** Nobody had it: gone from their logs, perhaps. What comes behind it is in a checkpoint. */
  #askSnapshot(runner: ShardRunner, id: EntryId): void {
    const { self: from, leader: to, term } = runner.core;
    const node = runner.nodeOf(to);
    if (node === undefined || to === from || !runner.core.lacks(id.index)) return;
    const wish = { shard: runner.shard, from, to, term, id, nextOffset: 0, done: false };
    this.#context.say(node, { type: 'snapshotReply', ...wish });
  }
}

/** A store that knows which entry is damaged says so. */
function idOf(error: Error): EntryId | undefined {
  return 'damaged' in error ? (error.damaged as EntryId) : undefined;
}

/**
 * Brings the shards that this node leads to where the metadata wants them, step by step
 * (placement-step.ts). Nothing polls: it looks when the metadata changed, when this node came to
 * lead, when a step ended, and after a failed one when a growing delay is over.
 */
import type { MembershipChange } from '../../raft/membership.ts';
import type {
  LogIndex,
  Membership,
  MonotonicMs,
  NodeId,
  ReplicaAddress,
  ReplicaId,
  ShardId,
} from '../../raft/types.ts';
import type { ShardPlacement } from './api.ts';
import { nextStep, type PlacementStep } from './placement-step.ts';

/** busy: another change is under way; nothing was done. */
export type ChangeResult = 'applied' | 'busy' | 'failed';

/** What the leader knows about one shard now. */
export interface LedShard {
  readonly self: ReplicaId;
  /** The one that rules: the newest in the log. */
  readonly membership: Membership;
  /** `membership` is committed. */
  readonly isSettled: boolean;
  readonly lastIndex: LogIndex;
  /** What the replica is known to have; 0 = unknown. */
  matchOf(replica: ReplicaId): LogIndex;
}

export interface PlacementPorts {
  placement(shard: ShardId): ShardPlacement | undefined;
  /** undefined: this node does not lead the shard, or may not speak about it yet. */
  led(shard: ShardId): LedShard | undefined;
  isUp(node: NodeId): boolean;
  change(
    shard: ShardId,
    changes: readonly MembershipChange[],
    replicas: readonly ReplicaAddress[],
    done: (result: ChangeResult) => void,
  ): void;
  transfer(shard: ShardId, to: NodeId, done: (ok: boolean) => void): void;
  /** `done(false)`: this node leads no more, or the replica left the configuration. */
  whenMatched(
    shard: ShardId,
    replica: ReplicaId,
    index: LogIndex,
    done: (matched: boolean) => void,
  ): void;
  /** Asks the metadata shard whether the version is the newest. */
  confirm(shard: ShardId, version: number, done: (ok: boolean) => void): void;
  /** Tells the metadata shard that the newest version is in place. */
  report(shard: ShardId, version: number, done: (ok: boolean) => void): void;
  nowMs(): MonotonicMs;
  /** Calls back once after `delayMs`; returns how to call it off. */
  startTimer(delayMs: number, fire: () => void): () => void;
  log(shard: ShardId, text: string): void;
}

export interface PlacementTimings {
  /** A replica has caught up when what was missing at a look arrives this fast (thesis 4.2.1). */
  readonly catchUpRoundMs: number;
  /** So long a shard has one leader, and the next one is connected, before leadership moves on. */
  readonly balanceAfterMs: number;
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
}

export const PLACEMENT_TIMINGS: PlacementTimings = Object.freeze({
  catchUpRoundMs: 500,
  balanceAfterMs: 3000,
  firstBackoffMs: 100,
  maxBackoffMs: 30_000,
});

/** One shard in one reign of this node. */
interface Work {
  readonly shard: ShardId;
  readonly sinceMs: MonotonicMs;
  /** What the last look was about. */
  seen: ShardPlacement | undefined;
  /**
   * The metadata as known here were the newest once in this reign: what leaders before reported is
   * among them. A change of an older version could bring in replicas that are retired by now; later
   * versions are reported by nobody but this leader.
   */
  isConfirmed: boolean;
  /** A step whose end is still to come. */
  isBusy: boolean;
  /** The next applied entry may end what is waited for. */
  awaitsApply: boolean;
  /** Per replica: what it has to reach, and since when. */
  readonly rounds: Map<ReplicaId, Round>;
  /** Replicas whose progress wakes us. */
  readonly watched: Set<ReplicaId>;
  backoffMs: number;
  stopTimer: (() => void) | undefined;
}

interface Round {
  readonly target: LogIndex;
  readonly startedMs: MonotonicMs;
}

export class PlacementReconciler {
  readonly #ports: PlacementPorts;
  readonly #timings: PlacementTimings;
  readonly #works = new Map<ShardId, Work>();
  readonly #upSinceMs = new Map<NodeId, MonotonicMs>();

  constructor(ports: PlacementPorts, timings: PlacementTimings = PLACEMENT_TIMINGS) {
    this.#ports = ports;
    this.#timings = timings;
  }

  /** Who leads the shard, or how far it may speak, changed. */
  leadershipChanged(shard: ShardId): void {
    const leads = this.#ports.led(shard) !== undefined;
    if (!leads) this.#drop(shard);
    else if (!this.#works.has(shard)) {
      this.#works.set(shard, this.#newWork(shard));
      this.#look(shard);
    }
  }

  /** Entries of the metadata shard were applied here. */
  metaApplied(): void {
    for (const work of [...this.#works.values()]) {
      if (this.#ports.placement(work.shard) === work.seen) continue;
      this.#calm(work);
      this.#look(work.shard);
    }
  }

  /** Entries of the shard were applied here. */
  applied(shard: ShardId): void {
    const work = this.#works.get(shard);
    if (work?.awaitsApply !== true) return;
    work.awaitsApply = false;
    this.#calm(work);
    this.#look(shard);
  }

  peerChanged(node: NodeId, up: boolean): void {
    if (up) this.#upSinceMs.set(node, this.#ports.nowMs());
    else this.#upSinceMs.delete(node);
    if (up) for (const shard of [...this.#works.keys()]) this.#look(shard);
  }

  stop(): void {
    for (const shard of [...this.#works.keys()]) this.#drop(shard);
  }

  #newWork(shard: ShardId): Work {
    return {
      shard,
      sinceMs: this.#ports.nowMs(),
      seen: undefined,
      isConfirmed: false,
      isBusy: false,
      awaitsApply: false,
      rounds: new Map(),
      watched: new Set(),
      backoffMs: this.#timings.firstBackoffMs,
      stopTimer: undefined,
    };
  }

  #drop(shard: ShardId): void {
    const work = this.#works.get(shard);
    if (work !== undefined) this.#calm(work);
    this.#works.delete(shard);
  }

  /** Forgets a wait for better times. */
  #calm(work: Work): void {
    work.stopTimer?.();
    work.stopTimer = undefined;
  }

  #look(shard: ShardId): void {
    const work = this.#works.get(shard);
    const placement = this.#ports.placement(shard);
    const led = this.#ports.led(shard);
    if (work === undefined || work.isBusy || work.stopTimer !== undefined) return;
    if (placement === undefined || led === undefined) return;
    work.seen = placement;
    const step = nextStep({
      placement,
      membership: led.membership,
      isSettled: led.isSettled,
      self: led.self,
      isCaughtUp: (replica) => this.#isCaughtUp(work, led, replica),
      isUp: (node) => this.#ports.isUp(node),
    });
    this.#take(work, placement, led, step);
  }

  #take(work: Work, placement: ShardPlacement, led: LedShard, step: PlacementStep): void {
    const { shard } = work;
    switch (step.type) {
      case 'awaitChange':
        work.awaitsApply = true;
        return;
      case 'awaitCatchUp':
        this.#awaitCatchUp(work, step.replicas);
        return;
      case 'awaitVoters':
        // Each of them wakes us when it is connected.
        return;
      case 'change':
        this.#change(work, placement, step);
        return;
      case 'handOver':
        this.#transfer(work, step.to);
        return;
      case 'report': {
        const ended = this.#begin(work);
        this.#ports.report(shard, placement.version, (ok) => ended(ok, false));
        return;
      }
      case 'balance':
        this.#balance(work, led, step.to, step.replica);
        return;
      case 'settled':
        work.rounds.clear();
        work.backoffMs = this.#timings.firstBackoffMs;
        return;
    }
  }

  #change(
    work: Work,
    { version }: ShardPlacement,
    { changes, replicas }: Extract<PlacementStep, { type: 'change' }>,
  ): void {
    if (!work.isConfirmed) {
      this.#confirm(work, version);
      return;
    }
    const texts = changes.map(({ type, node }) => `${type} ${node}`);
    this.#ports.log(work.shard, `placement ${version}: ${texts.join(', ')}`);
    const ended = this.#begin(work);
    this.#ports.change(work.shard, changes, replicas, (result) => {
      work.awaitsApply = result === 'busy';
      ended(result === 'applied', result === 'applied');
    });
  }

  #confirm(work: Work, version: number): void {
    const ended = this.#begin(work);
    this.#ports.confirm(work.shard, version, (ok) => {
      work.isConfirmed ||= ok;
      ended(ok, ok);
    });
  }

  /** The returned function ends the step; ends of an earlier reign are ignored. */
  #begin(work: Work): (ok: boolean, goOn: boolean) => void {
    work.isBusy = true;
    return (ok, goOn) => {
      work.isBusy = false;
      if (this.#works.get(work.shard) !== work) return;
      const isNews = this.#ports.placement(work.shard) !== work.seen;
      if (goOn) work.backoffMs = this.#timings.firstBackoffMs;
      if (goOn || isNews) this.#look(work.shard);
      else if (!ok) this.#backOff(work);
    };
  }

  #backOff(work: Work): void {
    this.#pause(work, work.backoffMs);
    work.backoffMs = Math.min(2 * work.backoffMs, this.#timings.maxBackoffMs);
  }

  #pause(work: Work, delayMs: number): void {
    this.#calm(work);
    work.stopTimer = this.#ports.startTimer(delayMs, () => {
      work.stopTimer = undefined;
      this.#look(work.shard);
    });
  }

  #transfer(work: Work, to: NodeId): void {
    this.#ports.log(work.shard, `leadership goes to node ${to}`);
    const ended = this.#begin(work);
    // When it came about, this reign is over; else what is under way here may take its time.
    this.#ports.transfer(work.shard, to, () => ended(false, false));
  }

  #balance(work: Work, led: LedShard, to: NodeId, replica: ReplicaId): void {
    const upSinceMs = this.#upSinceMs.get(to) ?? work.sinceMs;
    const stableAtMs = Math.max(work.sinceMs, upSinceMs) + this.#timings.balanceAfterMs;
    const waitMs = stableAtMs - this.#ports.nowMs();
    // Whoever is not connected wakes us when it is.
    if (!this.#ports.isUp(to)) return;
    if (waitMs > 0) this.#pause(work, waitMs);
    else if (this.#isCaughtUp(work, led, replica)) this.#transfer(work, to);
    else this.#awaitCatchUp(work, [replica]);
  }

  /** Looks again when one of them has reached its round's target. Does not hinder other looks. */
  #awaitCatchUp(work: Work, replicas: readonly ReplicaId[]): void {
    for (const replica of replicas) {
      const round = work.rounds.get(replica);
      if (round === undefined || work.watched.has(replica)) continue;
      work.watched.add(replica);
      this.#ports.whenMatched(work.shard, replica, round.target, (matched) => {
        work.watched.delete(replica);
        if (matched && this.#works.get(work.shard) === work) this.#look(work.shard);
      });
    }
  }

  #isCaughtUp(work: Work, led: LedShard, replica: ReplicaId): boolean {
    const matched = led.matchOf(replica);
    const nowMs = this.#ports.nowMs();
    const round = work.rounds.get(replica);
    if (matched >= led.lastIndex) return true;
    const isOver = round !== undefined && matched >= round.target;
    if (isOver && nowMs - round.startedMs <= this.#timings.catchUpRoundMs) return true;
    if (round === undefined || isOver) {
      work.rounds.set(replica, { target: led.lastIndex, startedMs: nowMs });
    }
    return false;
  }
}

/**
 * Brings a call to the leader of its shard, here or on another node, and waits for one where there
 * is none: on events, never by polling. A write whose bytes went out is never sent again (internals
 * rule 12); what was definitely not done is.
 */
import type { NodeId, ShardId } from '../raft/types.ts';
import type { PeerCallOutcome, PeerNetwork } from './peers/api.ts';
import { stopping } from './service/admission.ts';
import type { Call, Done } from './service/call.ts';
import type { DeadlineClock, Deadlines } from './service/deadlines.ts';
import { decodeError } from './service/error-codec.ts';
import { encodeMethod, type ShardMethod, type Target } from './service/methods.ts';
import { ShardGuide } from './shard-guide.ts';
import type { ShardHost } from './shards/api.ts';
import { CallError } from './status.ts';

/** Answers of leaders that name another one are followed so often before we wait for an event. */
const MAX_LEADER_HINTS = 2;
/**
 * After a node that should lead was out of reach or denied it, another try at the latest after
 * this: the connection may have come back without an event of its own.
 */
const UNREACHED_RETRY_MS = 200;

export interface RouterLimits {
  readonly maxWaitingCalls: number;
  readonly busyRetryAfterMs: number;
}

export type AttemptOutcome =
  | { readonly status: 'ok'; readonly answer: Uint8Array }
  | { readonly status: 'error'; readonly error: CallError }
  /** Definite: nothing was done. `leader` = who the asked node thinks leads. */
  | {
      readonly status: 'notLeader';
      readonly leader: NodeId | undefined;
      /** Another node said so; false = this node knows no leader elsewhere. */
      readonly asked: boolean;
    }
  /** Definite: the node was not reached, no byte went out. */
  | { readonly status: 'unreached' }
  /** Bytes went out and no answer came. */
  | { readonly status: 'lost' };

interface Waiter {
  readonly call: Call;
  /** The node whose connection, when it comes up, is worth another try. */
  readonly node: NodeId | undefined;
  readonly wake: () => void;
}

export interface RouterTimers {
  readonly clock: DeadlineClock;
  readonly deadlines: Deadlines;
}

export interface Routed {
  readonly method: ShardMethod;
  readonly target: Target;
  readonly body: Uint8Array;
  /** What this node read from the body already. */
  readonly parsed?: unknown;
}

export class Router {
  readonly #host: ShardHost;
  readonly #peers: PeerNetwork;
  readonly #limits: RouterLimits;
  readonly #timers: RouterTimers;
  readonly #guide: ShardGuide;
  /** Per shard, first in first out: calls of one lane keep their order. */
  readonly #waiters = new Map<ShardId, Set<Waiter>>();
  /** Counts leadership events per shard, so that none is missed between a try and a wait. */
  readonly #versions = new Map<ShardId, number>();
  #peerUps = 0;
  readonly #unsubscribe: readonly (() => void)[];
  #waiting = 0;
  #isRetired = false;

  constructor(host: ShardHost, peers: PeerNetwork, limits: RouterLimits, timers: RouterTimers) {
    this.#timers = timers;
    this.#host = host;
    this.#guide = new ShardGuide(host, () => timers.clock.nowMs(), UNREACHED_RETRY_MS);
    this.#peers = peers;
    this.#limits = limits;
    this.#unsubscribe = [
      host.onLeadership((shard) => this.#leadershipChanged(shard)),
      peers.onPeerChange((node, up) => this.#peerChanged(node, up)),
    ];
  }

  /** Calls that wait for a leader now. */
  get waiting(): number {
    return this.#waiting;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** This node is no member any more and hears of no leader: after one more try nobody waits. */
  retire(): void {
    this.#isRetired = true;
    for (const shard of [...this.#waiters.keys()]) this.#wake(shard, () => true);
  }

  /** Until it is done, refused, unknown, or the call ends. */
  route(call: Call, routed: Routed, done: Done): void {
    new Route(this, call, routed, done).next(undefined);
  }

  version(shard: ShardId): number {
    return (this.#versions.get(shard) ?? 0) + this.#peerUps;
  }

  /** Where a call for the shard would go now; undefined = nowhere. */
  leaderFor(shard: ShardId): NodeId | undefined {
    return this.#host.isReady(shard) ? this.#host.node : this.#guide.leaderOf(shard);
  }

  /** No event of this node tells when the shard's leader changes. */
  isRemote(shard: ShardId): boolean {
    return this.#guide.isRemote(shard);
  }

  /** One try at `leader` (or at whom this node knows). Never waits for a leader. */
  attempt(
    call: Call,
    routed: Routed,
    hint: NodeId | undefined,
    done: (outcome: AttemptOutcome) => void,
  ): void {
    const { shard } = routed.target;
    if (!call.isAuthorised) {
      done({ status: 'error', error: unauthorised(routed.method.name) });
      return;
    }
    if (this.#host.isReady(shard)) {
      this.#attemptHere(call, routed, done);
      return;
    }
    const leader = hint ?? this.#guide.leaderOf(shard);
    if (leader === undefined || leader === this.#host.node) {
      done({ status: 'notLeader', leader: undefined, asked: false });
      return;
    }
    this.#forward(call, routed, leader, done);
  }

  /**
   * Calls back at the next event after `version` that makes another try worthwhile. The call's
   * `abort` is taken; over the bound the call is refused.
   */
  wait(call: Call, shard: ShardId, version: number, wake: () => void, refuse: Done): void {
    if (this.version(shard) !== version) {
      wake();
      return;
    }
    if (this.#isRetired) {
      refuse(call.forwarded ? notLeader(shard, undefined) : stopping(), undefined);
      return;
    }
    if (this.#waiting >= this.#limits.maxWaitingCalls) {
      refuse(this.#busy(), undefined);
      return;
    }
    const waiter: Waiter = { call, node: this.#guide.leaderOf(shard), wake };
    const waiters = this.#waiters.get(shard);
    if (waiters === undefined) this.#waiters.set(shard, new Set([waiter]));
    else waiters.add(waiter);
    this.#waiting += 1;
    call.waitingFor = `a leader of shard ${shard}`;
    call.abort = () => {
      if (this.#waiters.get(shard)?.delete(waiter) === true) this.#waiting -= 1;
    };
  }

  /** As `wait`, for a node that should lead but was out of reach or denied it. */
  waitUnreached(call: Call, shard: ShardId, version: number, wake: () => void, refuse: Done): void {
    const atMs = this.#timers.clock.nowMs() + UNREACHED_RETRY_MS;
    const retry = {
      expire: () => {
        const abort = call.abort;
        call.abort = undefined;
        abort?.();
        if (!call.finished) wake();
      },
    };
    const woken = () => {
      this.#timers.deadlines.remove(atMs, retry);
      wake();
    };
    this.#timers.deadlines.add(atMs, retry);
    const drop: Done = (error, answer) => {
      this.#timers.deadlines.remove(atMs, retry);
      refuse(error, answer);
    };
    this.wait(call, shard, version, woken, drop);
    const leave = call.abort;
    if (leave === undefined) return;
    call.abort = () => {
      this.#timers.deadlines.remove(atMs, retry);
      leave();
    };
  }

  /** For a forwarded call: this node leads, or will in a moment, or it does not. */
  whenReady(call: Call, shard: ShardId, ready: () => void, done: Done): void {
    if (this.#host.isReady(shard)) {
      ready();
      return;
    }
    const leader = this.#host.leaderOf(shard);
    if (leader !== this.#host.node) {
      done(notLeader(shard, leader), undefined);
      return;
    }
    const again = () => {
      if (!call.finished) this.whenReady(call, shard, ready, done);
    };
    this.wait(call, shard, this.version(shard), again, done);
  }

  #busy(): CallError {
    return new CallError(
      'NODE_BUSY',
      `${this.#waiting} calls wait for a leader on this node (maxWaitingCalls): try again later`,
      { retryAfterMs: this.#limits.busyRetryAfterMs },
    );
  }

  #attemptHere(call: Call, routed: Routed, done: (outcome: AttemptOutcome) => void): void {
    const { method, target, body, parsed } = routed;
    const span = call.span?.child(`lead ${method.name}`, { shard: target.shard });
    method.perform(call, target, body, parsed, (error, answer) => {
      span?.end(error?.reason);
      if (error === undefined) done({ status: 'ok', answer: answer! });
      else done(toOutcome(error, false));
    });
  }

  #forward(
    call: Call,
    routed: Routed,
    leader: NodeId,
    done: (outcome: AttemptOutcome) => void,
  ): void {
    const { method, target, body } = routed;
    const facts = { shard: target.shard, peer: leader };
    const span = call.span?.child(`forward ${method.name}`, facts);
    const request = {
      method: encodeMethod(method.name, target),
      timeoutMs: Math.ceil(call.remainingMs),
      lane: call.lane,
      ...(call.principal === '' ? {} : { principal: call.principal }),
      traceparent: span?.traceparent,
      body,
    };
    if (method.kind === 'write') call.mayHaveTakenEffect = true;
    call.waitingFor = `node ${leader}, the leader of shard ${target.shard}`;
    let settled = false;
    const peerCall = this.#peers.call(leader, request, (outcome) => {
      settled = true;
      call.abort = undefined;
      const seen = fromPeer(outcome, target.shard);
      span?.end(seen.status === 'ok' ? undefined : reasonOf(seen));
      if (call.finished) return;
      this.#learn(target.shard, leader, seen);
      if (seen.status === 'notLeader') call.mayHaveTakenEffect = false;
      done(seen);
    });
    if (!settled) call.abort = () => peerCall.cancel();
  }

  /** What an answer says about a shard that lives elsewhere; whoever waits may try anew. */
  #learn(shard: ShardId, asked: NodeId, outcome: AttemptOutcome): void {
    if (!this.#guide.isRemote(shard)) return;
    if (outcome.status === 'ok') this.#guide.answered(shard, asked);
    else if (outcome.status !== 'error') {
      const leader = outcome.status === 'notLeader' ? outcome.leader : undefined;
      if (this.#guide.denied(shard, asked, leader)) this.#leadershipChanged(shard);
    }
  }

  #leadershipChanged(shard: ShardId): void {
    this.#versions.set(shard, (this.#versions.get(shard) ?? 0) + 1);
    this.#wake(shard, () => true);
  }

  #peerChanged(node: NodeId, up: boolean): void {
    if (!up) return;
    this.#peerUps += 1;
    for (const shard of [...this.#waiters.keys()]) {
      this.#wake(shard, (waiter) => waiter.node === node);
    }
  }

  #wake(shard: ShardId, picks: (waiter: Waiter) => boolean): void {
    const waiters = this.#waiters.get(shard);
    if (waiters === undefined) return;
    // Taken out whole: whoever waits again while we wake the others goes into a new set.
    this.#waiters.delete(shard);
    const kept = new Set<Waiter>();
    for (const waiter of waiters) {
      if (!waiter.call.finished && !picks(waiter)) {
        kept.add(waiter);
        continue;
      }
      this.#waiting -= 1;
      if (waiter.call.finished) continue;
      waiter.call.abort = undefined;
      waiter.wake();
    }
    if (kept.size === 0) return;
    for (const waiter of this.#waiters.get(shard) ?? []) kept.add(waiter);
    this.#waiters.set(shard, kept);
  }
}

/** One call on its way to a leader. */
class Route {
  readonly #router: Router;
  readonly #call: Call;
  readonly #routed: Routed;
  readonly #done: Done;
  #hints = 0;

  constructor(router: Router, call: Call, routed: Routed, done: Done) {
    this.#router = router;
    this.#call = call;
    this.#routed = routed;
    this.#done = done;
  }

  next(hint: NodeId | undefined): void {
    const version = this.#router.version(this.#routed.target.shard);
    this.#router.attempt(this.#call, this.#routed, hint, (outcome) =>
      this.#settle(outcome, version),
    );
  }

  #settle(outcome: AttemptOutcome, version: number): void {
    switch (outcome.status) {
      case 'ok':
        this.#done(undefined, outcome.answer);
        return;
      case 'error':
        this.#done(outcome.error, undefined);
        return;
      case 'lost':
        if (this.#routed.method.kind === 'write') {
          this.#done(lostWrite(), undefined);
          return;
        }
        this.#waitUnreached(version);
        return;
      case 'unreached':
        this.#waitUnreached(version);
        return;
      case 'notLeader':
        if (outcome.leader !== undefined && this.#hints < MAX_LEADER_HINTS) {
          this.#hints += 1;
          this.next(outcome.leader);
          return;
        }
        if (outcome.asked || this.#router.isRemote(this.#routed.target.shard)) {
          this.#waitUnreached(version);
        } else this.#wait(version);
        return;
    }
  }

  #wait(version: number): void {
    const { shard } = this.#routed.target;
    this.#router.wait(this.#call, shard, version, () => this.#again(), this.#done);
  }

  #waitUnreached(version: number): void {
    const { shard } = this.#routed.target;
    this.#router.waitUnreached(this.#call, shard, version, () => this.#again(), this.#done);
  }

  #again(): void {
    this.#hints = 0;
    if (!this.#call.finished) this.next(undefined);
  }
}

/** A bug of ours: what the call needs was not demanded (permissions.ts). */
export function unauthorised(name: string): CallError {
  return new CallError('INTERNAL', `internal error: nobody asked whether ${name} is allowed`, {
    outcomeUnknown: false,
  });
}

function fromPeer(outcome: PeerCallOutcome, shard: ShardId): AttemptOutcome {
  switch (outcome.status) {
    case 'ok':
      return { status: 'ok', answer: outcome.body };
    case 'error':
      return toOutcome(decodeError(outcome.body), true);
    case 'notSent':
      return { status: 'unreached' };
    case 'lost':
      return { status: 'lost' };
    case 'timeout':
      return {
        status: 'error',
        error: new CallError(
          'DEADLINE_EXCEEDED',
          `the deadline passed while the leader of shard ${shard} was at work: outcome unknown`,
        ),
      };
  }
}

/** For whoever watches. */
function reasonOf(outcome: Exclude<AttemptOutcome, { status: 'ok' }>): string {
  return outcome.status === 'error' ? outcome.error.reason : outcome.status;
}

function toOutcome(error: CallError, asked: boolean): AttemptOutcome {
  if (error.reason !== 'NOT_LEADER') return { status: 'error', error };
  const leader = Number(error.metadata.leader ?? 0);
  return { status: 'notLeader', leader: leader > 0 ? leader : undefined, asked };
}

/** Definite: this node does not lead, and did nothing. */
export function notLeader(shard: ShardId, leader: NodeId | undefined): CallError {
  return new CallError(
    'NOT_LEADER',
    `the leader of shard ${shard} changed: nothing was done, try again`,
    { metadata: leader === undefined ? {} : { leader: String(leader) } },
  );
}

export function lostWrite(): CallError {
  return new CallError(
    'OUTCOME_UNKNOWN',
    'the connection to the leader broke before its answer came: the write may have taken effect',
  );
}

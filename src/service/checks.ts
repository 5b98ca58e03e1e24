/**
 * PollChecks: asks every node for the due checks of the shards that it leads, answers with the
 * first that has some, and takes along what the others had already leased. What reached the client
 * is told to the leaders then: only that counts as a check.
 */
import type { NodeId } from '../../raft/types.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import { checkedNumber, MAX_INT32 } from '../convert.ts';
import type { PeerCall, PeerNetwork } from '../peers/api.ts';
import { type Router, unauthorised } from '../router.ts';
import type { Caller } from '../security/caller.ts';
import { DEMANDS } from '../security/permissions.ts';
import { type Call, type Calls, type Done, OWN_CALL } from './call.ts';
import type { ChecksQuestion } from './check-collector.ts';
import { type CollectedChecks, decodeCollected, type ShardLeases } from './collected-checks.ts';
import type { ServiceConfig } from './config.ts';
import { encodeJson, type InternalMethods } from './internal-methods.ts';
import type { ServiceMeters } from './meters.ts';
import { type NodeMethod, shardTarget } from './methods.ts';
import { decodeRequest, type Proto, type ProtoMethod } from './proto.ts';
import { checkGroup } from './transactions.ts';

export const POLL_CHECKS_PATH = '/holdfast.v1.Transactions/PollChecks';
export const WATCH_CHECKS_PATH = '/holdfast.v1.Transactions/WatchChecks';

/** What a forwarded poll may take beyond its wait, before it counts as lost. */
const ANSWER_SLACK_MS = 5_000;

interface PollChecksRequest {
  readonly producer_group: string;
  readonly max_checks?: number;
  readonly max_wait_ms?: number;
  readonly check_lease_ms: number;
}

export interface CheckParts {
  readonly peers: PeerNetwork;
  readonly calls: Calls;
  readonly router: Router;
  readonly methods: InternalMethods;
  /** What every node does for a poll, this one too. */
  readonly collect: NodeMethod;
  readonly proto: Proto;
  readonly config: ServiceConfig;
  readonly meters: ServiceMeters;
}

export class CheckCalls {
  readonly #parts: CheckParts;
  readonly #poll: ProtoMethod;
  readonly #watch: ProtoMethod;

  constructor(parts: CheckParts) {
    this.#parts = parts;
    this.#poll = parts.proto.method(POLL_CHECKS_PATH);
    this.#watch = parts.proto.method(WATCH_CHECKS_PATH);
  }

  /** A unary PollChecks of a client. */
  poll(call: Call, request: Uint8Array, done: Done): void {
    const asked = decodeRequest<PollChecksRequest>(this.#poll, request);
    call.demand(DEMANDS.decideAs, asked.producer_group);
    const waitMs = checkedNumber('max_wait_ms', asked.max_wait_ms ?? 0, MAX_INT32);
    const { longPollMarginMs, maxWaitMs } = this.#parts.config;
    const leftMs = Math.floor(call.remainingMs) - longPollMarginMs;
    const longestMs = Math.max(0, Math.min(waitMs, leftMs, maxWaitMs));
    const question = this.#question(asked, longestMs, call.principal);
    this.broadcast(call, question, ({ leases, answer }) => {
      call.onSent = () => this.delivered(leases);
      done(undefined, answer);
    });
  }

  /** Not tried twice: a check whose delivery nobody heard of does not count, and comes again. */
  delivered(leases: readonly ShardLeases[]): void {
    const { calls, config, meters, methods, router } = this.#parts;
    for (const { shard, leases: checks } of leases) {
      meters.checked(checks.length);
      const body = encodeCommand({ type: 'checksDelivered', checks });
      const call = calls.open(config.defaultCallTimeoutMs, OWN_CALL, () => {});
      router.route(
        call,
        { method: methods.propose, target: shardTarget(shard), body },
        call.finish,
      );
    }
  }

  /** What a WatchChecks stream asks again and again. */
  watchQuestion(request: Uint8Array, caller: Caller | undefined): ChecksQuestion {
    const asked = decodeRequest<PollChecksRequest>(this.#watch, request);
    caller?.hold(DEMANDS.decideAs, asked.producer_group);
    const principal = caller?.owner ?? '';
    return this.#question(asked, this.#parts.config.maxWaitMs, principal);
  }

  broadcast(call: Call, question: ChecksQuestion, done: (found: CollectedChecks) => void): void {
    if (!call.isAuthorised) throw unauthorised(this.#parts.collect.name);
    new Broadcast(this.#parts, call, question, done);
  }

  #question(asked: PollChecksRequest, waitMs: number, principal: string): ChecksQuestion {
    checkGroup(asked.producer_group);
    const { maxChecks, defaultChecks, maxCheckLeaseMs, checkIntervalMs } = this.#parts.config;
    const leaseMs = checkedNumber('check_lease_ms', asked.check_lease_ms, maxCheckLeaseMs);
    return {
      producerGroup: asked.producer_group,
      principal,
      maxChecks: checkedNumber('max_checks', asked.max_checks ?? 0, maxChecks) || defaultChecks,
      waitMs,
      leaseMs: leaseMs || checkIntervalMs,
    };
  }
}

/** One poll over all nodes. */
class Broadcast {
  readonly #parts: CheckParts;
  readonly #question: ChecksQuestion;
  readonly #call: Call;
  readonly #done: (found: CollectedChecks) => void;
  readonly #endsAtMs: number;
  /** Polls without an outcome yet, by node; our own under 0. */
  readonly #open = new Map<NodeId, PeerCall>();
  readonly #answers: CollectedChecks[] = [];
  readonly #unsubscribe: () => void;
  #merge: NodeJS.Timeout | undefined;
  #starting = true;
  #winding = false;
  #finished = false;

  constructor(
    parts: CheckParts,
    call: Call,
    question: ChecksQuestion,
    done: (found: CollectedChecks) => void,
  ) {
    const { calls, peers } = parts;
    this.#parts = parts;
    this.#question = question;
    this.#call = call;
    this.#done = done;
    this.#endsAtMs = calls.clock.nowMs() + question.waitMs;
    // A node that comes up may lead shards whose checks are due.
    this.#unsubscribe = peers.onPeerChange((node, up) => {
      if (up && !this.#winding && !this.#open.has(node)) this.#askPeer(node);
    });
    call.abort = () => this.#giveUp();
    this.#askOurselves();
    for (const node of peers.peers()) this.#askPeer(node);
    this.#starting = false;
    this.#checkEnd();
  }

  #askOurselves(): void {
    let open = true;
    const own = this.#call.child((_error, answer) => {
      open = false;
      this.#settle(0, answer);
    });
    this.#parts.collect.perform(own, encodeJson(this.#question), own.finish);
    if (open) this.#open.set(0, { cancel: () => own.cancel() });
  }

  #askPeer(node: NodeId): void {
    const leftMs = Math.max(0, Math.round(this.#endsAtMs - this.#parts.calls.clock.nowMs()));
    const request = {
      method: this.#parts.collect.name,
      timeoutMs: leftMs + ANSWER_SLACK_MS,
      lane: '',
      body: encodeJson({ ...this.#question, waitMs: leftMs }),
    };
    let open = true;
    const peerCall = this.#parts.peers.call(node, request, (outcome) => {
      open = false;
      this.#settle(node, outcome.status === 'ok' ? outcome.body : undefined);
    });
    if (open) this.#open.set(node, peerCall);
  }

  #settle(node: NodeId, answer: Uint8Array | undefined): void {
    this.#open.delete(node);
    if (this.#finished) return;
    if (answer !== undefined && answer.length > 0) {
      this.#answers.push(decodeCollected(answer));
      this.#windUp();
    }
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (this.#starting || this.#finished || this.#open.size > 0) return;
    const over = this.#parts.calls.clock.nowMs() >= this.#endsAtMs;
    if (this.#winding || over) this.#finish();
    else this.#endLater();
  }

  /** One node has checks: the others answer with what they have, soon. */
  #windUp(): void {
    if (this.#winding) return;
    this.#winding = true;
    this.#merge = setTimeout(() => this.#finish(), this.#parts.config.checksMergeMs);
    for (const peerCall of [...this.#open.values()]) peerCall.cancel();
  }

  /** No node can be asked: wait for one to come up, or for the end of the poll. */
  #endLater(): void {
    clearTimeout(this.#merge);
    const leftMs = this.#endsAtMs - this.#parts.calls.clock.nowMs();
    this.#merge = setTimeout(() => this.#finish(), Math.max(0, leftMs));
  }

  #giveUp(): void {
    for (const peerCall of [...this.#open.values()]) peerCall.cancel();
    this.#close();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#close();
    // Encoded repeated fields end to end are one list.
    const answer = Buffer.concat(this.#answers.map((one) => one.answer));
    this.#done({ leases: this.#answers.flatMap((one) => one.leases), answer });
  }

  #close(): void {
    this.#finished = true;
    clearTimeout(this.#merge);
    this.#unsubscribe();
    this.#call.abort = undefined;
  }
}

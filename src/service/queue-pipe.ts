/**
 * One queue of one ProduceStream on the node that was asked: requests leave in order, pipelined,
 * and are answered in order. What a leader definitely did not take is sent again to the next one,
 * in order; after an error the rest fails until a request says `resume` (api.md section 2).
 */
import type { NodeId } from '../../raft/types.ts';
import { type AttemptOutcome, lostWrite, notLeader, type Router } from '../router.ts';
import type { Caller } from '../security/caller.ts';
import type { CallError } from '../status.ts';
import { allowedCall, type Call, type Calls } from './call.ts';
import type { ShardMethod, Target } from './methods.ts';
import { precedingFailed } from './peer-server.ts';
import type { ProduceHead } from './request-head.ts';
import type { Span } from './spans.ts';

export interface PipeRequest {
  readonly requestId: number;
  readonly resume: boolean;
  readonly body: Uint8Array;
  readonly head: ProduceHead | undefined;
  /** Its time is over then, on the monotonic clock. */
  readonly deadlineMs: number;
  /** Refused before it got here; it still takes its turn. */
  readonly refused: CallError | undefined;
}

export interface PipeParts {
  readonly router: Router;
  readonly calls: Calls;
  readonly method: ShardMethod;
  /** Was asked, of each request, whether it may. */
  readonly caller: Caller | undefined;
  /** Of each request, for whoever watches. */
  readonly beginSpan: () => Span | undefined;
  /** Names the stream and the queue among all lanes of this node. */
  readonly laneName: string;
  readonly maxInFlight: number;
  /** In request order. */
  readonly answer: (
    request: PipeRequest,
    error: CallError | undefined,
    ack: Uint8Array | undefined,
  ) => void;
}

/** Before any version of leadership: there is nothing to wait for. */
const ANY_VERSION = -1;

interface Item {
  readonly request: PipeRequest;
  readonly target: Target | undefined;
  state: 'queued' | 'sent' | 'settled';
  /** Leadership as it was when it was sent. */
  version: number;
  error: CallError | undefined;
  ack: Uint8Array | undefined;
}

export class QueuePipe {
  readonly #parts: PipeParts;
  readonly #items: Item[] = [];
  #sent = 0;
  /** An error was answered and nobody said `resume` yet. */
  #failed = false;
  /** A leader did not take what was sent: wait for the rest, then send again. */
  #stalled = false;
  #stallVersion = 0;
  #unreached = false;
  #lane = 0;
  /** Where the requests of this lane go. */
  #node: NodeId | undefined;
  /** Waits for a leader, when stalled. */
  #wait: Call | undefined;
  #pumping = false;
  #closed = false;

  constructor(parts: PipeParts) {
    this.#parts = parts;
  }

  add(request: PipeRequest, target: Target | undefined): void {
    this.#items.push({
      request,
      target,
      state: 'queued',
      version: 0,
      error: undefined,
      ack: undefined,
    });
    this.#pump();
  }

  /** The stream is gone: what was not sent never will be. Every request is still answered for. */
  close(): void {
    this.#closed = true;
    this.#wait?.cancel();
    for (const item of this.#items.splice(0)) {
      this.#parts.answer(item.request, precedingFailed(), undefined);
    }
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#closed && !this.#stalled && this.#sent < this.#parts.maxInFlight) {
      // Looked for anew each time: what was just sent may be back in the queue.
      const item = this.#items.find((one) => one.state === 'queued');
      if (item === undefined) break;
      if (this.#failed && item.request.resume && this.#sent > 0) break;
      if (this.#mustChangeNode(item)) break;
      this.#take(item);
    }
    this.#pumping = false;
    this.#flush();
  }

  /**
   * A lane fails on the node that refused a request of it; another node would not know. So what is
   * under way must be answered before the queue goes on elsewhere.
   */
  #mustChangeNode(item: Item): boolean {
    if (item.target === undefined || this.#failed) return false;
    const leader = this.#parts.router.leaderFor(item.target.shard);
    if (leader === this.#node) return false;
    if (this.#sent > 0) {
      this.#stalled = true;
      this.#stallVersion = ANY_VERSION;
      return true;
    }
    this.#node = leader;
    this.#lane += 1;
    return false;
  }

  #take(item: Item): void {
    const { target } = item;
    const { refused, resume } = item.request;
    if (this.#failed && !resume) {
      settle(item, precedingFailed());
      return;
    }
    if (this.#failed) {
      this.#failed = false;
      this.#lane += 1;
      if (target !== undefined) this.#node = this.#parts.router.leaderFor(target.shard);
    }
    if (refused === undefined) this.#send(item, target!);
    else {
      settle(item, refused);
      this.#failed = true;
    }
  }

  #send(item: Item, target: Target): void {
    const { beginSpan, caller, calls, laneName, method, router } = this.#parts;
    const { body, deadlineMs, head } = item.request;
    item.state = 'sent';
    item.version = router.version(target.shard);
    this.#sent += 1;
    const leftMs = deadlineMs - calls.clock.nowMs();
    const lane = `${laneName}.${this.#lane}`;
    const span = beginSpan();
    const call = calls.open(leftMs, allowedCall(caller, lane), (error, ack) => {
      this.#sent -= 1;
      span?.end(error?.reason);
      if (error !== undefined) this.#failItem(item, error);
      else {
        item.state = 'settled';
        item.ack = ack;
      }
      this.#goOn(target.shard);
    });
    call.span = span;
    const routed = { method, target, body, parsed: head };
    router.attempt(call, routed, this.#node, (outcome) => {
      if (call.finished) return;
      this.#unreached ||= isUnreached(outcome);
      if (outcome.status === 'ok') call.finish(undefined, outcome.answer);
      else call.finish(failureOf(outcome, target.shard), undefined);
    });
  }

  #failItem(item: Item, error: CallError): void {
    const untouched = error.reason === 'NOT_LEADER' || error.reason === 'PRECEDING_FAILED';
    if (!untouched) {
      settle(item, error);
      this.#failed = true;
      return;
    }
    item.state = 'queued';
    this.#stallVersion = this.#stalled ? Math.min(this.#stallVersion, item.version) : item.version;
    this.#stalled = true;
  }

  /** After an outcome: the next requests, or what a stall asks for once all outcomes are known. */
  #goOn(shard: number): void {
    if (this.#closed) return;
    if (this.#stalled && this.#sent === 0) this.#endStall(shard);
    else this.#pump();
    this.#flush();
  }

  #endStall(shard: number): void {
    if (this.#failed) {
      this.#failRewound(shard);
      this.#stalled = false;
      this.#pump();
      return;
    }
    this.#lane += 1;
    const unreached = this.#unreached;
    this.#unreached = false;
    this.#waitForLeader(shard, unreached);
  }

  /** What stands before a request that failed must not be stored after it. */
  #failRewound(shard: number): void {
    const failedAt = this.#items.findIndex(
      (item) => item.error !== undefined && item.error.reason !== 'PRECEDING_FAILED',
    );
    for (const item of this.#items.slice(0, Math.max(0, failedAt))) {
      if (item.state === 'queued') settle(item, notLeader(shard, undefined));
    }
  }

  #waitForLeader(shard: number, unreached: boolean): void {
    const { caller, calls, router } = this.#parts;
    const first = this.#items.find((item) => item.state === 'queued');
    if (first === undefined) {
      this.#resumeSending();
      return;
    }
    const leftMs = first.request.deadlineMs - calls.clock.nowMs();
    const call = calls.open(leftMs, allowedCall(caller), (error) => {
      this.#wait = undefined;
      if (error !== undefined && !this.#closed) {
        settle(first, error);
        this.#failed = true;
      }
      this.#resumeSending();
    });
    this.#wait = call;
    const wake = () => call.finish(undefined, undefined);
    const version = this.#stallVersion;
    if (unreached) router.waitUnreached(call, shard, version, wake, call.finish);
    else router.wait(call, shard, version, wake, call.finish);
  }

  #resumeSending(): void {
    this.#stalled = false;
    if (!this.#closed) this.#pump();
  }

  #flush(): void {
    if (this.#pumping) return;
    while (!this.#closed && this.#items[0]?.state === 'settled') {
      const item = this.#items.shift()!;
      this.#parts.answer(item.request, item.error, item.ack);
    }
  }
}

function settle(item: Item, error: CallError): void {
  item.state = 'settled';
  item.error = error;
}

function isUnreached(outcome: AttemptOutcome): boolean {
  return outcome.status === 'unreached' || (outcome.status === 'notLeader' && outcome.asked);
}

function failureOf(outcome: Exclude<AttemptOutcome, { status: 'ok' }>, shard: number): CallError {
  switch (outcome.status) {
    case 'error':
      return outcome.error;
    case 'lost':
      return lostWrite();
    default:
      return notLeader(shard, undefined);
  }
}

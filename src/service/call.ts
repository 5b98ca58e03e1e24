/** One call on its way through this node: its deadline, its cancellation, its one answer. */
import type { Caller } from '../security/caller.ts';
import type { Demand } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import type { DeadlineClock, Deadlines, Expiring } from './deadlines.ts';
import type { Span } from './spans.ts';

/** Called once, with an error or an answer. */
export type Done = (error: CallError | undefined, answer: Uint8Array | undefined) => void;

export interface CallOrigin {
  /** Came from another node: it must not be forwarded again. */
  readonly forwarded: boolean;
  /** Calls that run in order and fail together; '' = none. */
  readonly lane: string;
  /** The client, where the cluster asks who calls. */
  readonly caller: Caller | undefined;
  /** The caller's name, also of a forwarded call; '' = nobody was asked, or a node's own. */
  readonly principal: string;
  /** What the call needs was asked for: only then does it reach a shard. */
  readonly isAuthorised: boolean;
}

/** Of the node itself: of no client, and never for what a client asks for. */
export const OWN_CALL: CallOrigin = Object.freeze({
  ...{ forwarded: false, lane: '', caller: undefined, principal: '', isAuthorised: true },
});

/** Of a client; nothing is allowed to it yet, where the cluster asks who calls. */
export function clientCall(caller: Caller | undefined): CallOrigin {
  return { ...OWN_CALL, caller, principal: nameOf(caller), isAuthorised: caller === undefined };
}

/** For a client of which was asked before what the call needs. */
export function allowedCall(caller: Caller | undefined, lane = ''): CallOrigin {
  return { ...OWN_CALL, lane, caller, principal: nameOf(caller) };
}

/** Of a client of another node, which has asked. */
export function forwardedCall(lane: string, principal: string): CallOrigin {
  return { ...OWN_CALL, forwarded: true, lane, principal };
}

/** As commands name whose they are: absent = nobody was asked. */
export function principalOf({ principal }: Pick<Call, 'principal'>): {
  readonly principal?: string;
} {
  return principal === '' ? {} : { principal };
}

function nameOf(caller: Caller | undefined): string {
  return caller?.owner ?? '';
}

export class Call implements Expiring {
  readonly deadlineMs: number;
  readonly forwarded: boolean;
  readonly lane: string;
  readonly caller: Caller | undefined;
  readonly principal: string;
  /**
   * A proposal was made, or a byte of a write left this node: from here on a deadline means
   * *unknown*, before it means that nothing happened.
   */
  mayHaveTakenEffect = false;
  /** For the text of a deadline error. */
  waitingFor = '';
  /** Stops the stage that the call is in; replaced by every stage. */
  abort: (() => void) | undefined = undefined;
  /** The answer was written to the client's own call: known of unary calls of clients alone. */
  onSent: (() => void) | undefined = undefined;
  /** Takes a cancellation's place: the call answers at once with what it has. */
  hurry: (() => void) | undefined = undefined;
  /** Of whoever watches this call; the parts of it belong to it. */
  span: Span | undefined = undefined;
  readonly #calls: Calls;
  #children: Set<Call> | undefined;
  #done: Done | undefined;
  #isAuthorised: boolean;

  constructor(calls: Calls, deadlineMs: number, origin: CallOrigin, done: Done) {
    this.#calls = calls;
    this.deadlineMs = deadlineMs;
    this.forwarded = origin.forwarded;
    this.lane = origin.lane;
    this.caller = origin.caller;
    this.principal = origin.principal;
    this.#isAuthorised = origin.isAuthorised;
    this.#done = done;
  }

  get isAuthorised(): boolean {
    return this.#isAuthorised;
  }

  /** Throws PERMISSION_DENIED. What a call needs is demanded before any of it is looked at. */
  demand(demand: Demand, name: string): void {
    this.caller?.hold(demand, name);
    this.#isAuthorised = true;
  }

  /** Nothing in particular is needed: only what the caller `may` see is answered. */
  demandNothing(): void {
    this.#isAuthorised = true;
  }

  may(demand: Demand, name: string): boolean {
    return this.caller === undefined || this.caller.may(demand, name);
  }

  get finished(): boolean {
    return this.#done === undefined;
  }

  get remainingMs(): number {
    return Math.max(0, this.deadlineMs - this.#calls.clock.nowMs());
  }

  /** The first finish counts; what comes after it (a late answer) is dropped. */
  readonly finish: Done = (error, answer) => {
    const done = this.#done;
    if (done === undefined) return;
    this.#done = undefined;
    this.abort = undefined;
    this.#calls.remove(this);
    done(error, answer);
  };

  /** The caller is gone. Also said of every call that was answered: that must cost nothing. */
  cancel(reason?: CallError): void {
    if (this.finished) return;
    if (this.hurry !== undefined) this.hurry();
    else this.#stop(reason ?? new CallError('CANCELLED', 'the call was cancelled'));
  }

  expire(): void {
    if (this.#children !== undefined) {
      for (const child of this.#children) this.#adopt(child);
    }
    const waited = this.waitingFor === '' ? '' : ` while waiting for ${this.waitingFor}`;
    this.#stop(
      this.mayHaveTakenEffect
        ? new CallError('DEADLINE_EXCEEDED', `the deadline passed${waited}: outcome unknown`)
        : new CallError('DEADLINE_BEFORE_START', `the deadline passed${waited}: nothing was done`),
    );
  }

  /** A part of this call that may run beside others: ends with it, at the latest. */
  child(done: Done): Call {
    const { caller, isAuthorised, principal } = this;
    const origin = { ...OWN_CALL, caller, principal, isAuthorised };
    const child: Call = this.#calls.open(this.remainingMs, origin, (error, answer) => {
      this.#children?.delete(child);
      if (child.mayHaveTakenEffect) this.mayHaveTakenEffect = true;
      done(error, answer);
    });
    child.span = this.span;
    this.#children ??= new Set();
    this.#children.add(child);
    return child;
  }

  #adopt(child: Call): void {
    if (child.mayHaveTakenEffect) this.mayHaveTakenEffect = true;
    this.waitingFor ||= child.waitingFor;
  }

  #stop(error: CallError): void {
    const abort = this.abort;
    this.abort = undefined;
    // First: a stage that is stopped answers, too, and knows less of why.
    this.finish(error, undefined);
    abort?.();
    if (this.#children === undefined) return;
    for (const child of [...this.#children]) child.cancel(error);
  }
}

/** Opens calls and ends them at their deadlines. */
export class Calls {
  readonly clock: DeadlineClock;
  readonly #deadlines: Deadlines;

  constructor(clock: DeadlineClock, deadlines: Deadlines) {
    this.clock = clock;
    this.#deadlines = deadlines;
  }

  open(timeoutMs: number, origin: CallOrigin, done: Done): Call {
    const call = new Call(this, this.clock.nowMs() + timeoutMs, origin, done);
    this.#deadlines.add(call.deadlineMs, call);
    return call;
  }

  remove(call: Call): void {
    this.#deadlines.remove(call.deadlineMs, call);
  }
}

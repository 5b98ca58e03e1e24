/** One call on its way through this node: its deadline, its cancellation, its one answer. */
import { CallError } from '../status.ts';
import type { DeadlineClock, Deadlines, Expiring } from './deadlines.ts';

/** Called once, with an error or an answer. */
export type Done = (error: CallError | undefined, answer: Uint8Array | undefined) => void;

export interface CallOrigin {
  /** Came from another node: it must not be forwarded again. */
  readonly forwarded: boolean;
  /** Calls that run in order and fail together; '' = none. */
  readonly lane: string;
}

export const OWN_CALL: CallOrigin = { forwarded: false, lane: '' };

export class Call implements Expiring {
  readonly deadlineMs: number;
  readonly forwarded: boolean;
  readonly lane: string;
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
  readonly #calls: Calls;
  #children: Set<Call> | undefined;
  #done: Done | undefined;

  constructor(calls: Calls, deadlineMs: number, origin: CallOrigin, done: Done) {
    this.#calls = calls;
    this.deadlineMs = deadlineMs;
    this.forwarded = origin.forwarded;
    this.lane = origin.lane;
    this.#done = done;
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
    const child: Call = this.#calls.open(this.remainingMs, OWN_CALL, (error, answer) => {
      this.#children?.delete(child);
      if (child.mayHaveTakenEffect) this.mayHaveTakenEffect = true;
      done(error, answer);
    });
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
    abort?.();
    this.finish(error, undefined);
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

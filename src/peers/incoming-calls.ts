import type { NodeId } from '../../raft/types.ts';
import { EMPTY_BYTES } from '../../raft/types.ts';
import type { IncomingCall, PeerAnswer, PeerRequest } from './api.ts';
import {
  ANSWER_HEAD_BYTES_MAX,
  AnswerStatus,
  readCall,
  readCancel,
  writeAnswer,
} from './call-frames.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import type { Frame } from './frame.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { MalformedFrameError } from './malformed.ts';
import type { Outbox, OutboxItem } from './outbox.ts';

const ANSWER_BYTES_MAX = FRAME_HEADER_BYTES + ANSWER_HEAD_BYTES_MAX;

class AnswerItem implements OutboxItem {
  readonly bytes: number;
  readonly #id: number;
  readonly #status: AnswerStatus;
  readonly #body: Uint8Array;

  constructor(id: number, status: AnswerStatus, body: Uint8Array) {
    this.#id = id;
    this.#status = status;
    this.#body = body;
    this.bytes = ANSWER_BYTES_MAX + body.length;
  }

  writeTo(writer: FrameWriter): void {
    writeAnswer(writer, this.#id, this.#status, this.#body);
  }
}

/** A call of another node, until it is answered, cancelled or out of time. */
class ForwardedCall implements IncomingCall, Deadline {
  readonly id: number;
  readonly request: PeerRequest;
  deadlineMs = 0;
  heapAt = -1;
  readonly #owner: IncomingCalls;
  #ended = false;
  #cancelled = false;
  #listener: (() => void) | undefined;

  constructor(owner: IncomingCalls, id: number, request: PeerRequest) {
    this.#owner = owner;
    this.id = id;
    this.request = request;
  }

  get from(): NodeId {
    return this.#owner.from;
  }

  onCancel(listener: () => void): void {
    if (this.#cancelled) listener();
    else this.#listener = listener;
  }

  answer(answer: PeerAnswer): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener = undefined;
    const status = answer.status === 'ok' ? AnswerStatus.ok : AnswerStatus.error;
    this.#owner.answer(this, status, answer.body);
  }

  expire(): void {
    this.#owner.forget(this);
    this.cancel();
    this.#ended = true;
  }

  /** The listener may still answer; returns whether it (or someone before) did. */
  cancel(): boolean {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#cancelled = true;
    listener?.();
    return this.#ended;
  }

  end(): void {
    this.#ended = true;
  }
}

export interface IncomingCallLimits {
  /**
   * What the peer may have in flight. Twice that is accepted here, because it forgets a call that
   * timed out a little before this node does.
   */
  readonly maxCallsInFlight: number;
  readonly maxFrameBytes: number;
}

/** The calls that came in on one accepted bulk connection; their answers go back on it. */
export class IncomingCalls {
  readonly from: NodeId;
  readonly #deadlines: Deadlines;
  readonly #limits: IncomingCallLimits;
  readonly #outbox: Outbox;
  readonly #onCall: (call: IncomingCall) => void;
  readonly #calls = new Map<number, ForwardedCall>();
  #open = true;
  droppedAnswers = 0;

  constructor(
    from: NodeId,
    outbox: Outbox,
    deadlines: Deadlines,
    limits: IncomingCallLimits,
    onCall: (call: IncomingCall) => void,
  ) {
    this.from = from;
    this.#outbox = outbox;
    this.#deadlines = deadlines;
    this.#limits = limits;
    this.#onCall = onCall;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  called(frame: Frame): void {
    const { id, ...request } = readCall(frame);
    if (this.#calls.has(id)) throw new MalformedFrameError(`call ${id} twice`);
    if (this.#calls.size >= 2 * this.#limits.maxCallsInFlight) {
      throw new MalformedFrameError('more calls in flight than agreed');
    }
    const call = new ForwardedCall(this, id, request);
    this.#calls.set(id, call);
    this.#deadlines.add(call, request.timeoutMs);
    this.#onCall(call);
  }

  /** The caller learns at once that no answer will come, unless the listener gives one. */
  cancelled(frame: Frame): void {
    const call = this.#calls.get(readCancel(frame));
    if (call === undefined || call.cancel()) return;
    call.end();
    this.answer(call, AnswerStatus.none, EMPTY_BYTES);
  }

  answer(call: ForwardedCall, status: AnswerStatus, body: Uint8Array): void {
    // Not there any more = its time ran out: nobody waits.
    if (!this.forget(call) || !this.#open) return;
    const item = new AnswerItem(call.id, status, body);
    const fits = item.bytes <= this.#limits.maxFrameBytes && this.#outbox.hasRoomFor(item.bytes);
    if (fits) {
      this.#outbox.push(item);
      return;
    }
    // Without a body it is small, and there are never more of them than calls.
    this.droppedAnswers += 1;
    this.#outbox.push(new AnswerItem(call.id, AnswerStatus.none, EMPTY_BYTES));
  }

  forget(call: ForwardedCall): boolean {
    this.#deadlines.remove(call);
    return this.#calls.delete(call.id);
  }

  /** The connection is gone: nobody waits for the answers any more. */
  disconnected(): void {
    this.#open = false;
    for (const call of [...this.#calls.values()]) {
      this.forget(call);
      call.cancel();
      call.end();
    }
  }
}

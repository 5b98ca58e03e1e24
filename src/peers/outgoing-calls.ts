import assert from 'node:assert';
import type { PeerCall, PeerCallOutcome, PeerRequest } from './api.ts';
import type { OutgoingCallFields } from './call-frames.ts';
import {
  AnswerStatus,
  callHeadBytesMax,
  MAX_LANE_BYTES,
  MAX_METHOD_BYTES,
  MAX_PRINCIPAL_BYTES,
  MAX_TIMEOUT_MS,
  MAX_TRACEPARENT_BYTES,
  ORIGIN_PROTOCOL,
  readAnswer,
  writeCall,
  writeCancel,
} from './call-frames.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import type { Frame } from './frame.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { MAX_VARINT_BYTES } from './frame-writer.ts';
import type { Outbox, OutboxItem } from './outbox.ts';

const NOTHING_TO_CANCEL: PeerCall = { cancel: () => undefined };

type Done = (outcome: PeerCallOutcome) => void;

/** A call of this node that has no outcome yet. */
class PendingCall implements PeerCall, Deadline, OutboxItem, OutgoingCallFields {
  readonly id: number;
  readonly method: string;
  readonly methodBytes: number;
  readonly lane: string;
  readonly laneBytes: number;
  readonly principal: string;
  readonly principalBytes: number;
  readonly traceparent: string;
  readonly body: Uint8Array;
  readonly bytes: number;
  deadlineMs = 0;
  heapAt = -1;
  /** From the moment when its bytes were given to the socket its outcome may be unknown. */
  sent = false;
  cancelled = false;
  readonly #owner: OutgoingCalls;
  #done: Done | undefined;

  constructor(
    owner: OutgoingCalls,
    id: number,
    request: PeerRequest,
    knowsOrigin: boolean,
    done: Done,
  ) {
    this.#owner = owner;
    this.id = id;
    this.method = request.method;
    this.methodBytes = Buffer.byteLength(request.method);
    this.lane = request.lane;
    this.laneBytes = Buffer.byteLength(request.lane);
    this.principal = (knowsOrigin && request.principal) || '';
    this.traceparent = (knowsOrigin && request.traceparent) || '';
    this.principalBytes = Buffer.byteLength(this.principal);
    assert(this.methodBytes <= MAX_METHOD_BYTES && this.laneBytes <= MAX_LANE_BYTES);
    assert(this.principalBytes <= MAX_PRINCIPAL_BYTES);
    assert(this.traceparent.length <= MAX_TRACEPARENT_BYTES);
    this.body = request.body;
    const originBytes = this.principalBytes + this.traceparent.length;
    const headBytes = callHeadBytesMax(this.methodBytes, this.laneBytes, originBytes);
    this.bytes = FRAME_HEADER_BYTES + headBytes + this.body.length;
    this.#done = done;
  }

  writeTo(writer: FrameWriter): void {
    if (this.#done === undefined) return;
    this.sent = true;
    const leftMs = Math.max(1, Math.ceil(this.deadlineMs - this.#owner.nowMs()));
    writeCall(writer, this, leftMs);
  }

  cancel(): void {
    if (this.#done !== undefined && !this.cancelled) this.#owner.cancel(this);
  }

  expire(): void {
    this.#owner.finish(this, this.sent ? { status: 'timeout' } : { status: 'notSent' });
  }

  settle(outcome: PeerCallOutcome): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(outcome);
  }
}

class CancelItem implements OutboxItem {
  readonly bytes = FRAME_HEADER_BYTES + MAX_VARINT_BYTES;
  readonly #id: number;

  constructor(id: number) {
    this.#id = id;
  }

  writeTo(writer: FrameWriter): void {
    writeCancel(writer, this.#id);
  }
}

export interface OutgoingCallLimits {
  readonly maxCallsInFlight: number;
  readonly maxFrameBytes: number;
}

/**
 * This node's calls to one peer. They live on the dialled bulk connection, and so do their answers:
 * a call never outlives the connection that it was written to. Ids are never used twice.
 */
export class OutgoingCalls {
  readonly #deadlines: Deadlines;
  readonly #limits: OutgoingCallLimits;
  readonly #calls = new Map<number, PendingCall>();
  #outbox: Outbox | undefined;
  #protocol = 0;
  #lastId = 0;

  constructor(deadlines: Deadlines, limits: OutgoingCallLimits) {
    this.#deadlines = deadlines;
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  nowMs(): number {
    return this.#deadlines.nowMs();
  }

  /** `protocol`: what both sides know. */
  connected(outbox: Outbox, protocol: number): void {
    this.#outbox = outbox;
    this.#protocol = protocol;
  }

  /** `done` is never called before this returns. */
  call(request: PeerRequest, done: Done): PeerCall {
    const outbox = this.#outbox;
    if (outbox === undefined || request.timeoutMs <= 0) return refuse(done);
    if (this.#calls.size >= this.#limits.maxCallsInFlight) return refuse(done);
    this.#lastId += 1;
    const knowsOrigin = this.#protocol >= ORIGIN_PROTOCOL;
    const call = new PendingCall(this, this.#lastId, request, knowsOrigin, done);
    if (!outbox.hasRoomFor(call.bytes) || call.bytes > this.#limits.maxFrameBytes) {
      return refuse(done);
    }
    this.#calls.set(call.id, call);
    this.#deadlines.add(call, Math.min(request.timeoutMs, MAX_TIMEOUT_MS));
    outbox.pushLater(call);
    return call;
  }

  cancel(call: PendingCall): void {
    call.cancelled = true;
    if (call.sent) this.#outbox?.push(new CancelItem(call.id));
    else queueMicrotask(() => this.#finishUnsent(call));
  }

  answered(frame: Frame): void {
    const { id, status, body } = readAnswer(frame);
    const call = this.#calls.get(id);
    // The answer to a call that timed out here while it was under way.
    if (call === undefined) return;
    if (status === AnswerStatus.none) this.finish(call, { status: 'lost' });
    else this.finish(call, { status: status === AnswerStatus.ok ? 'ok' : 'error', body });
  }

  /** The connection is gone: every call has its outcome when this returns. */
  disconnected(): void {
    this.#outbox = undefined;
    this.#endAll();
  }

  /** The other side gives no sign of life: every call ends as if the connection were gone. */
  abandon(): void {
    for (const call of this.#calls.values()) {
      if (call.sent && !call.cancelled) this.#outbox?.push(new CancelItem(call.id));
    }
    this.#endAll();
  }

  #endAll(): void {
    for (const call of [...this.#calls.values()]) {
      this.finish(call, call.sent ? { status: 'lost' } : { status: 'notSent' });
    }
  }

  finish(call: PendingCall, outcome: PeerCallOutcome): void {
    this.#calls.delete(call.id);
    this.#deadlines.remove(call);
    call.settle(outcome);
  }

  /** If it was written in the meantime, the other side must hear of the cancellation after all. */
  #finishUnsent(call: PendingCall): void {
    if (!this.#calls.has(call.id)) return;
    if (call.sent) this.#outbox?.push(new CancelItem(call.id));
    else this.finish(call, { status: 'notSent' });
  }
}

/** Definite: no byte of it leaves. */
export function refuse(done: Done): PeerCall {
  queueMicrotask(() => done({ status: 'notSent' }));
  return NOTHING_TO_CANCEL;
}

/** ProduceStream: pipelined requests of one client, each queue through a pipe of its own. */
import type { Router } from '../router.ts';
import type { Caller } from '../security/caller.ts';
import { type CallError, toCallError } from '../status.ts';
import type { Admission } from './admission.ts';
import { type Call, type Calls, clientCall } from './call.ts';
import { ClientStream } from './client-stream.ts';
import type { ServiceConfig } from './config.ts';
import { encodeError } from './error-codec.ts';
import { type RawDuplex, timeoutOf } from './grpc-calls.ts';
import type { CallMeter } from './meters.ts';
import type { ProduceCalls } from './produce.ts';
import { type PipeRequest, QueuePipe } from './queue-pipe.ts';
import { readStreamFrame, type StreamFrameHead } from './request-head.ts';
import { encodeStreamAnswer } from './responses.ts';
import type { Span } from './spans.ts';

export interface ProduceStreamParts {
  readonly router: Router;
  readonly calls: Calls;
  readonly admission: Admission;
  readonly produce: ProduceCalls;
  readonly config: ServiceConfig;
  readonly meter: CallMeter;
  /** Never used before by this node, in no life of it. */
  readonly streamId: string;
  /** Of each request, for whoever watches. */
  readonly beginSpan: () => Span | undefined;
  readonly caller: Caller | undefined;
  readonly onClosed: () => void;
}

/** A request on its way, with what it holds of this node's bounds. */
interface Entry extends PipeRequest {
  readonly beganMs: number;
  readonly frameBytes: number;
  /** -1 = admission refused it. */
  readonly admittedBytes: number;
}

export class ProduceStream {
  readonly #stream: RawDuplex;
  readonly #client: ClientStream;
  readonly #parts: ProduceStreamParts;
  readonly #pipes = new Map<number, QueuePipe>();
  /** Frames behind one whose topic is being looked up. */
  readonly #intake: Buffer[] = [];
  #lookup: Call | undefined;
  #open = 0;
  #openBytes = 0;

  constructor(stream: RawDuplex, parts: ProduceStreamParts) {
    this.#stream = stream;
    this.#parts = parts;
    this.#client = new ClientStream(stream, {
      receive: (frame) => this.#receive(frame),
      isDone: () => this.#open === 0,
      drained: () => this.#throttle(),
      closed: () => this.#close(),
    });
  }

  stop(): void {
    this.#client.stop();
  }

  fail(error: CallError): void {
    this.#client.fail(error);
  }

  #receive(frame: Buffer): void {
    this.#open += 1;
    this.#openBytes += frame.length;
    this.#intake.push(frame);
    this.#throttle();
    this.#drainIntake();
  }

  #drainIntake(): void {
    while (!this.#client.closed && this.#lookup === undefined && this.#intake.length > 0) {
      this.#take(this.#intake.shift()!);
    }
  }

  #take(frame: Buffer): void {
    const { admission, caller, calls, produce } = this.#parts;
    let head: StreamFrameHead;
    try {
      head = readStreamFrame(frame);
    } catch (error) {
      // Without a request id there is nothing to answer to.
      this.#client.fail(toCallError(error));
      return;
    }
    const over = caller?.allowance?.request('producedBytesPerSecond', frame.length);
    const refused = over ?? admission.enter(frame.length);
    const beganMs = calls.clock.nowMs();
    const entry: Entry = {
      beganMs,
      requestId: head.requestId,
      resume: head.resume,
      body: head.request,
      head: undefined,
      refused,
      deadlineMs: beganMs + this.#timeoutMs(),
      frameBytes: frame.length,
      admittedBytes: refused === undefined ? frame.length : -1,
    };
    if (refused !== undefined) {
      this.#refuse(entry, refused);
      return;
    }
    try {
      const resolved = produce.resolveNow(head.request, caller);
      if (resolved === undefined) this.#resolveLater(entry);
      else
        this.#pipe(resolved.target.queueId).add({ ...entry, head: resolved.head }, resolved.target);
    } catch (error) {
      this.#refuse(entry, toCallError(error));
    }
  }

  /** The topic must be asked for first; what follows on the stream waits, to keep its order. */
  #resolveLater(entry: Entry): void {
    const { caller, calls, produce } = this.#parts;
    const leftMs = entry.deadlineMs - calls.clock.nowMs();
    const call = calls.open(leftMs, clientCall(caller), (error) => {
      this.#lookup = undefined;
      if (error !== undefined) this.#refuse(entry, error);
      this.#drainIntake();
    });
    this.#lookup = call;
    try {
      produce.resolve(call, entry.body, (error, resolved) => {
        if (call.finished) return;
        if (error === undefined) {
          const { head, target } = resolved!;
          this.#pipe(target.queueId).add({ ...entry, head }, target);
        }
        call.finish(error, undefined);
      });
    } catch (error) {
      call.finish(toCallError(error), undefined);
    }
  }

  /** In its turn where it names a queue that we know, else at once. */
  #refuse(entry: Entry, refused: CallError): void {
    if (this.#client.closed) {
      this.#leave(entry);
      return;
    }
    const { caller, produce } = this.#parts;
    const queueId = produce.namedQueue(entry.body, caller);
    if (queueId === undefined) this.#answer(entry, refused, undefined);
    else this.#pipe(queueId).add({ ...entry, refused }, undefined);
  }

  #pipe(queueId: number): QueuePipe {
    const known = this.#pipes.get(queueId);
    if (known !== undefined) return known;
    const { beginSpan, caller, calls, config, produce, router, streamId } = this.#parts;
    const pipe = new QueuePipe({
      beginSpan,
      ...{ router, calls, caller, method: produce.method, laneName: `${streamId}.${queueId}` },
      maxInFlight: config.maxQueueRequestsInFlight,
      answer: (request, error, ack) => this.#answer(request as Entry, error, ack),
    });
    this.#pipes.set(queueId, pipe);
    return pipe;
  }

  #answer(entry: Entry, error: CallError | undefined, ack: Uint8Array | undefined): void {
    this.#leave(entry);
    if (this.#client.closed) return;
    const { beganMs, requestId } = entry;
    const { calls, meter } = this.#parts;
    meter.answered(error?.reason ?? 'ok', calls.clock.nowMs() - beganMs);
    const answer =
      error === undefined
        ? encodeStreamAnswer(requestId, 2, ack!)
        : encodeStreamAnswer(requestId, 3, encodeError(error));
    this.#client.write(answer);
    this.#throttle();
    this.#client.endIfDone();
  }

  #leave(entry: Entry): void {
    this.#open -= 1;
    this.#openBytes -= entry.frameBytes;
    if (entry.admittedBytes >= 0) this.#parts.admission.leave(entry.admittedBytes);
  }

  /** Reads on only while what is unanswered and unsent stays within its bounds. */
  #throttle(): void {
    const { maxStreamRequestsInFlight, maxProduceStreamBytesInFlight } = this.#parts.config;
    const full =
      !this.#client.writable ||
      this.#open >= maxStreamRequestsInFlight ||
      this.#openBytes >= maxProduceStreamBytesInFlight;
    if (full) this.#stream.pause();
    else if (this.#stream.isPaused()) this.#stream.resume();
  }

  #timeoutMs(): number {
    const { config } = this.#parts;
    return Math.min(timeoutOf(this.#stream, config), config.defaultCallTimeoutMs);
  }

  #close(): void {
    this.#intake.length = 0;
    this.#lookup?.cancel();
    for (const pipe of this.#pipes.values()) pipe.close();
    this.#parts.onClosed();
  }
}

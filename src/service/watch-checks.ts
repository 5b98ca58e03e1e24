/** WatchChecks: PollChecks again and again, one check per frame, at the client's pace. */
import type { Caller } from '../security/caller.ts';
import type { CallError } from '../status.ts';
import { allowedCall, type Call, type Calls } from './call.ts';
import type { ChecksQuestion } from './check-collector.ts';
import type { CheckCalls } from './checks.ts';
import { ClientStream } from './client-stream.ts';
import type { CollectedChecks, ShardLeases } from './collected-checks.ts';
import type { RawWritable } from './grpc-calls.ts';
import { splitChecks } from './responses.ts';

const POLL_SLACK_MS = 5_000;

export class WatchChecksStream {
  readonly #client: ClientStream;
  readonly #calls: Calls;
  readonly #checks: CheckCalls;
  readonly #question: ChecksQuestion;
  readonly #caller: Caller | undefined;
  readonly #onClosed: () => void;
  #call: Call | undefined;

  constructor(
    stream: RawWritable,
    calls: Calls,
    checks: CheckCalls,
    question: ChecksQuestion,
    caller: Caller | undefined,
    onClosed: () => void,
  ) {
    this.#calls = calls;
    this.#checks = checks;
    this.#question = question;
    this.#caller = caller;
    this.#onClosed = onClosed;
    this.#client = new ClientStream(stream, {
      receive: () => {},
      isDone: () => false,
      drained: () => this.#poll(),
      closed: () => this.#close(),
    });
    this.#poll();
  }

  stop(): void {
    this.#client.stop();
  }

  fail(error: CallError): void {
    this.#client.fail(error);
  }

  #poll(): void {
    if (this.#client.closed || this.#call !== undefined) return;
    const timeoutMs = this.#question.waitMs + POLL_SLACK_MS;
    let found: CollectedChecks | undefined;
    const call = this.#calls.open(timeoutMs, allowedCall(this.#caller), () => {
      this.#call = undefined;
      if (this.#client.closed) return;
      if (found !== undefined) this.#send(found);
      // Not from within the answer: polls that end at once must not nest.
      if (this.#client.writable) setImmediate(() => this.#poll());
    });
    this.#call = call;
    this.#checks.broadcast(call, this.#question, (collected) => {
      found = collected;
      call.finish(undefined, collected.answer);
    });
  }

  #send({ answer, leases }: CollectedChecks): void {
    const checks = splitChecks(answer);
    checks.forEach((check, at) => {
      const isLast = at === checks.length - 1;
      this.#client.write(check, isLast ? () => this.#sent(leases) : undefined);
    });
  }

  /** Frames leave in order: all of them have left. */
  #sent(leases: readonly ShardLeases[]): void {
    if (!this.#client.closed) this.#checks.delivered(leases);
  }

  #close(): void {
    this.#call?.cancel();
    this.#onClosed();
  }
}

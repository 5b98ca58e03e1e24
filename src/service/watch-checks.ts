/** WatchChecks: PollChecks again and again, one check per frame, at the client's pace. */
import { stopping } from './admission.ts';
import { type Call, type Calls, OWN_CALL } from './call.ts';
import type { ChecksQuestion } from './check-collector.ts';
import type { CheckCalls } from './checks.ts';
import { failStream, type RawWritable } from './grpc-calls.ts';
import { splitChecks } from './responses.ts';

const POLL_SLACK_MS = 5_000;

export class WatchChecksStream {
  readonly #stream: RawWritable;
  readonly #calls: Calls;
  readonly #checks: CheckCalls;
  readonly #question: ChecksQuestion;
  readonly #onClosed: () => void;
  #call: Call | undefined;
  #closed = false;

  constructor(
    stream: RawWritable,
    calls: Calls,
    checks: CheckCalls,
    question: ChecksQuestion,
    onClosed: () => void,
  ) {
    this.#stream = stream;
    this.#calls = calls;
    this.#checks = checks;
    this.#question = question;
    this.#onClosed = onClosed;
    stream.on('cancelled', () => this.#close());
    stream.on('drain', () => this.#poll());
    this.#poll();
  }

  stop(): void {
    if (this.#closed) return;
    this.#close();
    failStream(this.#stream, stopping());
  }

  #poll(): void {
    if (this.#closed || this.#call !== undefined) return;
    const timeoutMs = this.#question.waitMs + POLL_SLACK_MS;
    const call = this.#calls.open(timeoutMs, OWN_CALL, (error, answer) => {
      this.#call = undefined;
      if (this.#closed) return;
      const checks = error === undefined ? splitChecks(answer!) : [];
      let flowing = true;
      for (const check of checks) flowing = this.#stream.write(check);
      // Not from within the answer: polls that end at once must not nest.
      if (flowing) setImmediate(() => this.#poll());
    });
    this.#call = call;
    this.#checks.broadcast(call, this.#question, call.finish);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#call?.cancel();
    this.#onClosed();
  }
}

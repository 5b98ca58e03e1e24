/** WatchChecks: PollChecks again and again, one check per frame, at the client's pace. */
import { type Call, type Calls, OWN_CALL } from './call.ts';
import type { ChecksQuestion } from './check-collector.ts';
import type { CheckCalls } from './checks.ts';
import { ClientStream } from './client-stream.ts';
import type { RawWritable } from './grpc-calls.ts';
import { splitChecks } from './responses.ts';

const POLL_SLACK_MS = 5_000;

export class WatchChecksStream {
  readonly #client: ClientStream;
  readonly #calls: Calls;
  readonly #checks: CheckCalls;
  readonly #question: ChecksQuestion;
  readonly #onClosed: () => void;
  #call: Call | undefined;

  constructor(
    stream: RawWritable,
    calls: Calls,
    checks: CheckCalls,
    question: ChecksQuestion,
    onClosed: () => void,
  ) {
    this.#calls = calls;
    this.#checks = checks;
    this.#question = question;
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

  #poll(): void {
    if (this.#client.closed || this.#call !== undefined) return;
    const timeoutMs = this.#question.waitMs + POLL_SLACK_MS;
    const call = this.#calls.open(timeoutMs, OWN_CALL, (error, answer) => {
      this.#call = undefined;
      if (this.#client.closed) return;
      const checks = error === undefined ? splitChecks(answer!) : [];
      for (const check of checks) this.#client.write(check);
      // Not from within the answer: polls that end at once must not nest.
      if (this.#client.writable) setImmediate(() => this.#poll());
    });
    this.#call = call;
    this.#checks.broadcast(call, this.#question, call.finish);
  }

  #close(): void {
    this.#call?.cancel();
    this.#onClosed();
  }
}

/** Spans of calls, for whoever watches (observe/otlp.ts). Nothing is made where nobody does. */

export interface SpanFacts {
  readonly shard?: number;
  /** The node that is asked. */
  readonly peer?: number;
}

export interface Span {
  /** W3C trace context: for the node that goes on with the call. */
  readonly traceparent: string;
  child(name: string, facts: SpanFacts): Span;
  /** `reason` of the error; absent = it went well. */
  end(reason?: string): void;
}

export interface Spans {
  /**
   * Of a client's call, or of one that another node forwarded; `traceparent` as the caller sent it.
   * undefined = this one is not watched.
   */
  begin(name: string, traceparent: string | undefined): Span | undefined;
}

/** Two of 16 and 8 bytes that are not all zero, in hexadecimal, and flags. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Whatever a client may send; undefined = it is none (W3C Trace Context, section 3.2). */
export function checkedTraceparent(text: unknown): string | undefined {
  return typeof text === 'string' && TRACEPARENT.test(text) ? text : undefined;
}

/** Bounds of one filter: its text is short, and so is the work on each message. */
export const FILTER_LIMITS = {
  /** Of its text, in UTF-8. */
  maxFilterBytes: 4096,
  /** Parentheses and NOTs within one another. */
  maxFilterDepth: 32,
  /** Comparisons and tests in one expression; a list of IN is one. */
  maxFilterConditions: 64,
  /** Bytes that one read looks at for a filter, and … */
  maxFilteredBytes: 1024 * 1024,
  /** … messages: others are served in between. */
  maxFilteredMessages: 8192,
  /** What one message asked for makes a read look at, at most. */
  maxFilteredPerMessage: 128,
} as const;

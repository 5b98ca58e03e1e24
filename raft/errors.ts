/** Errors that callers may act on. The code is the contract, the text is free. */
export const RaftErrorCode = {
  /** The index is below the log's start: only a snapshot can help. */
  compacted: 'COMPACTED',
  /** Stored bytes do not verify. */
  dataLoss: 'DATA_LOSS',
  /** A configuration value, or the relation of two, is not allowed. */
  invalidConfig: 'INVALID_CONFIG',
  /** A membership change that would be unsafe. */
  invalidMembership: 'INVALID_MEMBERSHIP',
} as const;
export type RaftErrorCode = (typeof RaftErrorCode)[keyof typeof RaftErrorCode];

export class RaftError extends Error {
  readonly code: RaftErrorCode;

  constructor(code: RaftErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RaftError';
    this.code = code;
  }
}

/** The code of an error that a store may have made by other means than `RaftError`. */
export function errorCode(error: Error): unknown {
  return 'code' in error ? error.code : undefined;
}

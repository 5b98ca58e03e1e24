/** Bytes that no correct peer sends. The connection they came on is closed; the process goes on. */
export class MalformedFrameError extends Error {
  readonly code = 'MALFORMED_FRAME';
  override readonly name = 'MalformedFrameError';
}

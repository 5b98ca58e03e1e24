/**
 * How a command fails on purpose: one line that says what is wrong and what to do, and the exit
 * code. Whatever else reaches `main.ts` is a bug or a fatal storage error, and ends with code 1.
 */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** A run that proved nothing, such as chaos that attacked nothing. */
  invalidRun: 3,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export class Failure extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = ExitCode.failed, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Failure';
    this.exitCode = exitCode;
  }
}

/** The text of whatever was thrown, on one line. */
export function oneLine(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

/** The `code` of a system error (`EADDRINUSE`, `ENOENT`…), if it has one. */
export function errorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

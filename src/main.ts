/** The one place that ends the process: argv in, exit code out. */
import { writeSync } from 'node:fs';
import { runCommandLine } from './cli/index.ts';
import { ExitCode, errorCode, Failure, oneLine } from './failure.ts';

function exitWith(thrown: unknown): never {
  const failure = thrown instanceof Failure ? thrown : undefined;
  const verbose = failure === undefined && process.env.HOLDFAST_DEBUG !== undefined;
  const text = verbose && thrown instanceof Error ? (thrown.stack ?? '') : codedLine(thrown);
  if (text !== '') reportLastWords(`holdfast: ${text}\n`);
  process.exit(failure?.exitCode ?? ExitCode.failed);
}

/** With its code in front, where the text does not say it. */
function codedLine(thrown: unknown): string {
  const text = oneLine(thrown);
  const code = errorCode(thrown) ?? '';
  return text.includes(code) ? text : `${code}: ${text}`;
}

/** Straight to the descriptor: `process.stderr` may still hold bytes when the process is gone. */
function reportLastWords(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads stderr any more; the exit code still tells.
  }
}

// A reader that went away (`holdfast consume t | head -1`) is no error of ours.
process.stdout.on('error', (error) => {
  if (errorCode(error) === 'EPIPE') process.exit(ExitCode.ok);
  exitWith(error);
});
// A broken invariant or a failed write reaches this by being thrown: the process must not go on.
// So does a rejection that nobody handles (Node's default).
process.on('uncaughtException', (error) => exitWith(error));

// A supervised node writes to a pipe whose reader may be gone.
process.stderr.on('error', () => undefined);

runCommandLine(process.argv.slice(2)).then((exitCode) => {
  // Connections that a library keeps open must not keep a finished command alive.
  process.stdout.write('', () => process.exit(exitCode));
}, exitWith);

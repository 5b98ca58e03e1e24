/** Runs a long command so that it leaves nothing behind, whether it ends or is told to. */
import { mkdtempSync, rmSync } from 'node:fs';
import {
  type CommandSpec,
  helpOf,
  type Options,
  readCommandLine,
  USAGE_EXIT_CODE,
  UsageError,
  type ValuesOf,
} from './options.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type Signal = (typeof SIGNALS)[number];

/** What must not outlive the command; undone from the last to the first. */
export class CleanUp {
  readonly #steps: (() => unknown)[] = [];
  readonly #kept = new Set<string>();
  #running = false;

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Something that takes its time to start: told to end meanwhile, it is stopped all the same. */
  started<Thing extends { stop(): unknown }>(starting: Promise<Thing>): Promise<Thing> {
    this.add(() =>
      starting.then(
        (thing) => thing.stop(),
        () => undefined,
      ),
    );
    return starting;
  }

  /** An empty directory that is gone afterwards. */
  directory(prefix: string): string {
    const path = mkdtempSync(prefix);
    this.add(() => {
      if (!this.#kept.has(path)) rmSync(path, { recursive: true, force: true });
    });
    return path;
  }

  /** For whoever looks for the reason. What fails because it is being cut off gives none. */
  keep(directory: string): void {
    if (this.#running) return;
    this.#kept.add(directory);
    console.error(`kept: ${directory}`);
  }

  async run(): Promise<void> {
    this.#running = true;
    const step = this.#steps.pop();
    if (step === undefined) return;
    try {
      await step();
    } finally {
      await this.run();
    }
  }
}

/**
 * Reads the command line and runs `body`. Answers the exit code through `process.exitCode`; a
 * process that was told to end by a signal cleans up, then dies of that signal.
 */
export async function runCommand<Spec extends Options>(
  spec: CommandSpec<Spec>,
  body: (values: ValuesOf<Spec>, cleanUp: CleanUp, words: readonly string[]) => Promise<number>,
): Promise<void> {
  await reportingUsage(spec.name, async () => {
    const line = readCommandLine(spec, process.argv.slice(2));
    if (line.help) console.log(helpOf(spec));
    else process.exitCode = await undisturbed((cleanUp) => body(line.values, cleanUp, line.words));
  });
}

/** A usage error is one line and its own exit code; everything else is thrown on. */
export async function reportingUsage(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${name}: ${error.message} (--help shows the options)`);
    process.exitCode = USAGE_EXIT_CODE;
  }
}

async function undisturbed(body: (cleanUp: CleanUp) => Promise<number>): Promise<number> {
  const cleanUp = new CleanUp();
  const told = new Promise<Signal>((resolve) => {
    // Once: a second signal ends the process at once, and the leash ends what it started.
    for (const signal of SIGNALS) process.once(signal, () => resolve(signal));
    // A reader that went away.
    process.stdout.on('error', () => resolve('SIGTERM'));
  });
  let outcome: number | Signal = 0;
  try {
    outcome = await Promise.race([body(cleanUp), told]);
  } finally {
    // What was cut off fails over what is taken away from it now: nothing to report.
    if (typeof outcome === 'string') process.on('uncaughtException', () => undefined);
    await cleanUp.run();
  }
  if (typeof outcome === 'number') return outcome;
  for (const signal of SIGNALS) process.removeAllListeners(signal);
  process.kill(process.pid, outcome);
  return USAGE_EXIT_CODE;
}

/** Commands of the built product, as somebody at a terminal runs them. */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { HOLDFAST } from './cluster-process.ts';

const run = promisify(execFile);

/** Starts a long command; resolves once a line of its output matches. */
export async function started(args: readonly string[], ready: RegExp): Promise<readonly string[]> {
  const child = spawn(process.execPath, [HOLDFAST, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      if (ready.test(line)) resolve();
    });
    void exit.then((code) => reject(new Error(`${code}: ${lines.join('; ')}`)));
  });
  return lines;
}

/** What it says when it fails. */
export async function failure(...args: string[]): Promise<string> {
  const ended = await run(process.execPath, [HOLDFAST, ...args]).then(
    ({ stdout }) => new Error(`did not fail: ${stdout}`),
    (error: Error & { stderr: string }) => error,
  );
  if (!('stderr' in ended)) throw ended;
  return String(ended.stderr);
}

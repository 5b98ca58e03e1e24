import { vi } from 'vitest';
import { runCommandLine } from '../../../src/cli/index.ts';

export interface CommandRun {
  readonly exitCode: number;
  readonly stdout: Buffer;
  /** The lines of stdout as JSON. */
  json(): unknown[];
}

/** Runs one command line in this process, as `main.ts` would, and keeps what it prints. */
export async function runCommand(...words: string[]): Promise<CommandRun> {
  const chunks: Buffer[] = [];
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    chunks.push(Buffer.from(chunk as Uint8Array));
    return true;
  });
  try {
    const exitCode = await runCommandLine(words);
    const stdout = Buffer.concat(chunks);
    const lines = () =>
      stdout
        .toString()
        .split('\n')
        .filter((line) => line !== '');
    return { exitCode, stdout, json: () => lines().map((line) => JSON.parse(line) as unknown) };
  } finally {
    write.mockRestore();
  }
}

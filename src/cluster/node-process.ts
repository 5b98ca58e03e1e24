/** One `holdfast serve` child: started in its own process group, its words read, its end told. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { ChildMessage } from './control-channel.ts';
import type { ChildEvents, ChildProcessHandle } from './supervisor.ts';

export interface NodeProcessOptions {
  /** The script and its arguments. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gets what the child writes: its log, one JSON object per line, and its last words. */
  readonly logFile: string;
}

export function launchNodeProcess(
  options: NodeProcessOptions,
  events: ChildEvents,
): ChildProcessHandle {
  const log = openSync(options.logFile, 'a');
  const child = spawn(process.execPath, [...options.command], {
    // Its own group: Ctrl-C in the terminal reaches `up` alone, which stops its nodes in order.
    detached: true,
    env: { ...options.environment },
    stdio: ['ignore', log, 'pipe', 'ipc'],
  });
  let lastWords = '';
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lastWords = line;
    writeSync(log, `${line}\n`);
  });
  child.on('message', (message) => {
    events.onMessage(message as ChildMessage);
  });
  child.once('error', (error) => {
    lastWords = error.message;
  });
  // `close`, not `exit`: only then the last words have been read.
  child.once('close', (code, signal) => {
    closeSync(log);
    const how = signal === null ? `exit code ${code}` : `killed by ${signal}`;
    const said = lastWords.replace(/^holdfast: /, '');
    events.onExit(signal === null && said !== '' ? said : how, signal === null);
  });
  return {
    pid: child.pid ?? 0,
    askToStop: () => {
      if (child.connected) child.send({ type: 'stop' }, () => undefined);
      else child.kill('SIGTERM');
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

/** The server of toxiproxy: every link between processes can run through it. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Toxiproxy } from 'toxiproxy-node-client';
import { packageFolder } from '../../test/processes/package-folder.ts';
import { nowMs } from '../history.ts';
import type { Keeper } from './keeper.ts';

const NAME = 'toxiproxy-server';
const START_TIMEOUT_MS = 10_000;
const START_PACE_MS = 50;

/** On the PATH, or where `.ci/run` installs it; undefined when there is none. */
export function toxiproxyBinary(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ciFolder()];
  return folders.map((folder) => join(folder, NAME)).find((file) => existsSync(file));
}

function ciFolder(): string {
  return join(packageFolder(), '.cache', 'bin');
}

export interface ToxiproxyServer {
  readonly api: Toxiproxy;
  stop(): void;
}

/** Resolves when it answers; it ends with us, however we end. */
export async function startToxiproxy(
  binary: string,
  { port, log, keeper }: { readonly port: number; readonly log: string; readonly keeper: Keeper },
): Promise<ToxiproxyServer> {
  const file = openSync(log, 'a');
  const child = spawn(binary, ['-host', '127.0.0.1', '-port', String(port)], {
    stdio: ['ignore', file, file],
    detached: true,
    env: { ...process.env, LOG_LEVEL: 'warn' },
  });
  closeSync(file);
  child.on('error', () => undefined);
  const { pid } = child;
  if (pid !== undefined) keeper.hold(pid);
  const stop = () => {
    child.kill('SIGKILL');
    if (pid !== undefined) keeper.release(pid);
  };
  const api = new Toxiproxy(`http://127.0.0.1:${port}`);
  const giveUpAtMs = nowMs() + START_TIMEOUT_MS;
  while (!(await answers(api))) {
    if (nowMs() > giveUpAtMs || child.exitCode !== null) {
      stop();
      throw new Error(`${binary} does not answer, see ${log}`);
    }
    await delay(START_PACE_MS);
  }
  return { api, stop };
}

function answers(api: Toxiproxy): Promise<boolean> {
  return api.getVersion().then(
    () => true,
    () => false,
  );
}

// A cluster as a user starts it, on ports that are free.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const READY_WITHIN_MS = 60_000;
const NODES = 3;

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}

async function freeBasePort() {
  for (let base = 17_400; base < 30_000; base += 300) {
    const ports = Array.from({ length: NODES }, (_, i) => [base + i + 1, base + i + 101]).flat();
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('found no free ports');
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when `up` printed `ready`. `stop` tells whether every process is gone afterwards. */
export async function startCluster(root, data, environment) {
  const base = await freeBasePort();
  const bin = join(root, 'dist', 'src', 'bin.cjs');
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [bin, 'up', '--leash', '--nodes', `${NODES}`, '--data', data, '--base-port', `${base}`],
    { cwd: root, env: environment, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const exit = new Promise((resolve) => child.once('close', resolve));
  const pids = [];
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`up was not ready within ${READY_WITHIN_MS} ms`));
    }, READY_WITHIN_MS);
    void exit.then((code) => {
      clearTimeout(timer);
      reject(new Error(`up ended with exit code ${code}`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      console.log(`up: ${line}`);
      const pid = /\bpid (\d+)/.exec(line);
      if (pid !== null) pids.push(Number(pid[1]));
      if (line !== 'ready') return;
      clearTimeout(timer);
      resolve();
    });
  });
  return {
    server: `127.0.0.1:${base + 1}`,
    seconds: (performance.now() - start) / 1000,
    stop: async () => {
      child.kill('SIGTERM');
      const code = await exit;
      return code === 0 && pids.length === NODES && !pids.some(isAlive);
    },
  };
}

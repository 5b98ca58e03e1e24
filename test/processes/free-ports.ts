/** Ports for a cluster of real processes on this machine. */
import { createServer } from 'node:net';

/** Below what Linux hands out for outgoing connections. */
const PORTS_BELOW = 30_000;
const PORTS_FROM = 21_000;
const ATTEMPTS = 100;
/** Test files that run beside each other choose from parts of their own (vitest.config.ts). */
const WORKERS = 2;
/** Of one cluster, the proxies of chaos at + 300 included. */
const SPAN = 400;

/** A base such that all ports of the nodes (base, + 100 and + 200) and `more` look free now. */
export async function freeBasePort(nodes: number, more: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const base = PORTS_FROM + partOffset() + 10 * Math.floor((Math.random() * (PART - SPAN)) / 10);
    const own = Array.from({ length: nodes }, (_, i) => [1, 101, 201].map((at) => base + i + at));
    const ports = [...own.flat(), ...more.map((offset) => base + offset)];
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error(`found no free ports from ${PORTS_FROM} to ${PORTS_BELOW}`);
}

const PART = (PORTS_BELOW - PORTS_FROM) / WORKERS;

function partOffset(): number {
  const worker = Number(process.env.VITEST_POOL_ID ?? Math.floor(Math.random() * WORKERS));
  return (worker % WORKERS) * PART;
}

/** Looking takes the port for a moment, so another one that looks there finds it taken. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

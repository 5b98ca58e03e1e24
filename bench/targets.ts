/** What is measured: a Holdfast cluster and the ceiling, each as real processes of their own. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../src/client/index.ts';

export interface Target {
  readonly kind: 'holdfast' | 'ceiling';
  /** host:port that takes the calls: the leader of the topic's only queue. */
  readonly server: string;
  readonly topic: string;
  stop(): Promise<void>;
}

const CEILING_ENTRY = fileURLToPath(new URL('./ceiling/process.js', import.meta.url));
const HOLDFAST_ENTRY = fileURLToPath(new URL('../src/bin.cjs', import.meta.url));
const NODES = 3;

async function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('message', (message: { port: number }) => resolve(message.port));
    child.once('exit', (code) => reject(new Error(`a process of the ceiling ended with ${code}`)));
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

export async function startCeiling(directory: string): Promise<Target> {
  const path = mkdtempSync(join(directory, 'ceiling-'));
  const children: ChildProcess[] = [];
  const run = async (...args: string[]): Promise<number> => {
    const child = fork(CEILING_ENTRY, args, { env: { ...process.env, UV_THREADPOOL_SIZE: '16' } });
    children.push(child);
    return portOf(child);
  };
  const followers = [
    await run('follower', join(path, 'follower-1')),
    await run('follower', join(path, 'follower-2')),
  ];
  const port = await run('leader', join(path, 'leader'), ...followers.map(String));
  const stop = async (): Promise<void> => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map(ended));
    rmSync(path, { recursive: true });
  };
  return { kind: 'ceiling', server: `127.0.0.1:${port}`, topic: 'bench', stop };
}

/** A base port P such that P + 1 … and P + 101 … look free right now. */
export async function freeBasePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + Math.floor(Math.random() * 300) * 100;
    const ports = Array.from({ length: NODES }, (_, i) => [base + i + 1, base + i + 101]).flat();
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('found no free ports');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Resolves at the line `ready`. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (/^ready$/m.test(text)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`holdfast up ended with ${code}: ${text}`)));
  });
}

/** Bytes of all files below, as far as they are there at this moment. */
export function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    bytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** `settings`: key=value pairs for every node. */
export async function startHoldfast(
  directory: string,
  settings: readonly string[] = [],
): Promise<Target> {
  const data = mkdtempSync(join(directory, 'holdfast-'));
  const base = await freeBasePort();
  const args = [
    'up',
    '--nodes',
    String(NODES),
    '--data',
    join(data, 'd'),
    '--base-port',
    `${base}`,
  ];
  for (const setting of settings) args.push('--set', setting);
  const child = spawn(process.execPath, [HOLDFAST_ENTRY, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await ready(child);
  const topic = 'bench';
  const server = await createTopic(base, topic);
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended(child);
    rmSync(data, { recursive: true });
  };
  return { kind: 'holdfast', server, topic, stop };
}

/** One queue, no retention; answers the address of the queue's leader. */
async function createTopic(base: number, topic: string): Promise<string> {
  const client = connect({ servers: `127.0.0.1:${base + 1}` });
  try {
    await client.admin.createTopic({ name: topic, queueCount: 1 });
    const { queues } = await client.admin.describeTopic(topic);
    const leader = queues[0]?.leader;
    if (leader === undefined || leader === 0) throw new Error('the topic has no leader');
    return `127.0.0.1:${base + leader}`;
  } finally {
    await client.close();
  }
}

/** What is measured: a Holdfast cluster and the ceiling, each as real processes of their own. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ConnectOptions, connect } from '../src/client/index.ts';
import { UpProcess } from '../test/processes/up-process.ts';
import type { Entrance } from './raw-calls.ts';

export interface Target {
  readonly kind: 'holdfast' | 'ceiling';
  /** host:port that takes the calls: the leader of the topic's only queue. */
  readonly server: string;
  readonly topic: string;
  /** Absent: everybody may come in. */
  readonly entrance?: Entrance;
  stop(): Promise<unknown>;
}

const CEILING_ENTRY = fileURLToPath(new URL('./ceiling/process.js', import.meta.url));

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

/** As `holdfast serve` has it (src/cli/serve.ts). */
const HEAP_GROWTH = ['--heap-growing-percent=300'];

export async function startCeiling(directory: string): Promise<Target> {
  const path = join(directory, 'ceiling');
  mkdirSync(path);
  const children: ChildProcess[] = [];
  const run = async (...args: string[]): Promise<number> => {
    const env = { ...process.env, UV_THREADPOOL_SIZE: '16' };
    const child = fork(CEILING_ENTRY, args, { env, execArgv: HEAP_GROWTH });
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
  };
  return { kind: 'ceiling', server: `127.0.0.1:${port}`, topic: 'bench', stop };
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
  const up = await UpProcess.start({ data: join(directory, 'holdfast'), settings });
  const topic = 'bench';
  try {
    const server = await createTopic({ servers: up.servers }, topic);
    return { kind: 'holdfast', server, topic, stop: () => up.stop() };
  } catch (error) {
    await up.stop();
    throw error;
  }
}

interface Entered extends ConnectOptions {
  readonly servers: readonly string[];
}

/** One queue, no retention; answers the address of the queue's leader. */
export async function createTopic(options: Entered, topic: string): Promise<string> {
  const { servers } = options;
  const client = connect(options);
  try {
    await client.admin.createTopic({ name: topic, queueCount: 1 });
    const { queues } = await client.admin.describeTopic(topic);
    const server = servers[(queues[0]?.leader ?? 0) - 1];
    if (server === undefined) throw new Error('the topic has no leader');
    return server;
  } finally {
    await client.close();
  }
}

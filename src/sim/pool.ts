/** Seeds over several threads: each seed's history is the same whoever runs it. */
import { Worker } from 'node:worker_threads';
import type { SimOptions } from './options.ts';
import type { SimResult } from './run.ts';
import type { Task } from './worker.ts';

export interface PoolOptions {
  readonly jobs: number;
  readonly options: Partial<SimOptions>;
  /** Another build of the simulator: one with a planted bug. */
  readonly worker?: URL;
  /** The next seed; undefined = no more are wanted. */
  next(): number | undefined;
  onResult(result: SimResult): void;
}

const WORKER = new URL('./worker.js', import.meta.url);

/** Resolves when every seed that was begun has ended. */
export async function runPool(pool: PoolOptions): Promise<void> {
  await Promise.all(Array.from({ length: pool.jobs }, () => runThread(pool)));
}

function runThread({ options, worker = WORKER, next, onResult }: PoolOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(worker);
    const give = (): void => {
      const seed = next();
      if (seed === undefined) {
        resolve(thread.terminate().then(() => undefined));
        return;
      }
      const task: Task = { seed, options };
      thread.postMessage(task);
    };
    thread.on('message', (result: SimResult) => {
      onResult(result);
      give();
    });
    thread.on('error', reject);
    give();
  });
}

/** A thread that runs the seeds it is given, one after the other. */
import { parentPort } from 'node:worker_threads';
import type { SimOptions } from './options.ts';
import { runSeed } from './run.ts';

export interface Task {
  readonly seed: number;
  readonly options: Partial<SimOptions>;
}

parentPort?.on('message', ({ seed, options }: Task) => {
  void runSeed(seed, options).then((result) => parentPort?.postMessage(result));
});

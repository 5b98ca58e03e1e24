import type { DurabilityClass } from './raw-calls.ts';
import type { Target } from './targets.ts';

/** One run of a workload against one target. */
export interface Sample {
  readonly messages: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly latenciesMs: number[];
}

export interface Workload {
  readonly name: string;
  /** What its ratio to the ceiling compares. */
  readonly compares: 'rate' | 'latency';
  readonly durabilities: readonly DurabilityClass[];
  run(target: Target, durability: DurabilityClass, seconds: number): Promise<Sample>;
}

/** Calls `once` from `concurrency` loops for `seconds`; `once` answers what it moved. */
export async function closedLoop(
  concurrency: number,
  seconds: number,
  once: () => Promise<{ messages: number; bytes: number }>,
): Promise<Sample> {
  const latenciesMs: number[] = [];
  let messages = 0;
  let bytes = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  const loop = async (): Promise<void> => {
    for (let begun = performance.now(); begun < end; ) {
      const moved = await once();
      const now = performance.now();
      latenciesMs.push(now - begun);
      messages += moved.messages;
      bytes += moved.bytes;
      begun = now;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  return { messages, bytes, seconds: (performance.now() - start) / 1000, latenciesMs };
}

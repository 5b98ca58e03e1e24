/**
 * Makes a failing history smaller: takes away time, machines, shards, kinds of faults and kinds of
 * operations for as long as the same invariant still breaks.
 */
import type { SimOptions } from './options.ts';

export type Shape = Partial<Pick<SimOptions, 'nodes' | 'shards' | 'faultMs' | 'without'>>;

/** The invariant that a run of this shape breaks; undefined = none. */
export type Breaks = (shape: Shape) => Promise<string | undefined>;

export interface Shrunk {
  readonly shape: Shape;
  readonly runs: number;
}

const RUNS_MAX = 120;
const FAULT_MS_MIN = 1000;

export async function shrink(
  from: Shape & { readonly nodes: number; readonly shards: number; readonly faultMs: number },
  invariant: string,
  removable: readonly string[],
  breaks: Breaks,
): Promise<Shrunk> {
  let shape: Shape = from;
  let runs = 0;
  const tries = async (smaller: Shape): Promise<boolean> => {
    if (runs >= RUNS_MAX) return false;
    runs++;
    if ((await breaks(smaller)) !== invariant) return false;
    shape = smaller;
    return true;
  };
  for (let shards = 1; shards < from.shards; shards++) {
    if (await tries({ ...shape, shards })) break;
  }
  for (let nodes = 1; nodes < from.nodes; nodes++) {
    if (await tries({ ...shape, nodes })) break;
  }
  for (const name of removable) {
    const without = [...(shape.without ?? []), name];
    if (!(shape.without ?? []).includes(name)) await tries({ ...shape, without });
  }
  let faultMs = Math.floor((shape.faultMs ?? from.faultMs) / 2);
  while (faultMs >= FAULT_MS_MIN && (await tries({ ...shape, faultMs }))) {
    faultMs = Math.floor(faultMs / 2);
  }
  return { shape, runs };
}

/**
 * Makes a failing history smaller: takes away time, machines, shards, kinds of faults and kinds of
 * operations for as long as the same invariant still breaks. To fix a number that the seed would
 * draw gives another history, also where the number is the same; so a shape counts as failing only
 * once it was run and failed, and nothing else is ever given back.
 */
import type { SimOptions } from './options.ts';

export type Shape = Partial<Pick<SimOptions, 'nodes' | 'shards' | 'faultMs' | 'without'>>;

/** What the failing history had, drawn or asked for. */
export interface Extent {
  readonly nodes: number;
  readonly shards: number;
  readonly faultMs: number;
}

/** The invariant that a run of this shape breaks; undefined = none. */
export type Breaks = (shape: Shape) => Promise<string | undefined>;

export interface Shrunk {
  /** The last one that was run and broke the invariant; undefined = no smaller one did. */
  readonly shape: Shape | undefined;
  readonly runs: number;
}

const RUNS_MAX = 120;
const FAULT_MS_MIN = 1000;

/** `failed`: what was asked for when the invariant broke. */
export async function shrink(
  failed: Shape,
  extent: Extent,
  invariant: string,
  removable: readonly string[],
  breaks: Breaks,
): Promise<Shrunk> {
  let shape = failed;
  let runs = 0;
  const tries = async (smaller: Shape): Promise<boolean> => {
    if (runs >= RUNS_MAX) return false;
    runs++;
    if ((await breaks(smaller)) !== invariant) return false;
    shape = smaller;
    return true;
  };
  for (let shards = 1; shards < extent.shards; shards++) {
    if (await tries({ ...shape, shards })) break;
  }
  for (let nodes = 1; nodes < extent.nodes; nodes++) {
    if (await tries({ ...shape, nodes })) break;
  }
  for (const name of removable) {
    const without = shape.without ?? [];
    if (!without.includes(name)) await tries({ ...shape, without: [...without, name] });
  }
  let faultMs = Math.floor(extent.faultMs / 2);
  while (faultMs >= FAULT_MS_MIN && (await tries({ ...shape, faultMs }))) {
    faultMs = Math.floor(faultMs / 2);
  }
  return { shape: shape === failed ? undefined : shape, runs };
}

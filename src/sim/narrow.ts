/** Takes kinds of faults and of client operations out of a run: for the shrinker, and by hand. */
import type { Swarm } from './options.ts';
import { ALWAYS, STRIKE_KINDS } from './strikes.ts';
import { OPERATIONS, type Operation } from './workload/clients.ts';

/** Beyond the strikes: what the network, the clocks and the end of the faults do. */
const RATES = {
  loss: { lossRate: 0 },
  duplicate: { duplicateRate: 0 },
  replay: { replayRate: 0 },
  straggle: { straggleRate: 0 },
  garble: { garbleRate: 0 },
  frames: { encodesFrames: false },
  metadata: { metadata: false },
  drift: { clockRates: [1] },
  loseMinority: { losesMinority: false },
  retention: { retention: false },
} as const satisfies Record<string, Partial<Swarm>>;

/** Everything that `--without` understands. */
export const REMOVABLE: readonly string[] = [
  ...STRIKE_KINDS,
  ...new Set(ALWAYS),
  ...Object.keys(RATES),
  ...OPERATIONS,
];

export function narrowed(swarm: Swarm, without: readonly string[]): Swarm {
  const strikes = swarm.strikes.filter((kind) => !without.includes(kind));
  let narrow: Swarm = { ...swarm, strikes };
  for (const [name, change] of Object.entries(RATES)) {
    if (without.includes(name)) narrow = { ...narrow, ...change };
  }
  const isCalm = strikes.length === 0;
  return isCalm ? { ...narrow, meanFaultGapMs: Number.POSITIVE_INFINITY } : narrow;
}

export function operationsIn(without: readonly string[]): readonly Operation[] {
  return OPERATIONS.filter((operation) => without.includes(operation));
}

/** Every fault kind that coverage expects to meet. */
export const FAULT_KINDS: readonly string[] = [
  ...STRIKE_KINDS,
  ...new Set(ALWAYS),
  'loss',
  'duplicate',
  'replay',
  'straggle',
  'garble',
  'eioWrite',
  'eioSync',
  'eioRead',
  'enospc',
  'crashAtOperation',
  'levelTail',
  'levelHole',
  'levelCurrent',
  'levelWriteError',
  'stateRebuilt',
  'flipped body',
  'flipped header',
  'flipped checkpoint',
];

/** A history in slices of time: what was acknowledged, how fast, who led, which fault was on. */
import { eventsOf, type Fault, type History } from '../history.ts';
import { isAckedWrite, writesOf } from '../validity.ts';

const SLICES_MAX = 240;
const SLICE_MS_MIN = 250;

export interface Slice {
  /** Since the start of the run. */
  readonly atMs: number;
  /** Acknowledged writes a second. */
  readonly rate: number;
  /** Of these; undefined: there were none. */
  readonly medianMs: number | undefined;
  readonly worstMs: number | undefined;
}

/** From `atMs` on, until the next one of its shard. */
export interface Reign {
  readonly shard: number;
  readonly node: number;
  readonly term: number;
  readonly atMs: number;
  readonly endMs: number;
}

export interface Timeline {
  readonly lengthMs: number;
  readonly slices: readonly Slice[];
  readonly reigns: readonly Reign[];
  /** Times are since the start of the run, too. */
  readonly faults: readonly Fault[];
}

export function timelineOf(history: History): Timeline {
  const startMs = eventsOf(history, 'start')[0]?.atMs ?? 0;
  const acked = writesOf(history).filter(isAckedWrite);
  const lastAckMs = acked.reduce((ms, { completedMs }) => Math.max(ms, completedMs), startMs);
  const lengthMs = Math.max(1, (eventsOf(history, 'stop')[0]?.atMs ?? lastAckMs) - startMs);
  const faults = eventsOf(history, 'fault').map((fault) => ({
    ...fault,
    atMs: fault.atMs - startMs,
    endMs: fault.endMs - startMs,
  }));
  const reigns = reignsOf(history, startMs, lengthMs);
  return { lengthMs, slices: slicesOf(acked, startMs, lengthMs), reigns, faults };
}

interface Acked {
  readonly invokedMs: number;
  readonly completedMs: number;
}

function slicesOf(acked: readonly Acked[], startMs: number, lengthMs: number): Slice[] {
  const sliceMs = Math.max(SLICE_MS_MIN, Math.ceil(lengthMs / SLICES_MAX));
  const count = Math.ceil(lengthMs / sliceMs);
  const latencies = Array.from({ length: count }, (): number[] => []);
  for (const { invokedMs, completedMs } of acked) {
    latencies[Math.floor((completedMs - startMs) / sliceMs)]?.push(completedMs - invokedMs);
  }
  return latencies.map((list, i) => {
    list.sort((a, b) => a - b);
    const atMs = i * sliceMs;
    const rate = (1000 * list.length) / Math.min(sliceMs, lengthMs - atMs);
    return { atMs, rate, medianMs: list[Math.floor(list.length / 2)], worstMs: list.at(-1) };
  });
}

/** Several nodes may tell of a leader late: only a newer term ends a reign. */
function reignsOf(history: History, startMs: number, lengthMs: number): Reign[] {
  const shards = new Map<number, Reign[]>();
  for (const { shard, node, term, atMs } of eventsOf(history, 'leader')) {
    const reigns = shards.get(shard) ?? [];
    shards.set(shard, reigns);
    const last = reigns.at(-1);
    if (last !== undefined && last.term >= term) continue;
    const sinceMs = Math.max(0, atMs - startMs);
    if (last !== undefined) reigns[reigns.length - 1] = { ...last, endMs: sinceMs };
    reigns.push({ shard, node, term, atMs: sinceMs, endMs: lengthMs });
  }
  return [...shards].sort(([a], [b]) => a - b).flatMap(([, reigns]) => reigns);
}

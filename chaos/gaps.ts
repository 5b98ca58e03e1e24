/** How long the queues whose leader a fault hit went without an acknowledgement. */
import { eventsOf, type Fault, type History } from './history.ts';

/** Acks that were in our socket may arrive after the fault: gaps that begin this soon count too. */
const AFTERGLOW_MS = 500;

export interface Gap {
  readonly nemesis: string;
  readonly atMs: number;
  readonly ms: number;
}

export interface GapSummary {
  readonly median: number;
  /** By nearest rank: of less than a hundred it is the worst. */
  readonly p99: number;
  readonly worst: number;
}

/** Per installed fault that hit a leader, the longest gap of any of its queues. */
export function gapsOf(history: History): Gap[] {
  const acks = ackTimes(history);
  const endMs = Math.max(0, ...[...acks.values()].map((times) => times.at(-1) ?? 0));
  return eventsOf(history, 'fault')
    .filter(({ state, queues }) => state === 'installed' && queues.length > 0)
    .map((fault) => ({
      nemesis: fault.nemesis,
      atMs: fault.atMs,
      ms: Math.max(...fault.queues.map((queue) => gapMs(acks.get(queue) ?? [], fault, endMs))),
    }));
}

/** Between two acks, of all that began before the fault ended; the last lasts to the end of all. */
function gapMs(acks: readonly number[], { atMs, endMs: healedMs }: Fault, endMs: number): number {
  let longest = 0;
  const times = [...acks, Math.max(endMs, acks.at(-1) ?? 0)];
  for (let i = 1; i < times.length; i++) {
    const [from, to] = [times[i - 1]!, times[i]!];
    if (to > atMs && from < healedMs + AFTERGLOW_MS) longest = Math.max(longest, to - from);
  }
  return longest;
}

function ackTimes(history: History): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (const { topic, queue, outcome, completedMs } of eventsOf(history, 'produce')) {
    // A fault names the queues that it hit of the topic of the run.
    if (outcome !== 'ok' || topic !== undefined) continue;
    const known = times.get(queue);
    if (known === undefined) times.set(queue, [completedMs]);
    else known.push(completedMs);
  }
  for (const list of times.values()) list.sort((a, b) => a - b);
  return times;
}

export function summarizeGaps(gaps: readonly number[]): GapSummary | null {
  if (gaps.length === 0) return null;
  const sorted = [...gaps].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  const p99 = sorted[Math.ceil(0.99 * sorted.length) - 1]!;
  return { median: Math.round(median), p99: Math.round(p99), worst: Math.round(sorted.at(-1)!) };
}

/** By nemesis. */
export function gapsByNemesis(
  gaps: readonly Pick<Gap, 'nemesis' | 'ms'>[],
): Record<string, GapSummary> {
  const names = [...new Set(gaps.map(({ nemesis }) => nemesis))];
  const of = (name: string) => gaps.filter(({ nemesis }) => nemesis === name).map(({ ms }) => ms);
  return Object.fromEntries(
    names.flatMap((name) => {
      const summary = summarizeGaps(of(name));
      return summary === null ? [] : [[name, summary] as const];
    }),
  );
}

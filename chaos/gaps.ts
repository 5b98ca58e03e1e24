/** How long the queues whose leader a fault hit went without an acknowledgement. */
import { type Attempt, eventsOf, type Fault, type History, type InQueue } from './history.ts';

/** Acks that were in our socket may arrive after the fault: gaps that begin this soon count too. */
const AFTERGLOW_MS = 500;
/** How long before a fault the load itself is looked at: its own pauses are in every gap. */
const CALM_MS = 1000;

export interface Gap {
  readonly nemesis: string;
  readonly atMs: number;
  readonly ms: number;
  /** The longest time without an ack of the same queues in the second before. */
  readonly calmMs: number;
}

export interface GapSummary {
  readonly median: number;
  /** By nearest rank: of less than a hundred it is the worst. */
  readonly p99: number;
  readonly worst: number;
  /** Median of what the same queues showed in the second before each fault. */
  readonly calm: number;
}

/**
 * Per installed fault that hit a leader, the longest gap of any of its queues. Where no ack came
 * before it there is nothing to measure from.
 */
export function gapsOf(history: History): Gap[] {
  const acks = ackTimes(history);
  const endMs = Math.max(0, ...[...acks.values()].map((times) => times.at(-1) ?? 0));
  return eventsOf(history, 'fault')
    .filter(({ state }) => state === 'installed')
    .flatMap((fault) => {
      const times = fault.queues
        .map((queue) => acks.get(queue) ?? [])
        .filter(([first = Infinity]) => first <= fault.atMs);
      if (times.length === 0) return [];
      return {
        nemesis: fault.nemesis,
        atMs: fault.atMs,
        ms: Math.max(...times.map((list) => gapMs(list, fault, endMs))),
        calmMs: Math.max(...times.map((list) => calmMs(list, fault.atMs))),
      };
    });
}

/**
 * Between two acks, of all that began before the fault ended; the last lasts to the end of all, and
 * no less than the fault.
 */
function gapMs(acks: readonly number[], { atMs, endMs: healedMs }: Fault, endMs: number): number {
  let longest = 0;
  const times = [...acks, Math.max(endMs, healedMs)];
  for (let i = 1; i < times.length; i++) {
    const [from, to] = [times[i - 1]!, times[i]!];
    if (to > atMs && from < healedMs + AFTERGLOW_MS) longest = Math.max(longest, to - from);
  }
  return longest;
}

function calmMs(acks: readonly number[], untilMs: number): number {
  const times = acks.filter((at) => at >= untilMs - CALM_MS && at < untilMs);
  return times.slice(1).reduce((longest, at, i) => Math.max(longest, at - times[i]!), 0);
}

function ackTimes(history: History): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (const { outcome, completedMs, queues } of writesIn(history)) {
    if (outcome !== 'ok') continue;
    for (const { topic, queue } of queues) {
      // A fault names the queues that it hit of the topic of the run.
      if (topic !== undefined) continue;
      const known = times.get(queue);
      if (known === undefined) times.set(queue, [completedMs]);
      else known.push(completedMs);
    }
  }
  for (const list of times.values()) list.sort((a, b) => a - b);
  return times;
}

/** With the queues that had to take part before the answer. */
function* writesIn(history: History): Generator<Attempt & { readonly queues: readonly InQueue[] }> {
  for (const produce of eventsOf(history, 'produce')) yield { ...produce, queues: [produce] };
  for (const type of ['prepare', 'end'] as const) {
    for (const one of eventsOf(history, type)) {
      yield { ...one, queues: [one, ...(one.others ?? [])] };
    }
  }
}

export function summarizeGaps(gaps: readonly Pick<Gap, 'ms' | 'calmMs'>[]): GapSummary | null {
  if (gaps.length === 0) return null;
  const sorted = gaps.map(({ ms }) => ms).sort((a, b) => a - b);
  const p99 = sorted[Math.ceil(0.99 * sorted.length) - 1]!;
  return {
    median: Math.round(medianOf(sorted)),
    p99: Math.round(p99),
    worst: Math.round(sorted.at(-1)!),
    calm: Math.round(medianOf(gaps.map((gap) => gap.calmMs).sort((a, b) => a - b))),
  };
}

function medianOf(sorted: readonly number[]): number {
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

/** By nemesis. */
export function gapsByNemesis(
  gaps: readonly Pick<Gap, 'nemesis' | 'ms' | 'calmMs'>[],
): Record<string, GapSummary> {
  const names = [...new Set(gaps.map(({ nemesis }) => nemesis))];
  const of = (name: string) => gaps.filter(({ nemesis }) => nemesis === name);
  return Object.fromEntries(
    names.flatMap((name) => {
      const summary = summarizeGaps(of(name));
      return summary === null ? [] : [[name, summary] as const];
    }),
  );
}

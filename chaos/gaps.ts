/** How long the queues of a killed leader went without an acknowledgement. */
import { eventsOf, type History, type Kill } from './history.ts';

/** Acks that were in our socket may arrive after the kill: gaps that begin this soon count too. */
const AFTERGLOW_MS = 500;

export interface GapSummary {
  readonly median: number;
  readonly worst: number;
}

/** Per landed kill the longest gap of any of its queues, in milliseconds. */
export function gapsMs(history: History): number[] {
  const acks = ackTimes(history);
  const endMs = Math.max(0, ...[...acks.values()].map((times) => times.at(-1) ?? 0));
  return eventsOf(history, 'kill')
    .filter(({ landed }) => landed)
    .map((kill) => Math.max(0, ...kill.queues.map((q) => gapMs(acks.get(q) ?? [], kill, endMs))));
}

/** From the last ack before to the first one after; without one, to the end of the history. */
function gapMs(acks: readonly number[], { atMs }: Kill, endMs: number): number {
  let longest = 0;
  const times = [...acks, Math.max(endMs, acks.at(-1) ?? 0)];
  for (let i = 1; i < times.length; i++) {
    const [from, to] = [times[i - 1]!, times[i]!];
    if (to > atMs && from < atMs + AFTERGLOW_MS) longest = Math.max(longest, to - from);
  }
  return longest;
}

function ackTimes(history: History): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (const { queue, outcome, completedMs } of eventsOf(history, 'produce')) {
    if (outcome !== 'ok') continue;
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
  return { median: Math.round(median), worst: Math.round(sorted.at(-1)!) };
}

/** What a run has to have done before its verdict means anything. */
import { eventsOf, type Fault, type History, type HistoryEvent, type Start } from './history.ts';

export const ACKED_PER_SECOND_MIN = 100;
/** Of the load before the first fault. */
const RATE_WINDOW_MS = 5000;

export type Write = Extract<HistoryEvent, { type: 'produce' | 'prepare' | 'end' | 'commit' }>;

const WRITES = ['produce', 'prepare', 'end', 'commit'] as const satisfies Write['type'][];

export function writesOf(history: History): Write[] {
  return WRITES.flatMap((type) => eventsOf(history, type));
}

export function isAckedWrite(event: HistoryEvent): event is Write {
  return WRITES.some((type) => type === event.type) && (event as Write).outcome === 'ok';
}

/** A run that attacked nothing, wrote nothing or read nothing proves nothing. */
export function doubtsAbout(history: History): string[] {
  const start = eventsOf(history, 'start')[0];
  if (start === undefined) return ['the history is empty'];
  const doubts = [...doubtsAboutFaults(history, start), ...doubtsAboutLoad(history)];
  const finals = eventsOf(history, 'final').filter(({ topic }) => topic === undefined).length;
  const due = start.nodes * start.queues;
  if (finals !== due) doubts.push(`${finals} of ${due} final reads came to their end`);
  if (eventsOf(history, 'stop').length === 0) doubts.push('the run was broken off');
  return doubts;
}

function doubtsAboutFaults(history: History, { nemeses }: Start): string[] {
  if (nemeses.length === 0) return ['no fault was asked for'];
  const changes = leaderChanges(history);
  return nemeses.flatMap((name) => {
    const faults = eventsOf(history, 'fault').filter(({ nemesis }) => nemesis === name);
    const installed = faults.filter(({ state }) => state === 'installed');
    if (installed.length === 0) return [`${name} was never installed${reasonOf(faults)}`];
    const isDue = installed.some(({ movesLeader }) => movesLeader);
    const moved = (fault: Fault) => changes.some((atMs) => follows(fault, atMs, history));
    return isDue && !installed.some(moved) ? [`${name} moved no leader`] : [];
  });
}

function reasonOf(faults: readonly Fault[]): string {
  const [first] = faults;
  if (first === undefined) return '';
  return `: ${first.state}${first.text === undefined ? '' : `, ${first.text}`}`;
}

/** Between its begin and that of the next step, which waits for a whole cluster. */
function follows({ atMs, endMs }: Fault, changeMs: number, history: History): boolean {
  const later = eventsOf(history, 'fault').filter((other) => other.atMs > endMs);
  return changeMs >= atMs && later.every((other) => changeMs < other.atMs);
}

/** When a shard was seen led in a newer term than before. */
function leaderChanges(history: History): number[] {
  const terms = new Map<number, number>();
  return eventsOf(history, 'leader').flatMap(({ shard, term, atMs }) => {
    const known = terms.get(shard);
    if (known !== undefined && known >= term) return [];
    terms.set(shard, term);
    return known === undefined ? [] : [atMs];
  });
}

/** Faults hit a cluster at work, or they test little. Processes that just started are slow. */
function doubtsAboutLoad(history: History): string[] {
  const firstMs = Math.min(...eventsOf(history, 'fault').map(({ atMs }) => atMs));
  if (!Number.isFinite(firstMs)) return [];
  const perSecond = ackedPerSecond(
    writesOf(history).flatMap(({ outcome, completedMs }) =>
      outcome === 'ok' ? [completedMs] : [],
    ),
    firstMs,
  );
  if (perSecond >= ACKED_PER_SECOND_MIN) return [];
  const rate = Math.floor(10 * perSecond) / 10;
  const least = ACKED_PER_SECOND_MIN;
  return [`${rate} acknowledged operations a second before the first fault, at least ${least}`];
}

/** In the last seconds before a time, or since the first one when that is less. */
function ackedPerSecond(acksMs: readonly number[], untilMs: number): number {
  const before = acksMs.filter((atMs) => atMs <= untilMs);
  const beganMs = before.reduce((least, atMs) => Math.min(least, atMs), untilMs);
  const sinceMs = Math.max(beganMs, untilMs - RATE_WINDOW_MS);
  const acks = before.filter((atMs) => atMs >= sinceMs).length;
  return acks === 0 ? 0 : (1000 * acks) / Math.max(1, untilMs - sinceMs);
}

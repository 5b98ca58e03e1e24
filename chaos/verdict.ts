/** From a history to a verdict. Whatever cannot be judged is invalid, never passed. */
import { type Broken, CHECK_TIME_MS, checkHistory } from './checker/check.ts';
import { type GapSummary, gapsByNemesis, gapsOf, summarizeGaps } from './gaps.ts';
import { eventsOf, type Fault, type History } from './history.ts';
import { countTransactions, type TransactionCounts } from './transactions.ts';
import { doubtsAbout, writesOf } from './validity.ts';

export type Verdict = 'pass' | 'fail' | 'invalid';

/** How often a fault was installed, and how often nobody can say or it was left out. */
export type FaultCount = Readonly<Record<Fault['state'], number>>;

export interface Judgement {
  readonly verdict: Verdict;
  readonly scenario: string;
  readonly seed: number;
  readonly nodes: number;
  /** By nemesis. */
  readonly faults: Readonly<Record<string, FaultCount>>;
  /** Messages whose produce, or the commit of whose transaction, was acknowledged. */
  readonly acked: number;
  readonly acked_operations: number;
  /** Attempts that ended without an answer to rely on, all settled later. */
  readonly unknown_attempts: number;
  /** How many of them ended how; absent where there were none. */
  readonly transactions?: TransactionCounts;
  /** How often each property is broken. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of the faults that hit a leader: the longest time without an ack. */
  readonly longest_gap_ms: GapSummary | null;
  readonly gaps_ms: Readonly<Record<string, GapSummary>>;
  readonly seconds: number;
  /** Why it is not a pass. */
  readonly reasons: readonly string[];
  /** What of that the history itself shows, with its lines. */
  readonly findings: readonly Broken[];
}

export function judge(history: History, checkTimeMs = CHECK_TIME_MS): Judgement {
  const { findings, counts, timedOut } = checkHistory(history, checkTimeMs);
  const failures = [
    ...(timedOut ? ['the check did not come to its end in time'] : []),
    ...findings.map(({ name, text, lines }) => `${name}: ${text} (lines ${lines.join(', ')})`),
    ...eventsOf(history, 'trouble').map(({ process, text }) => `trouble: ${process}: ${text}`),
  ];
  const writes = writesOf(history);
  const doubts = doubtsAbout(history);
  const gaps = gapsOf(history);
  const transactions = countTransactions(history);
  const start = eventsOf(history, 'start')[0];
  const stop = eventsOf(history, 'stop')[0];
  return {
    verdict: failures.length > 0 ? 'fail' : doubts.length > 0 ? 'invalid' : 'pass',
    scenario: start?.scenario ?? 'none',
    seed: start?.seed ?? 0,
    nodes: start?.nodes ?? 0,
    faults: countFaults(history),
    acked: ackedMessages(history),
    acked_operations: writes.filter(({ outcome }) => outcome === 'ok').length,
    unknown_attempts: writes.filter(({ outcome }) => outcome === 'unknown').length,
    ...(transactions === undefined ? {} : { transactions }),
    counts,
    longest_gap_ms: summarizeGaps(gaps),
    gaps_ms: gapsByNemesis(gaps),
    seconds: stop === undefined ? 0 : Math.round((stop.atMs - (start?.atMs ?? 0)) / 100) / 10,
    reasons: [...failures, ...doubts],
    findings,
  };
}

function countFaults(history: History): Record<string, FaultCount> {
  const counts: Record<string, Record<Fault['state'], number>> = {};
  for (const { nemesis, state } of eventsOf(history, 'fault')) {
    counts[nemesis] ??= { installed: 0, skipped: 0, indeterminate: 0 };
    counts[nemesis][state]++;
  }
  return counts;
}

/** Half messages that were not committed count as operations only. */
function ackedMessages(history: History): number {
  const acked = new Set<string>();
  const committed = new Set<string>();
  for (const { outcome, values } of eventsOf(history, 'produce')) {
    if (outcome === 'ok') for (const value of values) acked.add(value);
  }
  for (const { transaction, decision, outcome } of eventsOf(history, 'end')) {
    if (outcome === 'ok' && decision === 'commit') committed.add(transaction);
  }
  for (const prepare of eventsOf(history, 'prepare')) {
    if (!committed.has(prepare.transaction)) continue;
    for (const { values } of [prepare, ...(prepare.others ?? [])]) {
      for (const value of values) acked.add(value);
    }
  }
  return acked.size;
}

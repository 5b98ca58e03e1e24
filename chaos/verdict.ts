/** From a history to a verdict. Whatever cannot be judged is invalid, never passed. */
import { committedOffsets } from './checker/committed-offsets.ts';
import { denseOffsets } from './checker/dense-offsets.ts';
import { duplicates } from './checker/duplicates.ts';
import { type Checker, type Finding, KINDS, type Kind } from './checker/finding.ts';
import { halfVisibility } from './checker/half-visibility.ts';
import { lostWrites } from './checker/lost-writes.ts';
import { offsetValues } from './checker/offset-values.ts';
import { phantoms } from './checker/phantoms.ts';
import { falseRefusals } from './checker/refusals.ts';
import { sendOrder } from './checker/send-order.ts';
import { ackedValues } from './checker/views.ts';
import { type GapSummary, gapsByNemesis, gapsOf, summarizeGaps } from './gaps.ts';
import { eventsOf, type Fault, type History } from './history.ts';
import { doubtsAbout, writesOf } from './validity.ts';

const CHECKERS: readonly Checker[] = [
  lostWrites,
  offsetValues,
  duplicates,
  sendOrder,
  denseOffsets,
  phantoms,
  halfVisibility,
  committedOffsets,
  falseRefusals,
];

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
  /** Messages with an acknowledged offset. */
  readonly acked: number;
  readonly acked_operations: number;
  /** Attempts that ended without an answer to rely on, all settled later. */
  readonly unknown_attempts: number;
  readonly counts: Readonly<Record<Kind, number>>;
  /** Of the faults that hit a leader: the longest time without an ack. */
  readonly longest_gap_ms: GapSummary | null;
  readonly gaps_ms: Readonly<Record<string, GapSummary>>;
  readonly seconds: number;
  /** Why it is not a pass. */
  readonly reasons: readonly string[];
}

export function judge(history: History): Judgement {
  const findings = CHECKERS.flatMap((check) => check(history));
  const failures = [
    ...findings.map(({ kind, text }) => `${kind}: ${text}`),
    ...eventsOf(history, 'trouble').map(({ process, text }) => `trouble: ${process}: ${text}`),
  ];
  const acked = new Set(ackedValues(history).map(({ queue, value }) => `${queue} ${value}`)).size;
  const writes = writesOf(history);
  const doubts = doubtsAbout(history);
  const gaps = gapsOf(history);
  const start = eventsOf(history, 'start')[0];
  const stop = eventsOf(history, 'stop')[0];
  return {
    verdict: failures.length > 0 ? 'fail' : doubts.length > 0 ? 'invalid' : 'pass',
    scenario: start?.scenario ?? 'none',
    seed: start?.seed ?? 0,
    nodes: start?.nodes ?? 0,
    faults: countFaults(history),
    acked,
    acked_operations: writes.filter(({ outcome }) => outcome === 'ok').length,
    unknown_attempts: writes.filter(({ outcome }) => outcome === 'unknown').length,
    counts: countKinds(findings),
    longest_gap_ms: summarizeGaps(gaps.map(({ ms }) => ms)),
    gaps_ms: gapsByNemesis(gaps),
    seconds: stop === undefined ? 0 : Math.round((stop.atMs - (start?.atMs ?? 0)) / 100) / 10,
    reasons: [...failures, ...doubts],
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

function countKinds(findings: readonly Finding[]): Record<Kind, number> {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  for (const { kind } of findings) counts[kind]++;
  return counts;
}

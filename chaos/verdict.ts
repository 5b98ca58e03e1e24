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
import { type GapSummary, gapsMs, summarizeGaps } from './gaps.ts';
import { eventsOf, type History } from './history.ts';

export const ACKED_OPERATIONS_MIN = 100;

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

export interface Judgement {
  readonly verdict: Verdict;
  readonly scenario: string;
  readonly kills: number;
  /** Messages with an acknowledged offset. */
  readonly acked: number;
  readonly acked_operations: number;
  /** Attempts that ended without an answer to rely on, all settled later. */
  readonly unknown_attempts: number;
  readonly counts: Readonly<Record<Kind, number>>;
  readonly longest_gap_ms: GapSummary | null;
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
  const operations = attempts(history);
  const ackedOperations = operations.filter(({ outcome }) => outcome === 'ok').length;
  const landed = eventsOf(history, 'kill').filter((kill) => kill.landed).length;
  const doubts = doubtsAbout(history, landed, ackedOperations);
  const start = eventsOf(history, 'start')[0];
  const stop = eventsOf(history, 'stop')[0];
  return {
    verdict: failures.length > 0 ? 'fail' : doubts.length > 0 ? 'invalid' : 'pass',
    scenario: start?.scenario ?? 'none',
    kills: landed,
    acked,
    acked_operations: ackedOperations,
    unknown_attempts: operations.filter(({ outcome }) => outcome === 'unknown').length,
    counts: countKinds(findings),
    longest_gap_ms: summarizeGaps(gapsMs(history)),
    seconds: stop === undefined ? 0 : Math.round((stop.atMs - (start?.atMs ?? 0)) / 100) / 10,
    reasons: [...failures, ...doubts],
  };
}

function attempts(history: History) {
  return (['produce', 'prepare', 'end', 'commit'] as const).flatMap((type) =>
    eventsOf(history, type),
  );
}

/** A run that attacked nothing, wrote nothing or read nothing proves nothing. */
function doubtsAbout(history: History, landed: number, ackedOperations: number): string[] {
  const start = eventsOf(history, 'start')[0];
  if (start === undefined) return ['the history is empty'];
  const doubts: string[] = [];
  if (landed === 0) doubts.push('no kill landed');
  if (ackedOperations < ACKED_OPERATIONS_MIN) {
    doubts.push(`${ackedOperations} acknowledged operations, at least ${ACKED_OPERATIONS_MIN}`);
  }
  const finals = eventsOf(history, 'final').length;
  const due = start.nodes * start.queues;
  if (finals !== due) doubts.push(`${finals} of ${due} final reads came to their end`);
  if (eventsOf(history, 'stop').length === 0) doubts.push('the run was broken off');
  return doubts;
}

function countKinds(findings: readonly Finding[]): Record<Kind, number> {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  for (const { kind } of findings) counts[kind]++;
  return counts;
}

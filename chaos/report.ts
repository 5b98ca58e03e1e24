/** Judgements as text for people and as JSON for scripts; the exit code of a whole run. */
import type { TransactionCounts } from './transactions.ts';
import type { FaultCount, Judgement, Verdict } from './verdict.ts';

const REASONS_SHOWN = 20;
export const EXIT_CODES: Readonly<Record<Verdict, number>> = { pass: 0, fail: 1, invalid: 3 };

/** One line of JSON. */
export function asJson({ counts, reasons, findings: _, ...head }: Judgement): string {
  const shown = reasons.slice(0, REASONS_SHOWN);
  return JSON.stringify({ ...head, ...counts, reasons: shown });
}

export function asText(judgement: Judgement): string {
  const { scenario, seed, nodes, acked, counts, longest_gap_ms: gap, reasons } = judgement;
  const hidden = reasons.length - REASONS_SHOWN;
  const found = Object.entries(counts).map(([kind, n]) => `${kind.replaceAll('-', ' ')} ${n}`);
  const gaps = Object.entries(judgement.gaps_ms).map(([name, { median, p99, worst, calm }]) => {
    return `${name} ${median}/${p99}/${worst} (${calm})`;
  });
  return [
    `${scenario}, seed ${seed}, ${nodes} nodes: ${faultsText(judgement.faults)}`,
    `  ${acked} messages acknowledged in ${judgement.seconds} s`,
    `  ${judgement.unknown_attempts} attempts without an answer, settled later`,
    ...(judgement.transactions === undefined ? [] : [transactionsText(judgement.transactions)]),
    `  ${found.join(', ')}`,
    gap === null
      ? '  no time without an ack measured'
      : `  longest time without an ack, median/p99/worst ms (calm before): ${gaps.join(', ')}`,
    ...reasons.slice(0, REASONS_SHOWN).map((reason) => `  ${reason}`),
    ...(hidden > 0 ? [`  and ${hidden} more`] : []),
    `  verdict: ${judgement.verdict}`,
  ].join('\n');
}

function transactionsText({ begun, ...outcomes }: TransactionCounts): string {
  const parts = Object.entries(outcomes).map(([what, n]) => `${n} ${what.replaceAll('_', ' ')}`);
  return `  ${begun} transactions: ${parts.join(', ')}`;
}

function faultsText(faults: Readonly<Record<string, FaultCount>>): string {
  const texts = Object.entries(faults).map(([name, { installed, skipped, indeterminate }]) => {
    const others = [
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
      ...(indeterminate > 0 ? [`${indeterminate} indeterminate`] : []),
    ];
    return `${installed} ${name}${others.length > 0 ? ` (${others.join(', ')})` : ''}`;
  });
  return texts.length === 0 ? 'no fault' : texts.join(', ');
}

/** A failure outweighs an invalid run, and that a pass. */
export function exitCode(verdicts: readonly Verdict[]): number {
  const worst = (['fail', 'invalid'] as const).find((verdict) => verdicts.includes(verdict));
  return verdicts.length === 0 ? EXIT_CODES.invalid : EXIT_CODES[worst ?? 'pass'];
}

/** A committed offset is a register that only rises: what was known once is never undercut. */
import { eventsOf, type History } from '../history.ts';
import type { Finding } from './finding.ts';
import { listOf } from './views.ts';

/** Something that proves the register to be at least `offset` from `atMs` on. */
interface Proof {
  readonly atMs: number;
  readonly offset: number;
  readonly what: string;
}

interface Look {
  readonly invokedMs: number;
  readonly offset: number;
  readonly node: number;
}

export function committedOffsets(history: History): Finding[] {
  const proofs = new Map<string, Proof[]>();
  const looks = new Map<string, Look[]>();
  const asked = new Map<string, number>();
  for (const commit of eventsOf(history, 'commit')) {
    const { group, queue, offset, outcome, completedMs: atMs } = commit;
    const register = `${group}, queue ${queue}`;
    asked.set(register, Math.max(asked.get(register) ?? 0, offset));
    if (outcome !== 'ok') continue;
    listOf(proofs, register).push({ atMs, offset, what: 'committed' });
  }
  for (const { group, queue, node, offset = -1, ...times } of eventsOf(history, 'committed')) {
    const register = `${group}, queue ${queue}`;
    listOf(looks, register).push({ invokedMs: times.invokedMs, offset, node });
    const what = `read through node ${node}`;
    listOf(proofs, register).push({ atMs: times.completedMs, offset, what });
  }
  return [...looks].flatMap(([register, seen]) => [
    ...undercut(register, seen, proofs.get(register) ?? []),
    ...seen
      .filter(({ offset }) => offset > (asked.get(register) ?? -1))
      .map(({ offset }) => finding(`${register}: shows ${offset}, which nobody committed`)),
  ]);
}

function undercut(register: string, looks: readonly Look[], proofs: readonly Proof[]): Finding[] {
  const inTime = [...proofs].sort((a, b) => a.atMs - b.atMs);
  const findings: Finding[] = [];
  let highest: Proof | undefined;
  let at = 0;
  for (const look of [...looks].sort((a, b) => a.invokedMs - b.invokedMs)) {
    // Only what was complete before this look began binds it.
    for (; at < inTime.length && inTime[at]!.atMs < look.invokedMs; at++) {
      if (highest === undefined || inTime[at]!.offset > highest.offset) highest = inTime[at];
    }
    if (highest === undefined || look.offset >= highest.offset) continue;
    const shown = look.offset < 0 ? 'nothing' : look.offset;
    const before = `${highest.offset} was ${highest.what}`;
    findings.push(finding(`${register}: ${before}, then node ${look.node} shows ${shown}`));
  }
  return findings;
}

function finding(text: string): Finding {
  return { kind: 'offsets_fell', text };
}

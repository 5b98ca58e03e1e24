/** Results of a matrix as a Markdown table. */
import type { Verdict } from '../verdict.ts';
import type { Cell } from './cells.ts';
import { keyOf, type Result } from './results.ts';

const NOTHING = '–';

export function tableOf(cells: readonly Cell[], results: readonly Result[]): string {
  const sizes = [...new Set(cells.map(({ nodes }) => nodes))];
  const names = [...new Set(cells.map(({ name }) => name))];
  const head = ['faults', ...sizes.flatMap((nodes) => headOf(nodes)), 'pass / invalid / fail'];
  const rows = names.map((name) => {
    const of = (nodes: Cell['nodes']) => runsOf(results, { name, nodes });
    return [`\`${name}\``, ...sizes.flatMap((n) => shown(of(n))), counted(sizes.flatMap(of))];
  });
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function headOf(nodes: number): string[] {
  return [`${nodes} nodes: faults`, 'acked/s', 'ms without an ack, median / worst'];
}

function runsOf(results: readonly Result[], cell: Pick<Cell, 'name' | 'nodes'>): Result[] {
  return results.filter((result) => result.cell === keyOf(cell));
}

/** The figures of the latest run. */
function shown(runs: readonly Result[]): string[] {
  const run = runs.at(-1);
  if (run === undefined) return [NOTHING, NOTHING, NOTHING];
  const { faults, acked, seconds, longest_gap_ms: gap } = run;
  const installed = Object.values(faults).reduce((sum, count) => sum + count.installed, 0);
  return [
    `${installed}`,
    `${Math.round(acked / Math.max(1, seconds))}`,
    gap === null ? NOTHING : `${gap.median} / ${gap.worst}`,
  ];
}

function counted(runs: readonly Result[]): string {
  const of = (verdict: Verdict) => runs.filter((run) => run.verdict === verdict).length;
  return `${of('pass')} / ${of('invalid')} / ${of('fail')}`;
}

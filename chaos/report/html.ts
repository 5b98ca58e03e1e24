/** A judged history as one page that needs nothing else: no network, no script. */
import { gapsOf } from '../gaps.ts';
import { eventsOf, type History, type HistoryEvent, type Read } from '../history.ts';
import type { Judgement } from '../verdict.ts';
import { chart } from './chart.ts';
import { escaped } from './escape.ts';
import { timelineOf } from './timeline.ts';

const FINDINGS_SHOWN = 20;
const LINES_SHOWN = 6;
const LINE_CHARACTERS_MAX = 400;

const STYLE = `
body{font:14px/1.45 system-ui,sans-serif;max-width:1040px;margin:24px auto;padding:0 16px}
body{color:#222}
h1 b{padding:2px 10px;border-radius:4px;color:#fff}
.pass{background:#2f6f4f}.fail{background:#a32c2c}.invalid{background:#8a6d1d}
table{border-collapse:collapse;margin:8px 0}td,th{padding:2px 12px 2px 0;text-align:left}
td{border-top:1px solid #ddd;vertical-align:top}code{font:12px ui-monospace,monospace}
svg{width:100%;font:9px system-ui,sans-serif}polyline{fill:none;stroke-width:1.2}
.axis{stroke:#999;stroke-width:.5}.label{text-anchor:end;fill:#555}.title{fill:#555}
.node{fill:#fff}.tick{text-anchor:middle;fill:#555}
.fault rect{fill:#d9534f;opacity:.16}.fault text{fill:#a32c2c}.skipped rect{fill:#999}
pre{background:#f5f5f5;padding:8px;white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}`;

export function asHtml(history: History, judgement: Judgement): string {
  const { scenario, seed, nodes, verdict, seconds, acked } = judgement;
  const head = `${scenario}, seed ${seed}, ${nodes} nodes`;
  return [
    '<!doctype html>',
    `<html lang="en"><meta charset="utf-8"><title>${escaped(head)}: ${verdict}</title>`,
    `<style>${STYLE}</style>`,
    `<h1><b class="${verdict}">${verdict}</b> ${escaped(head)}</h1>`,
    `<p>${acked} messages acknowledged in ${seconds} s; ${judgement.unknown_attempts} attempts`,
    'without an answer, settled by what was read.</p>',
    reasons(judgement),
    '<h2>Time line</h2>',
    chart(timelineOf(history)),
    faults(history),
    properties(judgement),
    findings(history, judgement),
    '</html>',
  ].join('\n');
}

function reasons({ reasons: all }: Judgement): string {
  if (all.length === 0) return '';
  const items = all.slice(0, FINDINGS_SHOWN).map((reason) => `<li>${escaped(reason)}</li>`);
  const hidden = all.length - items.length;
  return `<h2>Why</h2><ul>${items.join('')}${hidden > 0 ? `<li>and ${hidden} more</li>` : ''}</ul>`;
}

function faults(history: History): string {
  const startMs = eventsOf(history, 'start')[0]?.atMs ?? 0;
  const gaps = new Map(gapsOf(history).map(({ nemesis, atMs, ms }) => [`${nemesis} ${atMs}`, ms]));
  const rows = eventsOf(history, 'fault').map(({ nemesis, atMs, endMs, nodes, state, text }) => {
    const gap = gaps.get(`${nemesis} ${atMs}`);
    return [
      nemesis,
      text === undefined ? state : `${state}: ${text}`,
      nodes.join(' '),
      ((atMs - startMs) / 1000).toFixed(1),
      ((endMs - atMs) / 1000).toFixed(1),
      gap === undefined ? '' : `${Math.round(gap)} ms`,
    ];
  });
  const titles = ['fault', 'state', 'nodes', 'at, s', 'for, s', 'longest time without an ack'];
  return `<h2>Faults</h2>${table(titles, rows)}`;
}

function properties({ counts }: Judgement): string {
  const rows = Object.entries(counts).map(([name, count]) => [name, String(count)]);
  return `<h2>Properties</h2>${table(['property', 'broken'], rows)}`;
}

/** The few operations that show it. */
function findings(history: History, { findings: all }: Judgement): string {
  if (all.length === 0) return '';
  const shown = all.slice(0, FINDINGS_SHOWN).map(({ name, text, lines }) => {
    const operations = [...new Set(lines)].slice(0, LINES_SHOWN).flatMap((line) => {
      const event = history[line - 1];
      return event === undefined ? [] : [`${line}: ${operation(event, text)}`];
    });
    const evidence = escaped(operations.join('\n'));
    return `<h3>${escaped(name)}</h3><p>${escaped(text)}</p><pre>${evidence}</pre>`;
  });
  return ['<h2>What shows it</h2>', ...shown].join('\n');
}

/** Of a read only what the finding speaks of, or how far it came. */
function operation(event: HistoryEvent, finding: string): string {
  const text = JSON.stringify(event.type === 'read' ? shortened(event, finding) : event);
  return text.length > LINE_CHARACTERS_MAX ? `${text.slice(0, LINE_CHARACTERS_MAX)} ...` : text;
}

function shortened(read: Read, finding: string): Read {
  const isNamed = (value: string) => finding.includes(value);
  const named = read.batches.filter(({ values }) => values.some(isNamed));
  return { ...read, batches: named.length > 0 ? named : read.batches.slice(-1) };
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${row(titles, 'th')}${rows.map((cells) => row(cells, 'td')).join('')}</table>`;
}

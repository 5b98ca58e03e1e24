/** A judged history as one page that needs nothing else: no network, no script. */
import { PROPERTIES } from '../checker/properties.ts';
import { gapsOf } from '../gaps.ts';
import { eventsOf, type History, type HistoryEvent, type Read } from '../history.ts';
import type { Judgement } from '../verdict.ts';
import { chart } from './chart.ts';
import { escaped } from './escape.ts';
import { STYLE } from './style.ts';
import { timelineOf } from './timeline.ts';

const FINDINGS_SHOWN = 20;
/** Of one property: the others have something to say, too. */
const FINDINGS_OF_EACH = 4;
const LINES_SHOWN = 6;
const BATCHES_SHOWN = 3;
const LINE_CHARACTERS_MAX = 400;

export function asHtml(history: History, judgement: Judgement): string {
  const { scenario, seed, nodes, verdict, seconds, acked } = judgement;
  const head = `${scenario}, seed ${seed}, ${nodes} nodes`;
  return [
    '<!doctype html>',
    '<html lang="en"><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${escaped(head)}: ${verdict}</title>`,
    `<style>${STYLE}</style>`,
    `<h1><b class="${verdict}">${verdict}</b> ${escaped(head)}</h1>`,
    `<p>${acked} messages acknowledged in ${seconds} s; ${judgement.unknown_attempts} attempts`,
    'without an answer, settled by what was read.</p>',
    reasons(judgement),
    '<h2>Time line</h2>',
    `<div class="wide">${chart(timelineOf(history))}</div>`,
    faults(history),
    unavailability(judgement),
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
      [...nodes].sort((a, b) => a - b).join(' '),
      ((atMs - startMs) / 1000).toFixed(1),
      ((endMs - atMs) / 1000).toFixed(1),
      gap === undefined ? '' : `${Math.round(gap)} ms`,
    ];
  });
  const titles = ['fault', 'state', 'nodes', 'at,\u00a0s', 'for,\u00a0s', 'without an ack'];
  return rows.length === 0 ? '' : `<h2>Faults</h2>${table(titles, rows, 3)}`;
}

/**
 * Of the queues whose leader was hit. The load's own pauses and the clients' processor time are in
 * it: `in calm` is what the same queues showed in the second before (median).
 */
function unavailability({ gaps_ms: gaps, faults: counts }: Judgement): string {
  const rows = Object.entries(gaps).map(([nemesis, { median, worst, calm }]) => {
    const installed = String(counts[nemesis]?.installed ?? 0);
    return [nemesis, installed, `${median} ms`, `${worst} ms`, `${calm} ms`];
  });
  const titles = ['fault', 'installed', 'median', 'worst', 'in calm'];
  const heading = '<h2>Longest time without an ack, by fault</h2>';
  return rows.length === 0 ? '' : `${heading}${table(titles, rows, 1)}`;
}

function properties({ counts }: Judgement): string {
  const rows = PROPERTIES.map(({ id, name, says }) => {
    const count = counts[name] ?? 0;
    const broken = count === 0 ? '' : ' class="broken"';
    const told = count === 0 ? 'holds' : `broken: ${count}`;
    const spans = `<span>${id} ${name}</span><span>${told}</span>`;
    return `<p${broken} title="${escaped(says)}">${spans}</p>`;
  });
  return `<h2>Properties</h2><div class="columns">${rows.join('')}</div>`;
}

/** The few operations that show it. */
function findings(history: History, { findings: all }: Judgement): string {
  if (all.length === 0) return '';
  const some = all.filter(({ name }, i) => {
    const before = all.slice(Math.max(0, i - FINDINGS_OF_EACH), i);
    return before.length < FINDINGS_OF_EACH || before.some((other) => other.name !== name);
  });
  const shown = some.slice(0, FINDINGS_SHOWN).map(({ name, text, lines }) => {
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
  const numbers = [...finding.matchAll(/\b\d+\b/g)].map(Number);
  const byValue = read.batches.filter(({ values }) => values.some(isNamed));
  const byOffset = read.batches.filter(({ offset, values }) =>
    numbers.some((number) => number >= offset - 1 && number <= offset + values.length),
  );
  const batches = [byValue, byOffset].find(({ length }) => length > 0) ?? read.batches;
  return { ...read, batches: batches.slice(-BATCHES_SHOWN) };
}

/** Columns from `numbersFrom` on hold numbers. */
function table(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  numbersFrom: number,
): string {
  const row = (cells: readonly string[], tag: string) => {
    const isNumber = (i: number) => (i >= numbersFrom ? ' class="number"' : '');
    const all = cells.map((cell, i) => `<${tag}${isNumber(i)}>${escaped(cell)}</${tag}>`);
    return `<tr>${all.join('')}</tr>`;
  };
  const body = rows.map((cells) => row(cells, 'td')).join('');
  return `<div class="wide"><table>${row(titles, 'th')}${body}</table></div>`;
}

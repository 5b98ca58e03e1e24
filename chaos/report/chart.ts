/** The time line of a run as one SVG picture. */
import type { Fault } from '../history.ts';
import { escaped } from './escape.ts';
import type { Reign, Slice, Timeline } from './timeline.ts';

const WIDTH = 1000;
const LEFT = 70;
const PANEL = 110;
const GAP = 26;
const ROW = 15;
/** Names of faults stand above each other where they would cover each other. */
const LANE = 12;
const LANES_MAX = 5;
const CHARACTER_WIDTH = 5.4;
/** Light enough for dark digits on them, dark enough for a light page. */
const NODE_COLOURS = ['#7fa8d1', '#f2a85c', '#85c17e', '#c79bc0', '#e3c04f', '#8cc8c4', '#f0a3aa'];

type X = (atMs: number) => number;

interface Line {
  readonly name: string;
  readonly of: (slice: Slice) => number | undefined;
}
interface Panel {
  readonly title: string;
  readonly unit: string;
  /** Each power of ten takes as much room: medians and the worst are far apart. */
  readonly powers: boolean;
  readonly lines: readonly Line[];
}

const PANELS: readonly Panel[] = [
  {
    ...{ title: 'writes a second:', unit: '', powers: false },
    lines: [{ name: 'acked', of: ({ rate }) => rate }],
  },
  {
    ...{ title: 'latency of acks:', unit: ' ms', powers: true },
    lines: [
      { name: 'worst', of: ({ worstMs }) => worstMs },
      { name: 'median', of: ({ medianMs }) => medianMs },
    ],
  },
];

export function chart(timeline: Timeline): string {
  const { lengthMs, slices, reigns, faults } = timeline;
  const x = (atMs: number) => LEFT + ((WIDTH - LEFT) * Math.min(atMs, lengthMs)) / lengthMs;
  const lanes = lanesOf(faults, x);
  const top = LANE * (1 + Math.max(0, ...lanes.filter((lane) => lane !== undefined))) + 6;
  const panelTop = (index: number) => top + GAP / 2 + index * (PANEL + GAP);
  const shards = [...new Set(reigns.map(({ shard }) => shard))];
  const reignsTop = panelTop(PANELS.length);
  const bottom = reignsTop + ROW * shards.length;
  const rowOf = (shard: number) => reignsTop + ROW * shards.indexOf(shard);
  return [
    `<svg viewBox="0 0 ${WIDTH} ${bottom + GAP}" role="img" aria-label="time line">`,
    ...faults.map((fault, i) => band(fault, x, top, bottom, lanes[i])),
    ...PANELS.map((panel, i) => panelOf(panel, slices, x, panelTop(i))),
    ...shards.map((shard) => label(`shard ${shard}`, rowOf(shard) + ROW - 4)),
    ...reigns.map((reign) => bar(reign, x, rowOf(reign.shard))),
    ...ticks(lengthMs).map((atSeconds) => tick(atSeconds, x(1000 * atSeconds), bottom + 16)),
    '</svg>',
  ].join('\n');
}

/** Undefined: no room is left for its name, only the pointer shows it. */
function lanesOf(faults: readonly Fault[], x: X): (number | undefined)[] {
  const ends: number[] = [];
  return faults.map(({ nemesis, atMs }) => {
    const [from, width] = nameOf(nemesis, x(atMs));
    const free = ends.findIndex((end) => end < from);
    const lane = free >= 0 ? free : ends.length;
    if (lane >= LANES_MAX) return undefined;
    ends[lane] = from + width;
    return lane;
  });
}

/** At the right edge it ends there. */
function nameOf(name: string, at: number): readonly [from: number, width: number] {
  const width = CHARACTER_WIDTH * name.length + 6;
  return [Math.min(at, WIDTH - width), width];
}

function band(fault: Fault, x: X, top: number, bottom: number, lane: number | undefined): string {
  const { nemesis, state, atMs, endMs, nodes } = fault;
  const [from, to] = [x(atMs), x(endMs)];
  const when = `${seconds(atMs)}-${seconds(endMs)} s`;
  const text = `${nemesis}, ${state}, nodes ${nodes.join(' ')}, ${when}`;
  const y = lane === undefined ? top : top - 5 - LANE * lane;
  const [nameAt] = nameOf(nemesis, from);
  return [
    `<g class="fault ${state}"><title>${escaped(text)}</title>`,
    rectangle(from, y, Math.max(1, to - from), bottom - y, ''),
    lane === undefined
      ? ''
      : `<text x="${round(nameAt + 2)}" y="${y - 1}">${escaped(nemesis)}</text>`,
    '</g>',
  ].join('');
}

function panelOf(panel: Panel, slices: readonly Slice[], x: X, top: number): string {
  const { title, unit, powers, lines } = panel;
  const most = Math.max(1, ...slices.flatMap((slice) => lines.map(({ of }) => of(slice) ?? 0)));
  const scale = powers ? powersTo(most) : { marks: [0, most], share: (v: number) => v / most };
  const y = (value: number) => round(top + PANEL * (1 - scale.share(value)));
  const marks = scale.marks.flatMap((mark) => [
    `<line class="${mark === scale.marks[0] ? 'axis' : 'grid'}" x1="${LEFT}" x2="${WIDTH}"` +
      ` y1="${y(mark)}" y2="${y(mark)}"/>`,
    label(`${Math.round(mark)}${unit}`, y(mark) + 3),
  ]);
  const names = [...lines].reverse().map(({ name }) => ` <tspan class="${name}">${name}</tspan>`);
  return [
    ...marks,
    ...lines.flatMap((line) => paths(line, slices, x, y)),
    `<text class="title" x="${LEFT + 4}" y="${top - 4}">${escaped(title)}${names.join(',')}</text>`,
  ].join('\n');
}

function powersTo(most: number) {
  const powers = Math.max(1, Math.ceil(Math.log10(most)));
  const marks = Array.from({ length: powers + 1 }, (_, power) => 10 ** power);
  return { marks, share: (value: number) => Math.log10(Math.max(1, value)) / powers };
}

/** Where nothing was acknowledged, there is no latency. */
function paths({ name, of }: Line, slices: readonly Slice[], x: X, y: X): string[] {
  const runs: string[][] = [[]];
  for (const slice of slices) {
    const value = of(slice);
    if (value === undefined) runs.push([]);
    else runs.at(-1)!.push(`${round(x(slice.atMs))},${y(value)}`);
  }
  return runs
    .filter((points) => points.length > 0)
    .map((points) => `<polyline class="${name}" points="${points.join(' ')}"/>`);
}

function bar({ shard, node, term, atMs, endMs }: Reign, x: X, top: number): string {
  const colour = NODE_COLOURS[(node - 1) % NODE_COLOURS.length] ?? '#888';
  const title = `shard ${shard}: node ${node} leads in term ${term} from ${seconds(atMs)} s on`;
  const [from, width] = [x(atMs), x(endMs) - x(atMs)];
  return [
    `<g><title>${escaped(title)}</title>`,
    rectangle(from, top, Math.max(1, width - 1), ROW - 2, colour),
    width > 12
      ? `<text class="node" x="${round(from + 3)}" y="${top + ROW - 4}">${node}</text>`
      : '',
    '</g>',
  ].join('');
}

function rectangle(x: number, y: number, width: number, height: number, fill: string): string {
  const colour = fill === '' ? '' : ` fill="${fill}"`;
  return `<rect x="${round(x)}" y="${y}" width="${round(width)}" height="${height}"${colour}/>`;
}

function label(text: string, y: number): string {
  return `<text class="label" x="${LEFT - 6}" y="${y}">${escaped(text)}</text>`;
}

function ticks(lengthMs: number): number[] {
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((s) => lengthMs / 1000 / s <= 12);
  const every = step ?? Math.ceil(lengthMs / 12_000);
  return Array.from({ length: Math.floor(lengthMs / 1000 / every) + 1 }, (_, i) => i * every);
}

function tick(atSeconds: number, x: number, y: number): string {
  return `<text class="tick" x="${round(Math.min(x, WIDTH - 12))}" y="${y}">${atSeconds} s</text>`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}

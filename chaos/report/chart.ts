/** The time line of a run as one SVG picture. */
import type { Fault } from '../history.ts';
import { escaped } from './escape.ts';
import type { Reign, Slice, Timeline } from './timeline.ts';

const WIDTH = 1000;
const LEFT = 70;
const PANEL = 110;
const GAP = 26;
const ROW = 14;
const NODE_COLOURS = ['#4e79a7', '#f28e2b', '#59a14f', '#b07aa1', '#edc948', '#76b7b2', '#ff9da7'];

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly top: number;
  readonly lines: readonly { readonly colour: string; readonly of: (slice: Slice) => number }[];
}

const PANELS: readonly Panel[] = [
  {
    ...{ title: 'acknowledged writes', unit: '/s', top: 16 },
    lines: [{ colour: '#2f6f4f', of: ({ rate }) => rate }],
  },
  {
    ...{ title: 'latency, median and worst', unit: ' ms', top: 16 + PANEL + GAP },
    lines: [
      { colour: '#b4b4b4', of: ({ worstMs = 0 }) => worstMs },
      { colour: '#2f4f8f', of: ({ medianMs = 0 }) => medianMs },
    ],
  },
];

export function chart(timeline: Timeline): string {
  const { lengthMs, slices, reigns, faults } = timeline;
  const x = (atMs: number) => LEFT + ((WIDTH - LEFT) * Math.min(atMs, lengthMs)) / lengthMs;
  const shards = [...new Set(reigns.map(({ shard }) => shard))];
  const reignsTop = 16 + 2 * (PANEL + GAP);
  const height = reignsTop + ROW * shards.length + GAP;
  const rowOf = (shard: number) => reignsTop + ROW * shards.indexOf(shard);
  return [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="time line">`,
    ...faults.map((fault) => band(fault, x, height - GAP)),
    ...PANELS.map((panel) => panelOf(panel, slices, x)),
    ...shards.map((shard) => label(`shard ${shard}`, rowOf(shard) + ROW - 4)),
    ...reigns.map((reign) => bar(reign, x, rowOf(reign.shard))),
    ...ticks(lengthMs).map((seconds) => tick(seconds, x(1000 * seconds), height)),
    '</svg>',
  ].join('\n');
}

function band({ nemesis, state, atMs, endMs, nodes }: Fault, x: X, height: number): string {
  const [from, to] = [x(atMs), x(endMs)];
  const when = `${seconds(atMs)}-${seconds(endMs)} s`;
  const text = `${nemesis}, ${state}, nodes ${nodes.join(' ')}, ${when}`;
  return [
    `<g class="fault ${state}"><title>${escaped(text)}</title>`,
    rectangle(from, 12, Math.max(1, to - from), height - 12, ''),
    `<text x="${round(from + 2)}" y="10">${escaped(nemesis)}</text></g>`,
  ].join('');
}

type X = (atMs: number) => number;

function panelOf({ title, unit, top, lines }: Panel, slices: readonly Slice[], x: X): string {
  const most = Math.max(1, ...slices.flatMap((slice) => lines.map(({ of }) => of(slice))));
  const y = (value: number) => top + PANEL - (PANEL * value) / most;
  const paths = lines.map(({ colour, of }) => {
    const points = slices.map((slice) => `${round(x(slice.atMs))},${round(y(of(slice)))}`);
    return `<polyline points="${points.join(' ')}" stroke="${colour}"/>`;
  });
  return [
    `<line class="axis" x1="${LEFT}" x2="${WIDTH}" y1="${top + PANEL}" y2="${top + PANEL}"/>`,
    label(`${Math.round(most)}${unit}`, top + 10),
    label('0', top + PANEL),
    `<text class="title" x="${LEFT + 4}" y="${top + 10}">${escaped(title)}</text>`,
    ...paths,
  ].join('\n');
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

function tick(atSeconds: number, x: number, height: number): string {
  return `<text class="tick" x="${round(x)}" y="${height - 8}">${atSeconds} s</text>`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}

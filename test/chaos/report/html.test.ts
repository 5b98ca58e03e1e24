import { expect, it } from 'vitest';
import type { History } from '../../../chaos/history.ts';
import { asHtml } from '../../../chaos/report/html.ts';
import { judge } from '../../../chaos/verdict.ts';
import { fault, leader, produce, read } from '../histories.ts';
import { start } from './runs.ts';

const stop = { type: 'stop', atMs: 2000 } as const;
const lost = produce(0, 1, 0);
const other = produce(1, 1, 1, { values: ['<b>x</b>'] });
const beyond = read(1, ['<b>x</b>'], { node: 3 });

function page(...events: History): string {
  const history: History = [start, leader(1, 4), fault(50), ...events, stop];
  return asHtml(history, judge(history));
}

it('says what was found, and shows the operations that show it', () => {
  const text = page(lost, other, beyond);
  expect(text).toContain('<b class="fail">fail</b> kill-leader, seed 7, 3 nodes');
  expect(text).toContain('<h3>lost-write</h3>');
  expect(text).toMatch(
    /<pre>4: \{&quot;type&quot;:&quot;produce&quot;.*\n6: \{&quot;type&quot;:&quot;read/,
  );
});

it('shows of a read only what the finding speaks of', () => {
  const many = read(1, [], {
    batches: [
      { offset: 1, values: ['<b>x</b>'] },
      { offset: 2, values: ['phantom.7'] },
    ],
    endOffset: 3,
  });
  const evidence = page(other, many).match(/<h3>phantom<\/h3>.*?<pre>(.*?)<\/pre>/s)?.[1];
  expect(evidence).toContain('phantom.7');
  expect(evidence).not.toContain('x');
});

it('shows of a read what stands around the offset that the finding speaks of', () => {
  const skipping = read(0, [], {
    batches: [
      { offset: 0, values: ['a.0'] },
      { offset: 40, values: ['a.40'] },
      { offset: 42, values: ['a.42'] },
      { offset: 90, values: ['a.90'] },
    ],
    endOffset: 91,
  });
  const all = Array.from({ length: 91 }, (_, i) => produce(i, 1, i));
  const evidence = page(...all, skipping).match(/42 came where 41.*?<pre>(.*?)<\/pre>/s)?.[1];
  expect(evidence).toContain('a.40');
  expect(evidence).toContain('a.42');
  expect(evidence).not.toContain('a.90');
});

it('no property takes the room of the others', () => {
  const phantoms = Array.from({ length: 50 }, (_, i) => read(i, [`phantom.${i}`]));
  const text = page(lost, other, ...phantoms, beyond);
  expect(text.match(/<h3>phantom<\/h3>/g)).toHaveLength(4);
  expect(text).toContain('<h3>lost-write</h3>');
});

it('names of faults at one time stand above each other', () => {
  const times = [100, 101, 1500];
  const text = page(...times.map((atMs) => fault(atMs, { nemesis: 'isolate-leader' })));
  const [killed, one, two, late] = [...text.matchAll(/y="(\d+)">[a-z]+-leader</g)].map(
    ([, y]) => y,
  );
  expect(new Set([killed, one, two]).size).toBe(3);
  expect(late).toBe(killed);
});

it('nothing covers more than the screen is wide', () => {
  const text = page();
  expect(text).toContain('name="viewport"');
  expect(text.match(/<(?:table|svg)/g)).toHaveLength(text.match(/class="wide"/g)!.length);
  expect(text).toContain('prefers-color-scheme:dark');
});

it('shows who led and which fault was on', () => {
  const text = page();
  expect(text).toContain('<title>kill-leader, installed, nodes 1, 0.1-0.1 s</title>');
  expect(text).toContain('<title>shard 1: node 1 leads in term 4 from 0.0 s on</title>');
});

it('needs nothing else, and takes nothing of the history for a part of the page', () => {
  const text = page(lost, other, beyond);
  expect(text).not.toMatch(/<script|src=|href=|url\(|@import|https?:/);
  expect(text).not.toContain('<b>x</b>');
  expect(text).toContain('&lt;b&gt;x');
});

it('is a page for nothing at all, too', () => {
  expect(asHtml([], judge([]))).toContain('<b class="invalid">invalid</b>');
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Cell } from '../../../chaos/matrix/cells.ts';
import { appendResult, type Result, readResults } from '../../../chaos/matrix/results.ts';
import { tableOf } from '../../../chaos/matrix/table.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-matrix-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function cell(name: string, nodes: Cell['nodes']): Cell {
  return { name, nodes, scenario: name };
}

function result(key: string, with_: Partial<Result> = {}): Result {
  return {
    ...{ cell: key, verdict: 'pass', seed: 1, seconds: 20, acked: 4000, reasons: [] },
    faults: { one: { installed: 2 }, other: { installed: 3 } },
    longest_gap_ms: { median: 210, p99: 400, worst: 400, calm: 40 },
    ...with_,
  };
}

it('the figures of the latest run, and how all of them ended', () => {
  const cells = [cell('storm', 3), cell('ring', 5), cell('storm', 5)];
  const table = tableOf(cells, [
    result('storm 3', { verdict: 'fail', acked: 7 }),
    result('storm 3'),
    result('storm 5', { longest_gap_ms: null, verdict: 'invalid' }),
  ]);
  const [head, , storm, ring] = table.split('\n');
  expect(head).toContain('| 3 nodes: faults | acked/s |');
  expect(storm).toBe('| `storm` | 5 | 200 | 210 / 400 | 5 | 200 | – | 1 / 1 / 1 |');
  expect(ring).toBe('| `ring` | – | – | – | – | – | – | 0 / 0 / 0 |');
});

it('results are there again after a matrix was broken off', () => {
  const file = join(folder, 'results.jsonl');
  expect(readResults(file)).toEqual([]);
  appendResult(file, result('storm 3', { verdict: 'fail' }));
  appendResult(file, result('storm 3'));
  expect(readResults(file).map(({ verdict }) => verdict)).toEqual(['fail', 'pass']);
});

/**
 * A small replicated state whose effects are a pure function of shard and log index, and what the
 * store must hold after any number of entries.
 */
import * as keys from '../../storage/keys.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { type Effects, indexOp, type LevelState } from '../../storage/level-state.ts';

const ROWS = 7;

const name = (shard: number, row: string): Buffer =>
  keys.tableKey(keys.KeyKind.group, shard, Buffer.from(row));

export function effectsOf(shard: number, index: number): Effects {
  const timeMs = 1000 + index * 10;
  const place = { queueId: shard * 10, baseOffset: (index - 1) * 2, count: 2 };
  const row = { ...place, index, term: 1, storedAtMs: timeMs, cumulativeBytes: index * 100 };
  const other = index % 2 === 1 ? Buffer.from(`${index}`) : undefined;
  const ops = [
    { key: name(shard, `row${index % ROWS}`), value: Buffer.from(textOf(index)) },
    { key: name(shard, `row${(index * 3 + 1) % ROWS}x`), value: other },
    indexOp(shard, row),
  ];
  return { ops, applied: [{ shard, index, term: 1, timeMs }] };
}

function textOf(index: number): string {
  return `entry ${index}${' '.repeat(index % 50)}`;
}

/** Comparable with `toEqual`: the rows after applying entries 1…index. */
export function expectedRows(index: number): Record<string, string> {
  const rows: Record<string, string> = {};
  for (let at = 1; at <= index; at++) {
    rows[`row${at % ROWS}`] = textOf(at);
    const other = `row${(at * 3 + 1) % ROWS}x`;
    if (at % 2 === 1) rows[other] = `${at}`;
    else delete rows[other];
  }
  return rows;
}

export function textRows(rows: readonly TableRow[]): Record<string, string> {
  return Object.fromEntries(
    rows.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString()]),
  );
}

type IndexRows = Parameters<Parameters<LevelState['indexFrom']>[3]>[1];

export function indexRows(
  state: LevelState,
  shard: number,
  queueId: number,
  offset: number,
  limit = 1_000_000,
): Promise<IndexRows> {
  return new Promise((resolve, reject) => {
    state.indexFrom({ shard, queueId, moved: [] }, offset, limit, (error, rows) =>
      error === undefined ? resolve(rows) : reject(error),
    );
  });
}

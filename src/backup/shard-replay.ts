/**
 * A shard's state without a node: its checkpoint, then the entries of its log, applied by the very
 * state machines that every replica runs. What they would write to LevelDB is kept in memory.
 */
import { type Entry, EntryType, type ShardId } from '../../raft/types.ts';
import type { TableRow } from '../../storage/level-db.ts';
import type { DataShard } from '../broker/api.ts';
import { createDataShard } from '../broker/data-shard.ts';
import { DATA_SHARD_LIMITS } from '../broker/limits.ts';
import type { QueueIndexRow, StateWriter } from '../broker/state-port.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { createMetaState, type MetaState } from '../cluster/meta-state.ts';
import { Failure, oneLine } from '../failure.ts';
import { META_SHARD } from '../shards/shard-machine.ts';
import { stateRows, TABLE_KIND } from '../shards/tables.ts';

/** What one entry wrote. */
export interface Effects {
  readonly puts: readonly Put[];
  readonly rows: readonly QueueIndexRow[];
}

export interface Put extends Omit<TableRow, 'value'> {
  /** undefined = deleted. */
  readonly value: Uint8Array | undefined;
}

export interface Place {
  readonly index: number;
  readonly term: number;
  readonly timeMs: number;
}

export class ShardReplay {
  readonly shard: ShardId;
  /** One of the two. */
  readonly data: DataShard | undefined;
  readonly meta: MetaState | undefined;
  readonly #rows = new Map<string, TableRow>();
  #last: Place;

  /** `rows` = the checkpoint at `start`; none when the log begins with its first entry. */
  constructor(shard: ShardId, birth: Birth, start: Place, rows: readonly TableRow[]) {
    this.shard = shard;
    this.#last = start;
    if (shard === META_SHARD) this.meta = createMetaState(birth);
    else this.data = createDataShard(shard, DATA_SHARD_LIMITS, birth.featureLevel);
    (this.data ?? this.meta)!.load(stateRows(rows));
    for (const row of rows) this.#rows.set(nameOf(row), row);
  }

  /** The last entry applied, or where the log starts. */
  get last(): Place {
    return this.#last;
  }

  apply(entry: Entry): Effects {
    const { index, term, timeMs } = entry;
    this.#last = { index, term, timeMs };
    const puts: Put[] = [];
    const rows: QueueIndexRow[] = [];
    if (entry.type === EntryType.command) {
      const out: StateWriter = {
        put: (table, key, value) => void puts.push({ kind: TABLE_KIND[table], key, value }),
        putIndex: (row) => void rows.push(row),
        moveIndex: () => undefined,
        dropIndexBelow: () => undefined,
      };
      this.#applyCommand(entry, out);
    }
    for (const put of puts) this.#keep(put);
    return { puts, rows };
  }

  /** What this build does not know, or what is damaged and fits its checksum. */
  #applyCommand(entry: Entry, out: StateWriter): void {
    try {
      (this.data ?? this.meta)!.apply(entry, out);
    } catch (error) {
      const which = `shard ${this.shard}: entry ${entry.index}`;
      throw new Failure(`${which} cannot be applied: ${oneLine(error)}`, undefined, error);
    }
  }

  rows(): readonly TableRow[] {
    return [...this.#rows.values()];
  }

  /** The machine may use its buffers again; the entry's bytes are a slice of something larger. */
  #keep(put: Put): void {
    const { kind, key, value } = put;
    if (value === undefined) this.#rows.delete(nameOf(put));
    else this.#rows.set(nameOf(put), { kind, key: Buffer.from(key), value: Buffer.from(value) });
  }
}

function nameOf({ kind, key }: Pick<TableRow, 'kind' | 'key'>): string {
  return `${kind} ${Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')}`;
}

/** Short ways to say records, for storage tests. */
import type { LogRecord, LogStore } from '../../raft/ports.ts';
import type { Entry, LogIndex, ShardId, ShardState, Term } from '../../raft/types.ts';
import { EMPTY_BYTES, EntryType } from '../../raft/types.ts';
import { bodyCrcOf } from '../../storage/record.ts';

export interface EntryParts {
  readonly head?: string;
  readonly payload?: Uint8Array | string;
  readonly type?: EntryType;
}

export function entry(index: LogIndex, term: Term, parts: EntryParts = {}): Entry {
  const head = Buffer.from(parts.head ?? `head ${index}/${term}`);
  const payload = parts.payload === undefined ? EMPTY_BYTES : Buffer.from(parts.payload);
  const type = parts.type ?? EntryType.command;
  const timeMs = 1_700_000_000_000 + index;
  return { index, term, type, timeMs, head, payload, bodyCrc: bodyCrcOf(head, payload) };
}

export function entryRecord(shard: ShardId, each: Entry): LogRecord {
  return { kind: 'entry', shard, entry: each };
}

export interface StateParts {
  readonly term?: Term;
  readonly vote?: number;
  readonly commit?: LogIndex;
  readonly logStart?: { readonly index: LogIndex; readonly term: Term };
  readonly replica?: number;
}

export function shardState(parts: StateParts = {}): ShardState {
  return {
    hardState: { term: parts.term ?? 0, vote: parts.vote ?? 0, commit: parts.commit ?? 0 },
    replica: parts.replica ?? 1,
    logStart: parts.logStart ?? { index: 0, term: 0 },
    membership: {
      config: { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [] },
      replicas: [1, 2, 3].map((id) => ({ replica: id, node: id, incarnation: `inc-${id}` })),
    },
  };
}

export function stateRecord(shard: ShardId, parts: StateParts = {}): LogRecord {
  return { kind: 'state', shard, state: shardState(parts) };
}

/** Resolves when the records are durable. */
export function durable(store: LogStore, records: readonly LogRecord[]): Promise<void> {
  return new Promise((resolve) => store.write(records, { onDurable: resolve }));
}

export function readEntries(
  store: LogStore,
  shard: ShardId,
  from: LogIndex,
  to: LogIndex,
  maxBytes = 1 << 20,
): Promise<readonly Entry[]> {
  return new Promise((resolve, reject) => {
    store.read(shard, from, to, maxBytes, (error, entries) =>
      error === undefined ? resolve(entries) : reject(error),
    );
  });
}

/** Reads everything from `from` to `to`, however many calls that takes. */
export async function readAll(
  store: LogStore,
  shard: ShardId,
  from: LogIndex,
  to: LogIndex,
  maxBytes = 1 << 20,
): Promise<Entry[]> {
  const all: Entry[] = [];
  while (from + all.length <= to) {
    all.push(...(await readEntries(store, shard, from + all.length, to, maxBytes)));
  }
  return all;
}

/** What an entry says, comparable whatever kind of byte array it holds. */
export function plain(each: Entry) {
  const { index, term, type, timeMs, bodyCrc } = each;
  const head = Buffer.from(each.head).toString('latin1');
  const payload = Buffer.from(each.payload).toString('latin1');
  return { index, term, type, timeMs, bodyCrc, head, payload };
}

/** Deterministic numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Random writes, faults and crashes against a model. What is found after a crash must be the state
 * after some prefix of everything that was written: at least what was reported durable, and never
 * anything else. Directories survive many crashes in a row, also crashes while opening.
 */
import { describe, expect, it } from 'vitest';
import type { LogRecord } from '../../raft/ports.ts';
import type { Entry, ShardState } from '../../raft/types.ts';
import { EntryType } from '../../raft/types.ts';
import type { CommitLog } from '../../storage/commit-log.ts';
import { closeCommitLog, openCommitLog } from '../../storage/commit-log.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import {
  entry,
  entryRecord,
  plain,
  readAll,
  seededRandom,
  shardState,
} from '../harness/log-builders.ts';

const SHARDS = [1, 2, 3];

interface ModelShard {
  state: ShardState;
  entries: Entry[];
}

type Model = Map<number, ModelShard>;

function apply(model: Model, record: LogRecord): void {
  const shard = model.get(record.shard);
  if (record.kind === 'repair') return;
  if (record.kind === 'drop') {
    model.delete(record.shard);
    model.set(-record.shard, { state: shardState({ replica: record.replica }), entries: [] });
    return;
  }
  if (record.kind === 'reset') {
    model.set(record.shard, { state: record.state, entries: [] });
    return;
  }
  if (record.kind === 'state') {
    if (shard === undefined) model.set(record.shard, { state: record.state, entries: [] });
    else {
      shard.entries = shard.entries.slice(record.state.logStart.index - shard.state.logStart.index);
      shard.state = record.state;
    }
    return;
  }
  const at = record.entry.index - shard!.state.logStart.index - 1;
  shard!.entries = [...shard!.entries.slice(0, at), record.entry];
}

function fingerprint(model: Model): string {
  const shards = [...model].sort(([a], [b]) => a - b);
  return JSON.stringify(
    shards.map(([shard, { state, entries }]) => [shard, state, entries.map(plain)]),
  );
}

class Run {
  readonly files: FaultyFiles;
  readonly random: () => number;
  records: LogRecord[] = [];
  /** So many records are known to be durable. */
  durable = 0;
  model: Model = new Map();
  log: CommitLog | undefined;
  fatal: Error | undefined;
  timer: NodeJS.Immediate | undefined;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.files = new FaultyFiles(this.random);
  }

  pick(n: number): number {
    return Math.floor(this.random() * n);
  }

  async open(): Promise<void> {
    this.fatal = undefined;
    this.log = await openCommitLog({
      directory: 'log',
      files: this.files,
      onFatal: (error) => {
        this.fatal = error;
      },
      timer: (_delayMs, run) => {
        this.timer = setImmediate(run);
        return () => clearImmediate(this.timer);
      },
      limits: {
        segmentBytes: 10_000 + this.pick(20_000),
        maxFlushBytes: 8192,
        preallocateBytes: 1 + this.pick(4096),
        preallocateBelowBytes: 1024,
        singleStepSync: this.random() < 0.5,
      },
    });
  }

  /** Opens after a crash, and may crash in the middle of that again. */
  async reopen(): Promise<void> {
    this.stop();
    for (let attempt = 0; attempt < 3 && this.random() < 0.3; attempt++) {
      this.files.freezeIn = 1 + this.pick(30);
      const frozen = new Promise<'frozen'>((resolve) => {
        this.files.onFreeze = () => resolve('frozen');
      });
      const outcome = await Promise.race([frozen, this.open()]);
      this.stop();
      if (outcome !== 'frozen') break;
    }
    this.files.freezeIn = 0;
    await this.open();
  }

  stop(): void {
    clearImmediate(this.timer);
    if (this.random() < 0.5) this.files.kill();
    else this.files.powerCut();
  }

  randomRecords(): LogRecord[] {
    const records: LogRecord[] = [];
    const add = (record: LogRecord): void => {
      records.push(record);
      apply(this.model, record);
    };
    const shard = SHARDS[this.pick(SHARDS.length)]!;
    const left = this.model.get(-shard)?.state.replica ?? 0;
    if (!this.model.has(shard)) {
      add({ kind: 'state', shard, state: shardState({ replica: left + 1 }) });
    }
    const known = this.model.get(shard)!;
    const kind = this.random();
    if (kind < 0.02) add({ kind: 'drop', shard, replica: known.state.replica });
    else if (kind < 0.05) add({ kind: 'reset', shard, state: this.resetState(known) });
    else if (kind < 0.1 && known.entries.length > 0) {
      const entry = known.entries[this.pick(known.entries.length)]!;
      add({ kind: 'repair', shard, entry });
    } else if (this.random() < 0.2) add({ kind: 'state', shard, state: this.nextState(known) });
    else for (let n = 1 + this.pick(4); n > 0; n--) add(entryRecord(shard, this.nextEntry(known)));
    return records;
  }

  nextState({ state, entries }: ModelShard): ShardState {
    const start = state.logStart.index;
    const commit = Math.max(state.hardState.commit, start + this.pick(entries.length + 1));
    const term = state.hardState.term + this.pick(2);
    const hardState = { term, vote: this.pick(4), commit };
    const drop = this.random() < 0.4 ? this.pick(commit - start + 1) : 0;
    const last = entries[drop - 1];
    const logStart = last === undefined ? state.logStart : { index: last.index, term: last.term };
    return { ...state, hardState, logStart };
  }

  resetState({ state, entries }: ModelShard): ShardState {
    const from = Math.max(state.hardState.commit, state.logStart.index);
    const index = from + 1 + this.pick(10);
    const term = Math.max(1, state.logStart.term, entries.at(-1)?.term ?? 0);
    const hardState = { ...state.hardState, commit: index };
    return { ...state, hardState, logStart: { index, term } };
  }

  nextEntry({ state, entries }: ModelShard): Entry {
    const start = state.logStart.index;
    const first = Math.max(state.hardState.commit, start) + 1;
    const end = start + entries.length + 1;
    const index = this.random() < 0.15 ? first + this.pick(end - first + 1) : end;
    const before = entries[index - start - 2]?.term ?? Math.max(state.logStart.term, 1);
    const size = [0, 10, 300, 3000, 12_000][this.pick(5)]!;
    const type = this.random() < 0.1 ? EntryType.config : EntryType.command;
    const payload = Buffer.alloc(this.pick(size + 1), this.pick(256));
    return entry(index, before + this.pick(2), { payload, type });
  }

  /** Writes until a fault, a freeze or the end of the round. */
  async work(): Promise<void> {
    const frozen = new Promise<void>((resolve) => {
      this.files.onFreeze = resolve;
    });
    this.plantFault();
    for (let n = this.pick(40); n > 0 && this.fatal === undefined; n--) {
      const end = this.records.push(...this.randomRecords());
      const done = new Promise<void>((resolve) => {
        const callbacks = {
          onDurable: () => {
            expect(end).toBeGreaterThan(this.durable);
            this.durable = end;
            resolve();
          },
        };
        const wanted = this.random() < 0.3 ? { onWritten: () => {}, ...callbacks } : callbacks;
        this.log!.write(this.records.slice(end - this.lastLength(end)), wanted);
      });
      if (this.random() < 0.3) this.log!.reclaim();
      if (this.random() < 0.5) await Promise.race([done, frozen, this.pause()]);
    }
    for (let n = 0; n < 60; n++) await this.pause();
  }

  private previousEnd = 0;
  private lastLength(end: number): number {
    const length = end - this.previousEnd;
    this.previousEnd = end;
    return length;
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve));
  }

  private plantFault(): void {
    const kind = this.pick(6);
    if (kind === 0) this.files.freezeIn = 1 + this.pick(60);
    if (kind === 1) this.files.failSyncIn = 1 + this.pick(20);
    if (kind >= 2 && kind <= 4) {
      this.files.failWriteIn = 1 + this.pick(20);
      this.files.writeFault = (['EIO', 'ENOSPC', 'short'] as const)[kind - 2]!;
    }
  }

  async found(): Promise<Model> {
    const model: Model = new Map();
    for (const { shard, state, lastIndex } of this.log!.recovered) {
      const entries = await readAll(
        this.log!,
        shard,
        state.logStart.index + 1,
        lastIndex,
        1 + this.pick(40_000),
      );
      model.set(shard, { state, entries });
    }
    for (const [shard, replica] of this.log!.tombstones) {
      model.set(-shard, { state: shardState({ replica }), entries: [] });
    }
    return model;
  }

  /** Finds the prefix that the log holds now and goes on from it. */
  async check(): Promise<void> {
    const found = fingerprint(await this.found());
    const model: Model = new Map();
    for (const record of this.records.slice(0, this.durable)) apply(model, record);
    let end = this.durable;
    while (fingerprint(model) !== found) {
      const next = this.records[end];
      if (next === undefined) throw new Error(`no prefix fits: ${this.durable}…${end}`);
      apply(model, next);
      end += 1;
    }
    this.records.length = end;
    this.durable = end;
    this.previousEnd = end;
    this.model = model;
    this.checkRecoveredMarks();
  }

  checkRecoveredMarks(): void {
    for (const recovered of this.log!.recovered) {
      const { entries } = this.model.get(recovered.shard)!;
      const starts = entries.filter((each, i) => each.term !== entries[i - 1]?.term);
      expect(recovered.termStarts).toEqual(starts.map(({ term, index }) => ({ term, index })));
      const configs = entries.filter((each) => each.type === EntryType.config);
      expect(recovered.configEntries.map(plain)).toEqual(configs.map(plain));
    }
  }

  async round(): Promise<void> {
    await this.work();
    const frozen = this.files.frozen || this.fatal !== undefined;
    this.files.failWriteIn = 0;
    this.files.failSyncIn = 0;
    this.files.freezeIn = 0;
    if (!frozen && this.random() < 0.3) {
      await closeCommitLog(this.log!);
      expect(this.durable).toBe(this.records.length);
    }
    await this.reopen();
    await this.check();
  }
}

const SEEDS = Number(process.env.STORAGE_SEEDS ?? 40);
const FIRST_SEED = Number(process.env.STORAGE_SEED ?? 1);

describe('random operations', () => {
  it(`holds a prefix with everything durable after any crash (${SEEDS} seeds)`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const run = new Run(seed);
      try {
        await run.open();
        for (let round = 0; round < 8; round++) await run.round();
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).stack}`);
      }
    }
  }, 600_000);
});

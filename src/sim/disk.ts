/**
 * The disk of one simulated machine: the real commit log over simulated files, and beside it a
 * model of what must be in it. The model knows what was reported durable and what was handed over
 * since; whatever the log finds after a crash must be the former plus a prefix of the latter.
 */
import type { LogRecord, LogStore, WriteCallbacks } from '../../raft/ports.ts';
import type {
  Entry,
  LogIndex,
  RecoveredShard,
  ReplicaId,
  ShardId,
  ShardState,
} from '../../raft/types.ts';
import { type CommitLog, type CommitLogLimits, openCommitLog } from '../../storage/commit-log.ts';
import { expect } from './failure.ts';
import { type FilesHost, SimFiles } from './files.ts';
import { Flips } from './flips.ts';
import { factsOf, ShardImage } from './image.ts';

export { ShardImage } from './image.ts';

export const LOG_DIRECTORY = 'disk/log';

export interface DiskHost extends FilesHost {
  readonly limits: Partial<CommitLogLimits>;
  /** Runs in this life of the process only. */
  timer(delayMs: number, run: () => void): () => void;
  /** A write, a sync or a removal failed: the process ends. */
  onFatal(error: Error): void;
}

export class SimDisk implements LogStore {
  readonly files: SimFiles;
  /** What was reported durable. */
  readonly synced = new Map<ShardId, ShardImage>();
  /** What was handed over, durable or not. */
  readonly written = new Map<ShardId, ShardImage>();
  /** What replicas had synced that left this disk, or lost it. */
  readonly gone = new Map<ShardId, ShardImage[]>();
  readonly flips = new Flips();
  /** Replicas that know that records of theirs are lost, also those that gave way since. */
  readonly #suspects = new Set<string>();
  readonly #host: DiskHost;
  readonly #first: { readonly shard: ShardId; readonly state: ShardState }[] = [];
  #unsynced: LogRecord[] = [];
  #log: CommitLog | undefined = undefined;
  #isBorn = false;

  constructor(host: DiskHost) {
    this.#host = host;
    this.files = new SimFiles(host);
  }

  get syncs(): number {
    return this.files.syncs;
  }

  get log(): CommitLog {
    if (this.#log === undefined) throw new Error('the log is not open');
    return this.#log;
  }

  format(shard: ShardId, state: ShardState): void {
    this.synced.set(shard, new ShardImage(state));
    this.written.set(shard, new ShardImage(state));
    this.#first.push({ shard, state });
  }

  async open(): Promise<readonly RecoveredShard[]> {
    const log = await openCommitLog({
      directory: LOG_DIRECTORY,
      files: this.files,
      createShards: this.#isBorn ? [] : this.#first,
      onDamage: 'isolate',
      limits: this.#host.limits,
      timer: (delayMs, run) => this.#host.timer(delayMs, run),
      onFatal: (error) => this.#host.onFatal(error),
    });
    this.#isBorn = true;
    this.#log = log;
    this.#compare(log.recovered);
    return log.recovered;
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    for (const record of records) {
      replay(this.written, record);
      this.#unsynced.push(record);
    }
    const onDurable = (): void => {
      for (const record of this.#unsynced.splice(0, records.length)) this.#sync(record);
      callbacks.onDurable();
    };
    const { onWritten } = callbacks;
    const told = onWritten === undefined ? {} : { onWritten: () => onWritten.call(callbacks) };
    this.log.write(records, { ...told, onDurable });
  }

  /** The replica has lost records, and will never be more than a place that is taken. */
  isSuspect(shard: ShardId, replica: ReplicaId): boolean {
    return this.#suspects.has(`${shard}/${replica}`);
  }

  #sync(record: LogRecord): void {
    if (record.kind === 'drop') this.#bury(record.shard);
    replay(this.synced, record);
  }

  #bury(shard: ShardId): void {
    const image = this.synced.get(shard);
    if (image !== undefined) this.gone.set(shard, [...(this.gone.get(shard) ?? []), image]);
  }

  read(
    shard: ShardId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    onEntries: (error: Error | undefined, entries: readonly Entry[]) => void,
  ): void {
    this.log.read(shard, from, to, maxBytes, onEntries);
  }

  crash(power: boolean): void {
    this.#log = undefined;
    this.files.crash(power);
  }

  /** Takes over the longest prefix of what was on its way that explains what was found. */
  #compare(recovered: readonly RecoveredShard[]): void {
    const found = new Map(recovered.map((shard) => [shard.shard, factsOf(shard)]));
    const images = new Map([...this.synced].map(([shard, image]) => [shard, image.copy()]));
    const unequal = new Set<ShardId>();
    const suspects = recovered.filter(({ state }) => state.suspect === true);
    const look = (shard: ShardId): void => {
      if (suspects.some((one) => one.shard === shard)) {
        unequal.delete(shard);
        return;
      }
      const image = images.get(shard);
      const facts = image === undefined ? undefined : factsOf(image.recovered(shard));
      if (facts === found.get(shard)) unequal.delete(shard);
      else unequal.add(shard);
    };
    for (const shard of new Set([...images.keys(), ...found.keys()])) look(shard);
    let kept = unequal.size === 0 ? 0 : -1;
    this.#unsynced.forEach((record, at) => {
      replay(images, record);
      look(record.shard);
      if (unequal.size === 0) kept = at + 1;
    });
    expect(kept >= 0, 'log-recovered', () => this.#difference(recovered));
    for (const record of this.#unsynced.slice(0, kept)) this.#sync(record);
    this.#unsynced = [];
    this.#checkDamage(recovered);
    for (const { shard, state } of suspects) this.#doubt(shard, state);
    this.written.clear();
    for (const [shard, image] of this.synced) this.written.set(shard, image.copy());
  }

  /** Whatever is damaged was hit, and who is suspect stays so. */
  #checkDamage(recovered: readonly RecoveredShard[]): void {
    for (const { shard, state, damaged = [] } of recovered) {
      const { flips } = this;
      if (state.suspect === true) {
        expect(flips.maySuspect(shard), 'suspect-was-hit', () => `shard ${shard}`);
        continue;
      }
      const isForgotten = this.isSuspect(shard, state.replica);
      expect(!isForgotten, 'suspect-stays', () => `shard ${shard}, replica ${state.replica}`);
      const odd = damaged.find(({ index }) => !flips.mayDamage(shard, index));
      expect(odd === undefined, 'damaged-was-hit', () => `shard ${shard}, entry ${odd?.index}`);
    }
  }

  /** Nothing that it still has counts for anything. */
  #doubt(shard: ShardId, state: ShardState): void {
    if (!this.isSuspect(shard, state.replica)) this.#bury(shard);
    this.#suspects.add(`${shard}/${state.replica}`);
    this.synced.set(shard, new ShardImage(state));
  }

  #difference(recovered: readonly RecoveredShard[]): string {
    const durable = [...this.synced].map(([shard, image]) => factsOf(image.recovered(shard)));
    const found = recovered.map(factsOf);
    const rest = `${this.#unsynced.length} records on their way`;
    return `${durable.join(' ')} durable, ${found.join(' ')} found, ${rest}`;
  }

  /** The directory is empty again, and not a new node's: nothing is born in it. */
  wipe(): void {
    this.files.wipe();
    for (const shard of this.synced.keys()) this.#bury(shard);
    this.synced.clear();
    this.written.clear();
    this.#unsynced = [];
    this.#suspects.clear();
    this.flips.clear();
    this.#isBorn = true;
  }
}

/** The first state of a shard creates it, a drop ends it. */
function replay(images: Map<ShardId, ShardImage>, record: LogRecord): void {
  const { shard } = record;
  const image = images.get(shard);
  if (record.kind === 'drop') images.delete(shard);
  else if (image !== undefined) image.apply(record);
  else {
    const isFirst = record.kind === 'state';
    expect(isFirst, 'log-record', () => `${record.kind} of shard ${shard}, which is not here`);
    if (isFirst) images.set(shard, new ShardImage(record.state));
  }
}

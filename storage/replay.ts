/**
 * Rebuilds the shard indexes from what a log directory holds, in file order: records, sidecars, and
 * places where records are lost.
 *
 * A damaged body under an intact header costs its own entry only: a peer has it. Where a header is
 * lost, nobody knows what stood there, a vote perhaps: every shard that was there is *frozen* (it
 * keeps what was found before, and is suspect), and what comes up later without its beginning is
 * suspect too.
 */
import assert from 'node:assert';
import type { ShardId, ShardState } from '../raft/types.ts';
import { EntryType } from '../raft/types.ts';
import { LogShards } from './log-shards.ts';
import { entryFrom, RECORD_HEADER_BYTES, RecordType } from './record.ts';
import type { ScannedRecord } from './scan.ts';
import type { Location, ShardIndex } from './shard-index.ts';
import type { Sidecar, SidecarShard } from './sidecar.ts';
import { decodeShardState } from './state-codec.ts';

export class Replay {
  readonly shards = new LogShards();
  private lossy = false;
  /** Shards with records, but nobody knows yet which replica they were of. */
  private readonly orphans = new Set<ShardId>();

  /** What every open must meet again: no sidecar knows of it. */
  get hasLoss(): boolean {
    return this.lossy || this.orphans.size > 0;
  }

  /** Records are missing here. */
  loss(): void {
    this.lossy = true;
    for (const index of this.shards.live.values()) index.freeze();
  }

  /** `inHead`: repeats what was known before. An impossible sequence of records throws. */
  apply(record: ScannedRecord, at: Location, inHead: boolean): void {
    const { type, shard } = record.header;
    if (type === RecordType.drop) {
      this.orphans.delete(shard);
      this.shards.drop(shard, record.header.index);
    } else if (type === RecordType.state || type === RecordType.reset) {
      if (record.intact) this.applyState(record, at, inHead);
      else this.lose(shard);
    } else this.applyEntry(record, at);
  }

  /** Replaces what is known by the facts at the end of a sealed segment. */
  applySidecar(sidecar: Sidecar): void {
    for (const [shard, replica] of sidecar.tombstones) this.shards.drop(shard, replica);
    const listed = new Set(sidecar.shards.map(({ shard }) => shard));
    for (const [shard, index] of this.shards.live) {
      assert(listed.has(shard), `shard ${shard}, replica ${index.state.replica}, went unseen`);
    }
    for (const each of sidecar.shards) this.applySidecarShard(each, sidecar.sequence);
  }

  /** Gives the first shard of which something is missing that no loss explains. */
  finish(): { readonly shard: ShardId; readonly missing: string } | undefined {
    for (const index of this.shards.live.values()) {
      const missing = index.finishRecovery(this.lossy);
      if (missing !== undefined) return { shard: index.shard, missing: `index ${missing}` };
    }
    const [orphan] = this.orphans;
    return orphan === undefined ? undefined : { shard: orphan, missing: 'its first state' };
  }

  private applyState(record: ScannedRecord, at: Location, inHead: boolean): void {
    const { shard, type } = record.header;
    const state = decodeShardState(record.raw.subarray(RECORD_HEADER_BYTES));
    const index = this.known(shard, state);
    if (index === undefined) {
      this.create(shard, state, !inHead && isNewborn(state), at.sequence);
    } else if (type === RecordType.reset) index.reset(state, at.sequence);
    else index.setState(state);
  }

  private applyEntry(record: ScannedRecord, at: Location): void {
    const { header, raw, intact } = record;
    const { shard } = header;
    const index = this.shards.get(shard);
    if (index === undefined) {
      if (!this.lossy && !this.orphans.has(shard)) throw new Error('an entry before its state');
      this.orphans.add(shard);
    } else if (header.type === RecordType.repair) {
      if (intact) index.repair(header, at);
    } else if (intact) index.append(entryFrom(raw, RECORD_HEADER_BYTES, header), at);
    else if (header.type === EntryType.config) index.freeze();
    else index.appendDamaged(header, at);
  }

  private applySidecarShard(found: SidecarShard, sequence: number): void {
    const { shard, state, lastIndex, run, born, repairs } = found;
    // Suspect or not, it was when the segment ended: the run lies before that.
    const { suspect: _, ...plain } = state;
    const atStart = run === undefined ? plain : { ...plain, logStart: { index: 0, term: 0 } };
    let index = this.known(shard, state);
    if (index === undefined) index = this.create(shard, atStart, born, sequence);
    else if (born) index.reset(atStart, sequence);
    if (run !== undefined) index.appendRun(run, sequence, state.logStart.index, lastIndex);
    else index.endAt(lastIndex, state.logStart.index);
    for (const [entry, position] of repairs) index.repairAt(entry, { sequence, position });
    index.setState(state);
  }

  /** The same replica of the shard. If another one is there, its drop is lost. */
  private known(shard: ShardId, state: ShardState): ShardIndex | undefined {
    const index = this.shards.get(shard);
    if (index === undefined || index.state.replica === state.replica) return index;
    if (!this.lossy) throw new Error(`replica ${index.state.replica} was never dropped`);
    this.shards.drop(shard, index.state.replica);
    return undefined;
  }

  private create(shard: ShardId, state: ShardState, born: boolean, sequence: number): ShardIndex {
    const index = this.shards.create(shard, state, true);
    if (born) index.bornIn = sequence;
    if (this.orphans.delete(shard) || (this.lossy && !born)) index.freeze();
    return index;
  }

  private lose(shard: ShardId): void {
    const index = this.shards.get(shard);
    if (index === undefined) this.orphans.add(shard);
    else index.freeze();
  }
}

/** As whoever creates a shard writes it. */
function isNewborn({ hardState }: ShardState): boolean {
  return hardState.term === 0 && hardState.commit === 0;
}

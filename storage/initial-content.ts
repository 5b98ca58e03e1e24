/** What a new segment holds behind its header block: tombstones, states, copied records. */

import type { ShardId, ShardState } from '../raft/types.ts';
import type { LogShards } from './log-shards.ts';
import type { SegmentIdentity } from './record.ts';
import {
  RECORD_HEADER_BYTES,
  RecordType,
  sealEnvelope,
  writeDropHeader,
  writeStateHeader,
} from './record.ts';
import type { ScannedRecord } from './scan.ts';
import { SEGMENT_HEADER_BYTES } from './segment.ts';
import type { ShardIndex } from './shard-index.ts';
import { encodeShardState } from './state-codec.ts';

export class InitialContent {
  readonly segment: SegmentIdentity;
  private readonly records: Buffer[] = [];
  private position = SEGMENT_HEADER_BYTES;

  constructor(segment: SegmentIdentity, { tombstones, live }: LogShards) {
    this.segment = segment;
    for (const [shard, replica] of tombstones) {
      const record = Buffer.alloc(RECORD_HEADER_BYTES);
      writeDropHeader(record, 0, shard, replica);
      this.add(record);
    }
    for (const { shard, state } of live.values()) {
      this.add(stateRecord(RecordType.state, shard, state));
    }
  }

  /** Where the next record will lie in the file. */
  get end(): number {
    return this.position;
  }

  /**
   * Copies a record that was replayed into `index`. A replica may be suspect for what lies before
   * the record and is not copied; its state says so from here on.
   */
  copy({ header, raw }: ScannedRecord, index: ShardIndex | undefined): void {
    const { type, shard } = header;
    const hasState = type === RecordType.state || type === RecordType.reset;
    if (hasState && index?.isSuspect === true) this.add(stateRecord(type, shard, index.state));
    else this.add(raw);
  }

  bytes(): Buffer {
    return Buffer.concat(this.records);
  }

  private add(record: Buffer): void {
    sealEnvelope(record, 0, this.segment, this.position, 0);
    this.records.push(record);
    this.position += record.length;
  }
}

function stateRecord(
  type: typeof RecordType.state | typeof RecordType.reset,
  shard: ShardId,
  state: ShardState,
): Buffer {
  const body = encodeShardState(state);
  const record = Buffer.concat([Buffer.alloc(RECORD_HEADER_BYTES), body]);
  writeStateHeader(record, 0, type, shard, body);
  return record;
}

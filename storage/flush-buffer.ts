/**
 * The bytes of one flush. Headers and small bodies are copied into one reused buffer; large heads
 * and payloads go to the kernel from where they lie.
 */
import assert from 'node:assert';
import type { LogRecord } from '../raft/ports.ts';
import { EMPTY_BYTES } from '../raft/types.ts';
import type { SegmentIdentity } from './record.ts';
import {
  ENVELOPE_BYTES,
  RECORD_HEADER_BYTES,
  RecordType,
  sealEnvelope,
  writeDropHeader,
  writePortableHeader,
  writeRepairHeader,
  writeStateHeader,
} from './record.ts';
import { encodeShardState } from './state-codec.ts';

/** Bodies below this are cheaper to copy than to hand over one by one. */
const COPY_BELOW_BYTES = 4096;
const STAGING_BYTES = 1024 * 1024;
/** Room in the staging buffer for any record's header, small head and small payload. */
const MAX_STAGED_RECORD_BYTES = RECORD_HEADER_BYTES + 2 * COPY_BELOW_BYTES;

export class FlushBuffer {
  private readonly maxBytes: number;
  private readonly staging = Buffer.allocUnsafeSlow(STAGING_BYTES);
  private segment: SegmentIdentity = { epoch: 0, sequence: 0 };
  private start = 0;
  private syncedPosition = 0;
  private total = 0;
  private staged = 0;
  private flushedStaged = 0;
  private out: Uint8Array[] = [];

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Bytes gathered so far. */
  get bytes(): number {
    return this.total;
  }

  /** Where the next record will lie in the file. */
  get position(): number {
    return this.start + this.total;
  }

  begin(segment: SegmentIdentity, position: number, syncedPosition: number): void {
    assert.equal(this.total, 0, 'the last flush has not ended');
    this.segment = segment;
    this.start = position;
    this.syncedPosition = syncedPosition;
  }

  end(): void {
    this.total = 0;
    this.staged = 0;
    this.flushedStaged = 0;
    this.out = [];
  }

  /** A flush takes at least one record, however large. */
  fits(record: LogRecord): boolean {
    if (this.total === 0) return true;
    if (this.staged + MAX_STAGED_RECORD_BYTES > STAGING_BYTES) return false;
    if (record.kind !== 'entry' && record.kind !== 'repair') return true;
    const { head, payload } = record.entry;
    return this.total + RECORD_HEADER_BYTES + head.length + payload.length <= this.maxBytes;
  }

  add(record: LogRecord): void {
    const { kind, shard } = record;
    const { staging, staged } = this;
    if (kind === 'entry' || kind === 'repair') {
      const { entry } = record;
      if (kind === 'repair') writeRepairHeader(staging, staged, shard, entry);
      else writePortableHeader(staging, staged + ENVELOPE_BYTES, shard, entry);
      this.addRecord(entry.head, entry.payload);
    } else if (kind === 'drop') {
      writeDropHeader(staging, staged, shard, record.replica);
      this.addRecord(EMPTY_BYTES, EMPTY_BYTES);
    } else {
      const body = encodeShardState(record.state);
      writeStateHeader(staging, staged, RecordType[kind], shard, body);
      this.addRecord(body, EMPTY_BYTES);
    }
  }

  parts(): Uint8Array[] {
    this.flushStaged();
    return this.out;
  }

  /** The portable header is in place. */
  private addRecord(head: Uint8Array, payload: Uint8Array): void {
    const { staging, staged, segment, position, syncedPosition } = this;
    sealEnvelope(staging, staged, segment, position, syncedPosition);
    this.staged += RECORD_HEADER_BYTES;
    this.addBytes(head);
    this.addBytes(payload);
    this.total += RECORD_HEADER_BYTES + head.length + payload.length;
  }

  private addBytes(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (bytes.length < COPY_BELOW_BYTES) {
      this.staging.set(bytes, this.staged);
      this.staged += bytes.length;
      return;
    }
    this.flushStaged();
    this.out.push(bytes);
  }

  private flushStaged(): void {
    if (this.staged === this.flushedStaged) return;
    this.out.push(this.staging.subarray(this.flushedStaged, this.staged));
    this.flushedStaged = this.staged;
  }
}

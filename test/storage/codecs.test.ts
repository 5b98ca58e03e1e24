/**
 * Whatever storage reads back from a disk: every prefix of it, and every change of one bit, is
 * refused or gives the original. (Rows of LevelDB: `row-codec.test.ts`; entries of any content:
 * `record.test.ts`; whole logs: `damage.test.ts`.)
 */
import { describe, expect, it } from 'vitest';
import type { LogRecord } from '../../raft/ports.ts';
import { EntryType } from '../../raft/types.ts';
import {
  encodeEnd,
  encodeHead,
  encodeRow,
  readCheckpointFile,
} from '../../storage/checkpoint-file.ts';
import { continueCrc } from '../../storage/crc.ts';
import { StorageError } from '../../storage/errors.ts';
import { FlushBuffer } from '../../storage/flush-buffer.ts';
import { KeyKind } from '../../storage/keys.ts';
import { decodeMarker, MarkerFile } from '../../storage/marker.ts';
import {
  entryFrom,
  isEntryType,
  RECORD_HEADER_BYTES,
  RecordType,
  readRecordHeader,
  verifyBody,
  verifyRecordHeader,
} from '../../storage/record.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from '../../storage/segment.ts';
import { decodeSidecar, encodeSidecar, type Sidecar } from '../../storage/sidecar.ts';
import { decodeShardState } from '../../storage/state-codec.ts';
import { FaultyFiles } from '../harness/faulty-files.ts';
import { entry, plain, seededRandom, shardState } from '../harness/log-builders.ts';

const SEGMENT = { epoch: 3, sequence: 7 };

/** All prefixes, then all changes of one bit. */
function* damagedCopies(whole: Buffer, usedBytes = whole.length): Generator<Buffer> {
  for (let length = 0; length < usedBytes; length++) yield whole.subarray(0, length);
  for (let bit = 0; bit < usedBytes * 8; bit++) {
    const copy = Buffer.from(whole);
    copy[bit >> 3]! ^= 1 << (bit & 7);
    yield copy;
  }
}

/** What the bytes say, or undefined if they are refused in an orderly way. */
function orRefused<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof StorageError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function encode(record: LogRecord): Buffer {
  const buffer = new FlushBuffer(1 << 20);
  buffer.begin(SEGMENT, 4096, 0);
  buffer.add(record);
  return Buffer.concat(buffer.parts());
}

function decode(bytes: Buffer): unknown {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  if (!verifyRecordHeader(bytes, 0, SEGMENT, 4096)) return undefined;
  const header = readRecordHeader(bytes, 0);
  if (bytes.length < RECORD_HEADER_BYTES + header.bodyLength) return undefined;
  if (!verifyBody(bytes, RECORD_HEADER_BYTES, header)) return undefined;
  const { type, shard } = header;
  if (type === RecordType.drop) return { kind: 'drop', shard, replica: header.index };
  if (type === RecordType.state || type === RecordType.reset) {
    const kind = type === RecordType.state ? 'state' : 'reset';
    return { kind, shard, state: decodeShardState(bytes.subarray(RECORD_HEADER_BYTES)) };
  }
  const kind = isEntryType(type) ? 'entry' : 'repair';
  return { kind, shard, entry: plain(entryFrom(bytes, RECORD_HEADER_BYTES, header)) };
}

const records: readonly LogRecord[] = [
  { kind: 'entry', shard: 5, entry: entry(9, 4, { payload: 'payload' }) },
  { kind: 'entry', shard: 5, entry: entry(1, 1, { type: EntryType.noop, head: '' }) },
  { kind: 'repair', shard: 5, entry: entry(9, 4, { type: EntryType.config }) },
  { kind: 'state', shard: 0, state: shardState({ term: 4, vote: 2, commit: 9 }) },
  { kind: 'reset', shard: 5, state: { ...shardState({ commit: 8 }), suspect: true } },
  { kind: 'drop', shard: 5, replica: 17 },
];

describe('damaged bytes', () => {
  it.each(records.map((record) => [record.kind, record] as const))(
    'of a record: %s',
    (_, record) => {
      const whole = encode(record);
      const { kind } = record;
      const isEntry = kind === 'entry' || kind === 'repair';
      expect(decode(whole)).toEqual(isEntry ? { ...record, entry: plain(record.entry) } : record);
      for (const bytes of damagedCopies(whole)) {
        expect(orRefused(() => decode(bytes))).toBeUndefined();
      }
    },
  );

  it('of a segment header', () => {
    const header = { ...SEGMENT, previousEnd: 70_000, initialEnd: 5000 };
    const whole = encodeSegmentHeader(header);
    expect(decodeSegmentHeader(whole, 'x')).toEqual(header);
    // The rest of the block is not read.
    for (const bytes of damagedCopies(whole, 40)) {
      expect(orRefused(() => decodeSegmentHeader(bytes, 'x'))).toBeUndefined();
    }
    expect(orRefused(() => decodeSegmentHeader(whole.subarray(0, 4095), 'x'))).toBeUndefined();
  });

  it('of a marker: the older slot, if any', async () => {
    const files = new FaultyFiles(seededRandom(1));
    const file = await MarkerFile.open(files, 'log', []);
    const write = (synced: number): Promise<unknown> =>
      new Promise((resolve) => file.write({ ...SEGMENT, synced, clean: false }, resolve));
    await write(5000);
    await write(6000);
    const whole = Buffer.from(files.content('log/marker'));
    const newer = decodeMarker(whole);
    expect(newer).toMatchObject({ ...SEGMENT, synced: 6000 });
    for (const bytes of damagedCopies(whole)) {
      expect([undefined, 5000, 6000]).toContain(decodeMarker(bytes)?.synced);
      const found = decodeMarker(bytes);
      if (found?.synced === 6000) expect(found).toEqual(newer);
    }
  });

  it('of a sidecar', () => {
    const configs = [entry(3, 1, { type: EntryType.config })];
    const run = {
      samples: [[1, 4500] as const],
      termStarts: [{ term: 1, index: 1 }],
      configs,
      damaged: [2],
    };
    const shard = { shard: 5, state: shardState(), lastIndex: 4, run, born: true };
    const sidecar: Sidecar = {
      ...SEGMENT,
      end: 70_000,
      shards: [{ ...shard, repairs: [[1, 4600]] }],
      tombstones: [[6, 2]],
    };
    const whole = encodeSidecar(sidecar);
    const back = decodeSidecar(whole, SEGMENT, 70_000);
    expect(back).toMatchObject({ end: 70_000, tombstones: [[6, 2]] });
    expect(back?.shards[0]?.run?.configs.map(plain)).toEqual(configs.map(plain));
    for (const bytes of damagedCopies(whole)) {
      expect(orRefused(() => decodeSidecar(bytes, SEGMENT, 70_000))).toBeUndefined();
    }
  });

  it('of a checkpoint', async () => {
    const applied = { shard: 5, index: 90, term: 3, timeMs: 1_700_000_000_000 };
    const rows = [1, 2].map((id) =>
      encodeRow({ kind: KeyKind.group, key: Buffer.from(`k${id}`), value: Buffer.from('value') }),
    );
    const content = Buffer.concat([encodeHead({ applied, membership: '{"config":{}}' }), ...rows]);
    const whole = Buffer.concat([content, encodeEnd(2, continueCrc(0, content))]);
    const files = new FaultyFiles(seededRandom(1));
    const read = async (bytes: Buffer): Promise<unknown> => {
      files.replace('5-90.ckpt', bytes);
      return readCheckpointFile('5-90.ckpt', () => undefined, files);
    };
    expect(await read(whole)).toMatchObject({ applied, rowCount: 2 });
    for (const bytes of [...damagedCopies(whole), Buffer.concat([whole, Buffer.alloc(1)])]) {
      const failure = { code: expect.stringMatching(/DATA_LOSS|UNKNOWN_FORMAT/) };
      await expect(read(bytes)).rejects.toMatchObject(failure);
    }
  });
});

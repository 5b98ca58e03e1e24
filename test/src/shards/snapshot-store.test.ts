import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SnapshotSource } from '../../../raft/ports.ts';
import { CheckpointSnapshots } from '../../../src/shards/snapshot-store.ts';
import type { TableRow } from '../../../storage/level-db.ts';
import type { AppliedMark } from '../../../storage/row-codec.ts';
import { expectedRows, textRows } from '../../harness/state-model.ts';
import { MEMBERSHIP, withCheckpoints } from '../../harness/state-places.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const SHARD = 1;
const ID = { index: 20, term: 1 };
const PIECE = 64;

class Rig {
  readonly directory: string;
  readonly prepared: { mark: AppliedMark; rows: Record<string, string> }[] = [];
  warnings = 0;
  fatal: Error | undefined;
  readonly store: CheckpointSnapshots;

  constructor(directory = join(temporaryDirectory(), 'checkpoints')) {
    this.directory = directory;
    onTestFinished(() => this.store.close());
    this.store = new CheckpointSnapshots({
      directory,
      machine: {
        prepare: (mark, rows: readonly TableRow[]) =>
          void this.prepared.push({ mark, rows: textRows(rows) }),
      },
      logger: { warn: () => void this.warnings++ },
      onFatal: (error) => {
        this.fatal = error;
      },
    });
  }

  open(id = ID) {
    return answer<SnapshotSource>((done) => this.store.openSource(SHARD, id, done));
  }

  read(source: SnapshotSource, offset: number, maxBytes = PIECE) {
    return answer<Uint8Array>((done) => this.store.readSource(source, offset, maxBytes, done));
  }

  begin(totalBytes: number) {
    return answer<number>((done) => this.store.beginReceive(SHARD, ID, totalBytes, done));
  }

  chunk(offset: number, data: Uint8Array) {
    return answer<number>((done) => this.store.receiveChunk(SHARD, ID, offset, data, done));
  }

  finish() {
    return answer((done) => this.store.finishReceive(SHARD, ID, done));
  }
}

function answer<Value>(
  ask: (done: (error: Error | undefined, value?: Value) => void) => void,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    ask((error, value) => (error === undefined ? resolve(value as Value) : reject(error)));
  });
}

/** A node with a checkpoint at 20 that is open for sending, and one without any. */
async function pair() {
  const { where } = await withCheckpoints();
  const sender = new Rig(where.checkpoints);
  const receiver = new Rig();
  return { sender, receiver, source: await sender.open() };
}

async function copy(sender: Rig, source: SnapshotSource, receiver: Rig, from: number) {
  for (let at = from; at < source.totalBytes; ) {
    at = await receiver.chunk(at, await sender.read(source, at));
  }
}

describe('snapshots', () => {
  test('the checkpoint travels in pieces and is prepared as a state', async () => {
    const { sender, receiver, source } = await pair();
    expect(sender.store.isSending(SHARD)).toBe(true);
    expect(await receiver.begin(source.totalBytes)).toBe(0);
    await copy(sender, source, receiver, 0);
    expect(await receiver.finish()).toEqual({ id: ID, timeMs: 1200, membership: MEMBERSHIP });
    expect(receiver.prepared).toEqual([
      { mark: { shard: SHARD, ...ID, timeMs: 1200 }, rows: expectedRows(20) },
    ]);
    expect(readdirSync(receiver.directory)).toEqual(['1-20.ckpt']);
    sender.store.closeSource(source);
    sender.store.closeSource(source);
    expect(sender.store.isSending(SHARD)).toBe(false);
  });

  test('a log start is held for a reader without a source, as long as it said', async () => {
    const { sender, source } = await pair();
    sender.store.closeSource(source);
    sender.store.holdStart(SHARD, 60_000);
    expect([sender.store.isSending(SHARD), sender.store.isSending(SHARD + 1)]).toEqual([
      true,
      false,
    ]);
    sender.store.holdStart(SHARD, -1);
    expect(sender.store.isSending(SHARD)).toBe(false);
  });

  test('a source that is closed while it is read is read to the end', async () => {
    const { sender, source } = await pair();
    const bytes = sender.read(source, 0, source.totalBytes);
    sender.store.closeSource(source);
    expect((await bytes).length).toBe(source.totalBytes);
    expect(sender.fatal).toBeUndefined();
  });

  test('a new process goes on with what the one before received', async () => {
    const { sender, receiver, source } = await pair();
    await receiver.begin(source.totalBytes);
    const held = await receiver.chunk(0, await sender.read(source, 0, 150));
    const again = new Rig(receiver.directory);
    expect(await again.begin(source.totalBytes)).toBe(held);
    await copy(sender, source, again, held);
    await again.finish();
    expect(again.prepared).toHaveLength(1);
  });

  test('one that does not verify is refused, counted and gone; another one works', async () => {
    const { sender, receiver, source } = await pair();
    await receiver.begin(source.totalBytes);
    const bytes = Buffer.from(await sender.read(source, 0, source.totalBytes));
    bytes[100]! ^= 1;
    await receiver.chunk(0, bytes);
    await expect(receiver.finish()).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect([receiver.warnings, receiver.prepared, receiver.fatal]).toEqual([1, [], undefined]);
    expect(readdirSync(receiver.directory)).toEqual([]);
    expect(await receiver.begin(source.totalBytes)).toBe(0);
    await copy(sender, source, receiver, 0);
    await receiver.finish();
  });

  test('a checkpoint that is damaged or not there is not sent', async () => {
    const { sender } = await pair();
    await expect(sender.open({ index: 33, term: 1 })).rejects.toMatchObject({
      code: 'OUT_OF_RANGE',
    });
    const file = join(sender.directory, '1-20.ckpt');
    writeFileSync(file, readFileSync(file).subarray(0, 100));
    await expect(sender.open()).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect([sender.warnings, sender.fatal]).toEqual([2, undefined]);
  });

  test('a chunk of something that was given up is refused', async () => {
    const { receiver } = await pair();
    await expect(receiver.chunk(0, Buffer.from('x'))).rejects.toThrow(/being received/);
    expect(receiver.fatal).toBeUndefined();
  });

  test('nothing stays of a shard that left', async () => {
    const { sender, receiver, source } = await pair();
    await receiver.begin(source.totalBytes);
    await receiver.chunk(0, await sender.read(source, 0));
    await receiver.store.drop(SHARD);
    await sender.store.drop(SHARD);
    expect([readdirSync(receiver.directory), readdirSync(sender.directory)]).toEqual([[], []]);
    expect(sender.store.isSending(SHARD)).toBe(false);
  });
});

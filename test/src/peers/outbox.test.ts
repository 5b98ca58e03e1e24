import { describe, expect, it } from 'vitest';
import { FrameType } from '../../../src/peers/frame.ts';
import { FrameWriter } from '../../../src/peers/frame-writer.ts';
import type { OutboxItem, OutboxSocket } from '../../../src/peers/outbox.ts';
import { Outbox } from '../../../src/peers/outbox.ts';

/** Collects writes; each ends when the test says so. */
class FakeSocket implements OutboxSocket {
  readonly writes: { bytes: number; written: (() => void) | undefined }[] = [];
  corked = 0;

  cork(): void {
    this.corked += 1;
  }

  uncork(): void {
    this.corked -= 1;
  }

  write(bytes: Uint8Array, written?: () => void): boolean {
    this.writes.push({ bytes: bytes.length, written });
    return true;
  }

  finish(): void {
    for (const { written } of this.writes.splice(0)) written?.();
  }
}

function item(bytes: number, log: number[] = [], name = 0): OutboxItem {
  return {
    bytes,
    writeTo(writer) {
      log.push(name);
      writer.begin(bytes);
      writer.reserve(bytes - 12);
      writer.endHead();
      writer.end(FrameType.messages);
    },
  };
}

function create(maxQueuedBytes = 1_000, maxFlushBytes = 500): [Outbox, FakeSocket] {
  const socket = new FakeSocket();
  return [new Outbox(socket, new FrameWriter(), { maxQueuedBytes, maxFlushBytes }), socket];
}

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Outbox', () => {
  it('writes what one callback pushes as one', async () => {
    const [outbox, socket] = create();
    for (let i = 0; i < 5; i += 1) outbox.push(item(20));
    expect(socket.writes).toEqual([]);
    await Promise.resolve();
    expect(socket.writes.map((each) => each.bytes)).toEqual([100]);
  });

  it('lets what was pushed for later wait for the end of the turn', async () => {
    const [outbox, socket] = create();
    outbox.pushLater(item(20));
    await Promise.resolve();
    outbox.pushLater(item(20));
    expect(socket.writes).toEqual([]);
    await immediate();
    expect(socket.writes.map((each) => each.bytes)).toEqual([40]);
  });

  it('has one write under way; the rest leaves in order when it is over', async () => {
    const [outbox, socket] = create();
    const log: number[] = [];
    outbox.push(item(20, log, 1));
    await Promise.resolve();
    for (let i = 2; i < 6; i += 1) {
      outbox.push(item(20, log, i));
      await Promise.resolve();
    }
    expect(socket.writes).toHaveLength(1);
    expect(log).toEqual([1]);
    socket.finish();
    expect(socket.writes.map((each) => each.bytes)).toEqual([80]);
    expect(log).toEqual([1, 2, 3, 4, 5]);
  });

  it('takes at most maxFlushBytes and one item at a time', async () => {
    const [outbox, socket] = create(10_000, 100);
    for (let i = 0; i < 5; i += 1) outbox.push(item(60));
    await Promise.resolve();
    const sizes: number[] = [];
    while (socket.writes.length > 0) {
      sizes.push(...socket.writes.map((each) => each.bytes));
      socket.finish();
    }
    expect(sizes).toEqual([120, 120, 60]);
    expect(outbox.queuedBytes).toBe(0);
  });

  it('counts what waits and what is being written against its bound', async () => {
    const [outbox, socket] = create(100);
    outbox.push(item(60));
    expect(outbox.hasRoomFor(40)).toBe(true);
    expect(outbox.hasRoomFor(41)).toBe(false);
    await Promise.resolve();
    expect(outbox.hasRoomFor(41)).toBe(false);
    socket.finish();
    expect(outbox.hasRoomFor(100)).toBe(true);
  });

  it('never asks the items that wait when it is closed', async () => {
    const [outbox, socket] = create();
    const log: number[] = [];
    outbox.push(item(20, log, 1));
    outbox.pushLater(item(20, log, 2));
    outbox.close();
    await immediate();
    expect(log).toEqual([]);
    expect(socket.writes).toEqual([]);
    expect(outbox.hasRoomFor(1)).toBe(false);
  });

  it('passes over items that have nothing to say any more', async () => {
    const [outbox, socket] = create();
    outbox.push({ bytes: 50, writeTo: () => undefined });
    await Promise.resolve();
    expect(outbox.queuedBytes).toBe(0);
    outbox.push(item(20));
    await Promise.resolve();
    expect(socket.writes.map((each) => each.bytes)).toEqual([20]);
  });
});

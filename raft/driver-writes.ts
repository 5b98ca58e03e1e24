/** One flush's write to the store, for all its shards, and what the store says of it later. */
import type { DriverContext } from './driver-context.ts';
import type { ShardRunner } from './driver-shard.ts';
import type { LogRecord } from './ports.ts';
import type { PendingWrite, Ready } from './ready.ts';

/** The part of it that belongs to one shard. */
interface ShardWrite {
  readonly runner: ShardRunner;
  readonly write: PendingWrite;
}

export class ShardWrites {
  readonly #context: DriverContext;
  readonly #afterDurable: (runner: ShardRunner) => void;

  constructor(context: DriverContext, afterDurable: (runner: ShardRunner) => void) {
    this.#context = context;
    this.#afterDurable = afterDurable;
  }

  hand(batch: readonly ShardRunner[], readies: readonly Ready[]): void {
    const records: LogRecord[] = [];
    const writes: ShardWrite[] = [];
    let wantsWritten = false;
    readies.forEach(({ write }, at) => {
      if (write === undefined) return;
      for (const record of write.records) records.push(record);
      writes.push({ runner: batch[at]!, write });
      wantsWritten ||= write.wantsWritten;
    });
    if (writes.length === 0) return;
    const onDurable = (): void => this.#onDurable(writes);
    const onWritten = (): void => this.#onWritten(writes);
    const { store } = this.#context.options;
    store.write(records, wantsWritten ? { onWritten, onDurable } : { onDurable });
  }

  #onWritten(writes: readonly ShardWrite[]): void {
    for (const { runner, write } of writes) {
      if (runner.isStopped) continue;
      runner.core.written(write);
      this.#context.markDirty(runner);
    }
  }

  #onDurable(writes: readonly ShardWrite[]): void {
    for (const { runner, write } of writes) {
      if (runner.isStopped) continue;
      runner.core.durable(write, this.#context.now());
      this.#context.markDirty(runner);
      this.#afterDurable(runner);
    }
  }
}

/** The ceiling's leader: sends to both followers, appends itself, calls back at a majority. */
import { connect, type Socket } from 'node:net';
import type { AppendFile } from './append-file.ts';

interface Waiting {
  readonly level: 'written' | 'durable';
  done(): void;
}

/** Counts of leading appends that each replica has written and made durable. */
interface Reached {
  written: number;
  durable: number;
}

function majorityOf(counts: readonly number[]): number {
  return [...counts].sort((a, b) => b - a)[1] as number;
}

export class Replication {
  readonly #log: AppendFile;
  readonly #sockets: Socket[] = [];
  readonly #reached: Reached[] = [{ written: 0, durable: 0 }];
  readonly #waiting = new Map<number, Waiting>();
  #count = 0;
  #settledWritten = 0;
  #settledDurable = 0;

  constructor(log: AppendFile) {
    this.#log = log;
  }

  async connect(port: number): Promise<void> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    socket.setNoDelay(true);
    const reached: Reached = { written: 0, durable: 0 };
    this.#reached.push(reached);
    this.#sockets.push(socket);
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      for (; at + 5 <= rest.length; at += 5) {
        const count = rest.readUInt32LE(at + 1);
        if (rest[at] === 0) reached.written = count;
        else reached.durable = count;
      }
      rest = rest.subarray(at);
      this.#settle();
    });
  }

  append(bytes: Uint8Array, level: 'written' | 'durable', done: () => void): void {
    const count = ++this.#count;
    this.#waiting.set(count, { level, done });
    const header = Buffer.allocUnsafe(4);
    header.writeUInt32LE(bytes.length, 0);
    for (const socket of this.#sockets) {
      socket.cork();
      socket.write(header);
      socket.write(bytes);
      process.nextTick(() => socket.uncork());
    }
    const own = this.#reached[0] as Reached;
    const reach = (kind: keyof Reached): void => {
      own[kind] = count;
      this.#settle();
    };
    this.#log.append(
      bytes,
      () => reach('written'),
      () => reach('durable'),
    );
  }

  #settle(): void {
    const written = majorityOf(this.#reached.map((reached) => reached.written));
    const durable = majorityOf(this.#reached.map((reached) => reached.durable));
    while (this.#settledWritten < written) this.#finish(++this.#settledWritten, 'written');
    while (this.#settledDurable < durable) this.#finish(++this.#settledDurable, 'durable');
  }

  #finish(count: number, level: Waiting['level']): void {
    const waiting = this.#waiting.get(count);
    if (waiting?.level !== level) return;
    this.#waiting.delete(count);
    waiting.done();
  }
}

/** What happened, as JSON lines: one line per attempt, fault or trouble, in order of completion. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** `fail` = proven to have had no effect; a write whose answer never came is `unknown`. */
export type Outcome = 'ok' | 'fail' | 'unknown';

/** Times are milliseconds of one monotonic clock, that of the run. */
export interface Attempt {
  readonly process: string;
  readonly invokedMs: number;
  readonly completedMs: number;
  readonly outcome: Outcome;
  readonly reason?: string;
}

/** A write is (producer, queue, sequence); every attempt at it has its own line. */
export interface Produce extends Attempt {
  readonly type: 'produce';
  readonly queue: number;
  readonly producer: string;
  readonly sequence: number;
  readonly values: readonly string[];
  readonly baseOffset?: number;
  /** The node said: this is the answer of an earlier, equal request. */
  readonly duplicate?: boolean;
}

export interface Prepare extends Attempt {
  readonly type: 'prepare';
  readonly transaction: string;
  readonly queue: number;
  readonly values: readonly string[];
}

export interface End extends Attempt {
  readonly type: 'end';
  readonly transaction: string;
  readonly queue: number;
  readonly decision: 'commit' | 'rollback';
  /** Where the messages became visible (commit only). */
  readonly baseOffset?: number;
}

export interface ReadBatch {
  readonly offset: number;
  readonly values: readonly string[];
}

export interface Read extends Attempt {
  readonly type: 'read';
  readonly node: number;
  readonly queue: number;
  readonly from: number;
  readonly batches: readonly ReadBatch[];
  readonly endOffset: number;
  /** Part of the read from offset 0 after the run. */
  readonly last: boolean;
}

/** One node's read from 0 reached the end of the queue. */
export interface Final {
  readonly type: 'final';
  readonly node: number;
  readonly queue: number;
  readonly endOffset: number;
}

export interface Commit extends Attempt {
  readonly type: 'commit';
  readonly group: string;
  readonly queue: number;
  readonly offset: number;
}

export interface Committed extends Attempt {
  readonly type: 'committed';
  readonly node: number;
  readonly group: string;
  readonly queue: number;
  /** Absent: never committed. */
  readonly offset?: number;
}

/** One application of a nemesis, from before its first act to after its last. */
export interface Fault {
  readonly type: 'fault';
  readonly nemesis: string;
  readonly atMs: number;
  readonly endMs: number;
  readonly nodes: readonly number[];
  /** The queues whose leader was hit. */
  readonly queues: readonly number[];
  readonly state: 'installed' | 'skipped' | 'indeterminate';
  /** Some shard had to get another leader. */
  readonly movesLeader: boolean;
  readonly text?: string;
}

/** First seen: this node leads the shard in this term. */
export interface Leader {
  readonly type: 'leader';
  readonly atMs: number;
  readonly shard: number;
  readonly node: number;
  readonly term: number;
}

/** Something that must not happen whatever is killed: a wrong refusal, no recovery. */
export interface Trouble {
  readonly type: 'trouble';
  readonly atMs: number;
  readonly process: string;
  readonly text: string;
}

export interface Start {
  readonly type: 'start';
  readonly scenario: string;
  /** The same seed plans the same faults. */
  readonly seed: number;
  readonly nodes: number;
  readonly queues: number;
  /** How far an acknowledged write has got. */
  readonly level: string;
  /** Every fault that was asked for. */
  readonly nemeses: readonly string[];
  readonly atMs: number;
}

/** The last line of a run that came to its end. */
export interface Stop {
  readonly type: 'stop';
  readonly atMs: number;
}

export type HistoryEvent =
  | Produce
  | Prepare
  | End
  | Read
  | Final
  | Commit
  | Committed
  | Fault
  | Leader
  | Trouble
  | Start
  | Stop;
export type EventType = HistoryEvent['type'];
export type EventOf<T extends EventType> = Extract<HistoryEvent, { type: T }>;

export type History = readonly HistoryEvent[];

export function eventsOf<T extends EventType>(history: History, type: T): EventOf<T>[] {
  return history.filter((event): event is EventOf<T> => event.type === type);
}

export function parseHistory(text: string): HistoryEvent[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as HistoryEvent);
}

export function readHistory(file: string): HistoryEvent[] {
  return parseHistory(readFileSync(file, 'utf8'));
}

const BUFFERED_CHARACTERS_MAX = 65_536;

export class HistoryWriter {
  readonly #file: number;
  readonly #onEvent: (event: HistoryEvent) => void;
  #buffered = '';

  constructor(path: string, onEvent: (event: HistoryEvent) => void = () => undefined) {
    this.#file = openSync(path, 'w');
    this.#onEvent = onEvent;
  }

  write(event: HistoryEvent): void {
    this.#onEvent(event);
    this.#buffered += `${JSON.stringify(event)}\n`;
    if (this.#buffered.length > BUFFERED_CHARACTERS_MAX) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    const bytes = Buffer.from(this.#buffered);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#buffered = '';
  }
}

export function nowMs(): number {
  return Math.round(performance.now() * 1000) / 1000;
}

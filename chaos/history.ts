/** What happened, as JSON lines: one line per attempt, fault or trouble, in order of completion. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { OperationLine } from './operation-lines.ts';

export type * from './operation-lines.ts';

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

export type HistoryEvent = OperationLine | Fault | Leader | Trouble | Start | Stop;
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

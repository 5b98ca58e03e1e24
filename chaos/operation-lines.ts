/** The lines of a history that clients write: one per attempt, in order of completion. */
import type { Drained, Receive, Settle } from './delivery-lines.ts';
import type { Check, End, Open, Prepare } from './transaction-lines.ts';

export type * from './delivery-lines.ts';
export type * from './transaction-lines.ts';

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

/** Which queue; without `topic` it is one of the topic that lives as long as the run. */
export interface InQueue {
  /** The id of one life of a topic: a topic that is created again is another one. */
  readonly topic?: string;
  readonly queue: number;
}

/** Attempts at the same values are attempts at one write; their values are used nowhere else. */
export interface Produce extends Attempt, InQueue {
  readonly type: 'produce';
  /** Absent: a plain producer, of which a repetition may be stored again. */
  readonly producer?: string;
  /** Absent: 0. */
  readonly epoch?: number;
  readonly sequence?: number;
  readonly values: readonly string[];
  readonly baseOffset?: number;
  /** The node said: this is the answer of an earlier, equal request. */
  readonly duplicate?: boolean;
  /** Of all its messages: a group in FIFO mode gets them one after the other. */
  readonly key?: string;
  /** In no queue before then; by the clock of the run. */
  readonly deliverAtMs?: number;
}

/** Delayed messages are taken back, all that one request sent. */
export interface Recall extends Attempt, InQueue {
  readonly type: 'recall';
  readonly values: readonly string[];
}

export interface ReadBatch {
  readonly offset: number;
  readonly values: readonly string[];
}

/** One fetch, or one element of a subscription (`from`: where the element before it ended). */
export interface Read extends Attempt, InQueue {
  readonly type: 'read';
  readonly node: number;
  readonly from: number;
  readonly batches: readonly ReadBatch[];
  /** Where the node says to go on; absent in older histories: behind the last batch. */
  readonly nextOffset?: number;
  /** Absent: 0. */
  readonly startOffset?: number;
  readonly endOffset: number;
  readonly linearizable?: boolean;
  /** The consumer moved here by itself since its last read. */
  readonly seek?: boolean;
  /** Part of the read from the start after the run. */
  readonly last: boolean;
}

/** What a node says of the ends of a queue, and of the first message at or after a time. */
export interface Listed extends Attempt, InQueue {
  readonly type: 'listed';
  readonly node: number;
  /** Absent: 0. */
  readonly startOffset?: number;
  readonly endOffset: number;
  /** In Unix milliseconds, as `foundMs` and `beforeMs`. */
  readonly soughtMs?: number;
  readonly foundOffset?: number;
  /** When the message there, and the one before it, were stored. */
  readonly foundMs?: number;
  readonly beforeMs?: number;
}

/** One node's read of a queue from its start reached the end. */
export interface Final extends InQueue {
  readonly type: 'final';
  readonly node: number;
  readonly endOffset: number;
}

export interface Commit extends Attempt, InQueue {
  readonly type: 'commit';
  readonly group: string;
  readonly offset: number;
  /** Of the member that commits; absent: nobody in particular. */
  readonly generation?: number;
}

/** A member of a group held a queue: from when it was told to when it let go of it. */
export interface Held extends Attempt, InQueue {
  readonly type: 'held';
  readonly group: string;
  /** The generation that it was told with. */
  readonly since: number;
}

/** The one way back for a committed offset. */
export interface Reset extends Attempt, InQueue {
  readonly type: 'reset';
  readonly group: string;
  readonly offset: number;
  /** The epoch it began. */
  readonly epoch?: number;
}

export interface Committed extends Attempt, InQueue {
  readonly type: 'committed';
  readonly node: number;
  readonly group: string;
  /** Absent: never committed. */
  readonly offset?: number;
  /** Raised by every reset; absent: 0. */
  readonly epoch?: number;
}

/** A topic that begins or ends during the run. */
export interface TopicChange extends Attempt {
  readonly type: 'topic';
  readonly action: 'create' | 'delete';
  readonly name: string;
  /** The id of this life of it, where it is known. */
  readonly topic?: string;
  /** How long it has to keep its messages; absent: longer than any run. */
  readonly retentionMs?: number;
}

/** A new kind of operation adds its line here. */
export interface OperationLines {
  produce: Produce;
  recall: Recall;
  prepare: Prepare;
  end: End;
  check: Check;
  open: Open;
  receive: Receive;
  settle: Settle;
  drained: Drained;
  read: Read;
  listed: Listed;
  final: Final;
  commit: Commit;
  held: Held;
  reset: Reset;
  committed: Committed;
  topic: TopicChange;
}
export type OperationLine = OperationLines[keyof OperationLines];

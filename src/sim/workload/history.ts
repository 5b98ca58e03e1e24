/** What clients asked for and were told, in the order in which it happened. */
import type { QueueId } from '../../broker/commands.ts';

/** Position in the order of all invocations and completions. */
export type Moment = number;

/**
 * ok = acknowledged; failed = definitely without effect; unknown = a reply was lost or left it
 * open, and the final state settles it; weak = acknowledged by less than a majority of disks, which
 * promises nothing.
 */
export type Outcome = 'ok' | 'failed' | 'unknown' | 'weak';

/** A batch of messages on its way into a queue. Names are unique in a run. */
export interface SentBatch {
  readonly kind: 'plain' | 'idempotent' | 'transaction' | 'delayed';
  readonly client: string;
  readonly queueId: QueueId;
  readonly batch: string;
  readonly count: number;
  readonly invokedAt: Moment;
  completedAt: Moment | undefined;
  outcome: Outcome;
  /** Told with `ok`; undefined: delayed. */
  baseOffset: number | undefined;
}

export interface QueueRead {
  readonly queueId: QueueId;
  readonly invokedAt: Moment;
  readonly completedAt: Moment;
  readonly startOffset: number;
  readonly endOffset: number;
}

/** Messages below were deleted. */
export interface QueueTrimmed {
  readonly queueId: QueueId;
  readonly startOffset: number;
  readonly completedAt: Moment;
}

/** Where a group is. Offsets rise within an epoch; a reset begins the next one. */
export interface Stand {
  readonly epoch: number;
  readonly offset: number;
}

export function isBefore(left: Stand, right: Stand): boolean {
  return left.epoch === right.epoch ? left.offset < right.offset : left.epoch < right.epoch;
}

/** By a commit or a reset. */
export interface OffsetCommit extends Stand {
  readonly group: string;
  readonly topicId: string;
  readonly queue: number;
  readonly completedAt: Moment;
}

export interface OffsetRead extends Stand {
  readonly group: string;
  readonly topicId: string;
  readonly queue: number;
  readonly invokedAt: Moment;
}

export class History {
  readonly batches: SentBatch[] = [];
  readonly reads: QueueRead[] = [];
  readonly trims: QueueTrimmed[] = [];
  readonly commits: OffsetCommit[] = [];
  readonly offsetReads: OffsetRead[] = [];
  #moment = 0;
  #names = 0;

  now(): Moment {
    return ++this.#moment;
  }

  name(prefix: string): string {
    return `${prefix}${++this.#names}`;
  }

  sends(batch: Pick<SentBatch, 'kind' | 'client' | 'queueId' | 'batch' | 'count'>): SentBatch {
    const rest = { completedAt: undefined, outcome: 'unknown', baseOffset: undefined } as const;
    const sent: SentBatch = { ...batch, invokedAt: this.now(), ...rest };
    this.batches.push(sent);
    return sent;
  }

  acked(sent: SentBatch, baseOffset: number | undefined): void {
    sent.outcome = 'ok';
    sent.baseOffset = baseOffset;
    sent.completedAt = this.now();
  }

  failed(sent: SentBatch): void {
    sent.outcome = 'failed';
    sent.completedAt = this.now();
  }
}

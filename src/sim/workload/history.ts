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
  readonly kind: 'plain' | 'idempotent' | 'transaction';
  readonly client: string;
  readonly queueId: QueueId;
  readonly batch: string;
  readonly count: number;
  readonly invokedAt: Moment;
  completedAt: Moment | undefined;
  outcome: Outcome;
  /** Told with `ok`. */
  baseOffset: number | undefined;
}

export interface QueueRead {
  readonly queueId: QueueId;
  readonly invokedAt: Moment;
  readonly completedAt: Moment;
  readonly endOffset: number;
}

export interface OffsetCommit {
  readonly group: string;
  readonly topicId: string;
  readonly queue: number;
  readonly offset: number;
  readonly completedAt: Moment;
}

export interface OffsetRead {
  readonly group: string;
  readonly topicId: string;
  readonly queue: number;
  readonly invokedAt: Moment;
  readonly offset: number;
}

export class History {
  readonly batches: SentBatch[] = [];
  readonly reads: QueueRead[] = [];
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

  acked(sent: SentBatch, baseOffset: number): void {
    sent.outcome = 'ok';
    sent.baseOffset = baseOffset;
    sent.completedAt = this.now();
  }

  failed(sent: SentBatch): void {
    sent.outcome = 'failed';
    sent.completedAt = this.now();
  }
}

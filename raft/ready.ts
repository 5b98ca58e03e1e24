/** What the core wants done: the only way anything leaves it. */
import type { CoreMessage, FreeMessage, Invite, PromisingMessage, Written } from './messages.ts';
import type { LogRecord } from './ports.ts';
import type { TransferOutcome } from './transfer.ts';
import type { HardState, LogIndex, MonotonicMs, ReplicaId, Term } from './types.ts';

/**
 * One hand-over to the store. It carries the messages that must wait for it, so that nothing that
 * promises durability can leave early. The driver hands it back as `written` and `durable`.
 */
export interface PendingWrite {
  readonly records: readonly LogRecord[];
  /** Somebody waits for page cache: ask the store for `onWritten`. */
  readonly wantsWritten: boolean;
  /** Bookkeeping of the core. A truncation lowers it: what it voids will not become durable. */
  lastIndex: LogIndex;
  readonly hardState: HardState | undefined;
  /** Damaged entries that it brings intact. */
  readonly repaired: readonly LogIndex[];
  readonly afterWritten: Written[];
  readonly afterDurable: PromisingMessage[];
  isWritten: boolean;
}

/** Entries that a follower needs and that only the store still has. */
export interface LoadRequest {
  readonly peer: ReplicaId;
  readonly term: Term;
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly maxBytes: number;
}

/** A read whose quorum round is done: safe to serve once applied >= index. */
export interface ConfirmedRead {
  readonly id: number;
  readonly index: LogIndex;
}

export interface Ready {
  readonly write: PendingWrite | undefined;
  /** To send at once; the promising ones among them have their write behind them. */
  readonly messages: readonly (CoreMessage | Invite)[];
  readonly loads: readonly LoadRequest[];
  readonly confirmedReads: readonly ConfirmedRead[];
  /** Reads that can no longer be confirmed: this replica stopped leading. */
  readonly failedReads: readonly number[];
  /** What became of `transferTo`. */
  readonly transferred: TransferOutcome | undefined;
  /** Committed through here: apply what is above the applied index. */
  readonly commit: LogIndex;
  readonly wakeAt: MonotonicMs;
}

/** Gathers effects while inputs are handled. Two doors: free messages, and promises. */
export class Outputs {
  #messages: (CoreMessage | Invite)[] = [];
  #afterWritten: Written[] = [];
  #afterDurable: PromisingMessage[] = [];
  #loads: LoadRequest[] = [];

  /** Leaves with the next Ready, whatever the disk does. */
  send(message: FreeMessage): void {
    this.#messages.push(message);
  }

  /** Leaves when everything handed to the store before it (this Ready included) is durable. */
  sendAfterDurable(message: PromisingMessage): void {
    const last = this.#afterDurable.at(-1);
    if (last !== undefined && covers(message, last)) this.#afterDurable.pop();
    this.#afterDurable.push(message);
  }

  /** What was acknowledged since the last Ready is void. */
  forgetAcks(): void {
    this.#afterWritten = [];
    this.#afterDurable = this.#afterDurable.filter(({ type }) => type !== 'appendReply');
  }

  sendAfterWritten(message: Written): void {
    this.#afterWritten.push(message);
  }

  /** The write behind these messages is done. */
  release(messages: readonly CoreMessage[]): void {
    for (const message of messages) this.#messages.push(message);
  }

  load(request: LoadRequest): void {
    this.#loads.push(request);
  }

  takeMessages(): (CoreMessage | Invite)[] {
    const taken = this.#messages;
    this.#messages = [];
    return taken;
  }

  takeAfterWritten(): Written[] {
    const taken = this.#afterWritten;
    this.#afterWritten = [];
    return taken;
  }

  takeAfterDurable(): PromisingMessage[] {
    const taken = this.#afterDurable;
    this.#afterDurable = [];
    return taken;
  }

  takeLoads(): LoadRequest[] {
    const taken = this.#loads;
    this.#loads = [];
    return taken;
  }
}

/** Acks are cumulative: of two in a row to the same leader the later one says everything. */
function covers(later: PromisingMessage, earlier: PromisingMessage): boolean {
  return (
    later.type === 'appendReply' &&
    earlier.type === 'appendReply' &&
    later.success &&
    earlier.success &&
    later.to === earlier.to &&
    later.term === earlier.term &&
    later.matchIndex >= earlier.matchIndex
  );
}

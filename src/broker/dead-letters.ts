/**
 * Dead letters: messages that had all their attempts and were not acknowledged. They stay, with
 * their bytes, until somebody sends them again or purges them.
 */
import type { LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { ByteWriter, FormatError, readVersioned } from './bytes.ts';
import type { QueueId, StoredAt } from './commands.ts';
import type { MessagePlace } from './delivery-commands.ts';
import type { HeldEntries } from './held-entries.ts';
import { deliveryKey, readDeliveryKey, readPlace, writePlace } from './pending-rows.ts';
import type { StateRow, StateWriter } from './state-port.ts';

/** How its last attempt ended. */
export type DeathCause = 'nacked' | 'expired';

export interface DeadLetterView extends MessagePlace {
  readonly group: string;
  readonly queueId: QueueId;
  readonly offset: number;
  readonly keyHash: number;
  readonly attempts: number;
  readonly cause: DeathCause;
  readonly diedAtMs: ShardTimeMs;
  /** Who held it last. */
  readonly consumer: string;
}

interface DeadLetter extends DeadLetterView {
  at: StoredAt;
}

const VERSION = 1;
/** On disk: never reorder. */
const CAUSES: readonly DeathCause[] = ['nacked', 'expired'];

/** Of all subscriptions of a shard, which are named by a text of group and queue. */
export class DeadLetters {
  readonly #bySubscription = new Map<string, Map<number, DeadLetter>>();
  readonly #held: HeldEntries;
  #count = 0;

  constructor(held: HeldEntries) {
    this.#held = held;
  }

  get count(): number {
    return this.#count;
  }

  countOf(group: string, queueId: QueueId): number {
    return this.#of(group, queueId)?.size ?? 0;
  }

  get(group: string, queueId: QueueId, offset: number): DeadLetterView | undefined {
    return this.#of(group, queueId)?.get(offset);
  }

  /** From `fromOffset` on, by offset. */
  list(group: string, queueId: QueueId, fromOffset: number, limit: number): DeadLetterView[] {
    const found = [...(this.#of(group, queueId)?.values() ?? [])];
    const wanted = found.filter(({ offset }) => offset >= fromOffset);
    return wanted.sort((a, b) => a.offset - b.offset).slice(0, limit);
  }

  /** One that died before, and again after a seek, is one dead letter: this one. */
  add(letter: DeadLetterView, out: StateWriter): void {
    this.#keep(letter);
    putDeadLetter(letter, out);
  }

  remove(group: string, queueId: QueueId, offset: number, out: StateWriter): void {
    const letters = this.#of(group, queueId)!;
    this.#forget(letters, letters.get(offset)!);
    if (letters.size === 0) this.#bySubscription.delete(textOf(group, queueId));
    out.put('dead-letter', deliveryKey(group, queueId, offset), undefined);
  }

  removeAll(group: string, queueId: QueueId, out: StateWriter): void {
    for (const offset of [...(this.#of(group, queueId)?.keys() ?? [])]) {
      this.remove(group, queueId, offset, out);
    }
  }

  /** The entry of `index` was written again elsewhere. */
  move(index: LogIndex, to: StoredAt, out: StateWriter): void {
    for (const letters of this.#bySubscription.values()) {
      for (const letter of letters.values()) {
        if (letter.at.index !== index) continue;
        this.#held.remove(index);
        letter.at = to;
        this.#held.add(letter);
        putDeadLetter(letter, out);
      }
    }
  }

  load(rows: readonly StateRow[]): void {
    for (const row of rows) this.#keep(readDeadLetter(row));
  }

  #of(group: string, queueId: QueueId): Map<number, DeadLetter> | undefined {
    return this.#bySubscription.get(textOf(group, queueId));
  }

  #keep(letter: DeadLetterView): void {
    const name = textOf(letter.group, letter.queueId);
    const letters = this.#bySubscription.get(name) ?? new Map<number, DeadLetter>();
    const before = letters.get(letter.offset);
    if (before !== undefined) this.#forget(letters, before);
    this.#bySubscription.set(name, letters);
    letters.set(letter.offset, letter);
    this.#held.add(letter);
    this.#count += 1;
  }

  #forget(letters: Map<number, DeadLetter>, { at, offset }: DeadLetter): void {
    letters.delete(offset);
    this.#held.remove(at.index);
    this.#count -= 1;
  }
}

function textOf(group: string, queueId: QueueId): string {
  return `${queueId}:${group}`;
}

function putDeadLetter(letter: DeadLetterView, out: StateWriter): void {
  const row = new ByteWriter(64).u8(VERSION).u8(CAUSES.indexOf(letter.cause));
  writePlace(letter, row);
  row.uint(letter.keyHash).uint(letter.attempts).uint(letter.diedAtMs).text(letter.consumer);
  const { group, queueId, offset } = letter;
  out.put('dead-letter', deliveryKey(group, queueId, offset), row.finish());
}

function readDeadLetter({ key, value }: StateRow): DeadLetter {
  const from = readVersioned(value, VERSION);
  const cause = CAUSES[from.u8()];
  if (cause === undefined) throw new FormatError('cause of death is not known here');
  const letter: DeadLetter = {
    ...readDeliveryKey(key),
    cause,
    ...readPlace(from),
    keyHash: from.uint(),
    attempts: from.uint(),
    diedAtMs: from.uint(),
    consumer: from.text(),
  };
  from.expectEnd();
  return letter;
}

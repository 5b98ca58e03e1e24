import type { Calls } from './calls.ts';
import { int, list, messageContent } from './convert.ts';
import type { Proto, WireObject } from './proto.ts';
import { ServiceCalls } from './service-calls.ts';
import type { CallOptions, Message } from './types.ts';

/** A message that a group could not digest. */
export interface DeadLetter {
  readonly messageId: string;
  readonly topic: string;
  readonly queue: number;
  readonly offset: number;
  readonly attempts: number;
  /** How the last attempt ended: NACKED or EXPIRED. */
  readonly cause: string;
  readonly diedAtMs: number;
  readonly storedAtMs: number;
  /** Who held it last. */
  readonly consumer: string;
}

export interface ReadDeadLetter extends DeadLetter {
  /** undefined: it could not be read now, and is not lost. */
  readonly message: Message | undefined;
}

/** Some by their message ids, or all of a topic, or all of the group. */
export type WhichDeadLetters =
  | { readonly messageIds: readonly string[] }
  | { readonly all: true; readonly topic?: string | undefined };

/** The dead letters of groups. */
export class DeadLetters {
  readonly #service: ServiceCalls;

  constructor(calls: Calls, proto: Proto) {
    this.#service = new ServiceCalls(calls, proto, 'Deliveries');
  }

  /** Without their messages. */
  async *list(group: string, topic = '', options?: CallOptions): AsyncGenerator<DeadLetter> {
    for await (const found of this.#pages('ListDeadLetters', group, topic, options)) {
      yield letterIn(found);
    }
  }

  /** With their messages. */
  async *read(group: string, topic = '', options?: CallOptions): AsyncGenerator<ReadDeadLetter> {
    for await (const found of this.#pages('ReadDeadLetters', group, topic, options)) {
      yield readIn(found);
    }
  }

  /** Gives them to the group again, with all attempts before them. Resolves with their number. */
  resend(group: string, which: WhichDeadLetters, options?: CallOptions): Promise<number> {
    return this.#settle('ResendDeadLetters', group, which, options);
  }

  /** For good. Resolves with their number. */
  purge(group: string, which: WhichDeadLetters, options?: CallOptions): Promise<number> {
    return this.#settle('PurgeDeadLetters', group, which, options);
  }

  async *#pages(
    name: string,
    group: string,
    topic: string,
    options: CallOptions | undefined,
  ): AsyncGenerator<WireObject> {
    for await (const page of this.#service.pages(name, { group, topic }, options)) {
      yield* list(page.dead_letters);
    }
  }

  async #settle(
    name: string,
    group: string,
    which: WhichDeadLetters,
    options: CallOptions | undefined,
  ): Promise<number> {
    const request =
      'messageIds' in which
        ? { group, message_ids: which.messageIds }
        : { group, all: true, topic: which.topic ?? '' };
    // Not repeated by itself: the count of a second one would be of what was left.
    const answer = await this.#service.call(name, request, 'once', options);
    return int(answer.count);
  }
}

function letterIn(from: WireObject): DeadLetter {
  return {
    messageId: String(from.message_id),
    topic: String(from.topic),
    queue: int(from.queue),
    offset: int(from.offset),
    attempts: int(from.attempts),
    cause: String(from.cause),
    diedAtMs: int(from.died_at_ms),
    storedAtMs: int(from.stored_at_ms),
    consumer: String(from.consumer),
  };
}

function readIn(from: WireObject): ReadDeadLetter {
  const letter = letterIn(from);
  const { messageId, topic, queue, offset, storedAtMs } = letter;
  const [found] = list(from.messages);
  const place = { messageId, topic, queue, offset, storedAtMs };
  const message = found === undefined ? undefined : { ...place, ...messageContent(found) };
  return { ...letter, message };
}

/** Log entries that pending messages and dead letters lie in, and how many of these each holds. */
import type { LogIndex } from '../../raft/types.ts';
import type { HeldBody } from './commands.ts';
import type { MessagePlace } from './delivery-commands.ts';

interface Held {
  readonly body: HeldBody;
  count: number;
}

export class HeldEntries {
  readonly #held = new Map<LogIndex, Held>();

  add({ at, firstIndex }: Pick<MessagePlace, 'at' | 'firstIndex'>): void {
    const known = this.#held.get(at.index);
    if (known !== undefined) known.count += 1;
    else {
      // The term of the first write is not kept: a copy of these is told by where they lie.
      const id = { term: at.term, index: firstIndex };
      this.#held.set(at.index, { body: { owner: 'delivery', id, at }, count: 1 });
    }
  }

  remove(index: LogIndex): void {
    const held = this.#held.get(index)!;
    held.count -= 1;
    if (held.count === 0) this.#held.delete(index);
  }

  at(index: LogIndex): HeldBody | undefined {
    return this.#held.get(index)?.body;
  }

  /** Walks all of them: asked once per trim. */
  lowest(): LogIndex | undefined {
    let lowest: LogIndex | undefined;
    for (const index of this.#held.keys()) {
      if (lowest === undefined || index < lowest) lowest = index;
    }
    return lowest;
  }

  /** The lowest first. */
  below(index: LogIndex, limit: number): HeldBody[] {
    const found: HeldBody[] = [];
    for (const { body } of this.#held.values()) if (body.at.index < index) found.push(body);
    return found.sort((a, b) => a.at.index - b.at.index).slice(0, limit);
  }
}

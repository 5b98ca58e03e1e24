/** Entries of one shard that were fetched again from a peer, and where they lie now. */
import type { LogIndex } from '../raft/types.ts';

export interface Place {
  readonly sequence: number;
  readonly position: number;
}

export class Repairs {
  private readonly places = new Map<LogIndex, Place>();

  set(index: LogIndex, at: Place): void {
    this.places.set(index, at);
  }

  at(index: LogIndex): Place | undefined {
    return this.places.get(index);
  }

  /** The lowest repaired index after `index`. Few are ever repaired: no order is kept. */
  after(index: LogIndex): LogIndex {
    let next = Number.POSITIVE_INFINITY;
    for (const each of this.places.keys()) if (each > index && each < next) next = each;
    return next;
  }

  forget(gone: (index: LogIndex) => boolean): void {
    for (const index of [...this.places.keys()]) if (gone(index)) this.places.delete(index);
  }

  within(sequence: number): (readonly [index: LogIndex, position: number])[] {
    return [...this.places]
      .filter(([, place]) => place.sequence === sequence)
      .map(([index, { position }]) => [index, position]);
  }
}

/** First come, first served, for those who may leave from any place and then leave nothing. */

/** False: its turn came before, or it has left. */
export type Leave = () => boolean;

class Place<Item> {
  readonly item: Item | undefined;
  before: Place<Item> = this;
  after: Place<Item> = this;

  constructor(item: Item | undefined) {
    this.item = item;
  }
}

export class WaitingLine<Item> {
  /** Before the first and after the last. */
  readonly #ends = new Place<Item>(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: Item): Leave {
    const place = new Place(item);
    place.before = this.#ends.before;
    place.after = this.#ends;
    place.before.after = place;
    this.#ends.before = place;
    this.#size++;
    return () => this.#remove(place);
  }

  peek(): Item | undefined {
    return this.#ends.after.item;
  }

  shift(): Item | undefined {
    const place = this.#ends.after;
    this.#remove(place);
    return place.item;
  }

  /** The place names no others afterwards, however long its way out is kept. */
  #remove(place: Place<Item>): boolean {
    if (place.after === place) return false;
    place.before.after = place.after;
    place.after.before = place.before;
    place.before = place;
    place.after = place;
    this.#size--;
    return true;
  }
}

/** Rows by key, in byte order for whoever asks for a range. Sorted only when somebody does. */
import { asBuffer } from '../../storage/keys.ts';

export type Row = readonly [key: Uint8Array, value: Uint8Array];

export class SortedRows {
  readonly #rows = new Map<string, Row>();
  /** Undefined = to be sorted again. */
  #order: string[] | undefined = [];

  get size(): number {
    return this.#rows.size;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(textOf(key))?.[1];
  }

  apply(batch: readonly (readonly [Uint8Array, Uint8Array | undefined])[]): void {
    for (const [key, value] of batch) {
      const text = textOf(key);
      if (value === undefined) {
        if (this.#rows.delete(text)) this.#order = undefined;
      } else {
        if (!this.#rows.has(text)) this.#order = undefined;
        this.#rows.set(text, [key, value]);
      }
    }
  }

  /** The row at this part (in [0, 1)) of all of them. */
  at(part: number): Row | undefined {
    const order = this.#sorted();
    const text = order[Math.floor(part * order.length)];
    return text === undefined ? undefined : this.#rows.get(text);
  }

  #sorted(): readonly string[] {
    this.#order ??= [...this.#rows.keys()].sort();
    return this.#order;
  }

  /** From `gte` on, before `lt`. */
  range(gte: Uint8Array, lt: Uint8Array, limit: number): Row[] {
    const order = this.#sorted();
    const before = textOf(lt);
    const found: Row[] = [];
    for (let at = firstAtOrAfter(order, textOf(gte)); at < order.length; at++) {
      const text = order[at]!;
      if (text >= before || found.length >= limit) break;
      found.push(this.#rows.get(text)!);
    }
    return found;
  }

  copy(): SortedRows {
    const copy = new SortedRows();
    for (const [text, row] of this.#rows) copy.#rows.set(text, row);
    copy.#order = this.#order;
    return copy;
  }
}

/** One character per byte: compares as the bytes do. */
function textOf(key: Uint8Array): string {
  return asBuffer(key).toString('latin1');
}

function firstAtOrAfter(order: readonly string[], text: string): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order[middle]! < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

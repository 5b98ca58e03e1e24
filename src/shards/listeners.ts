/** A set of listeners; adding one gives the function that removes it again. */
export class Listeners<Args extends readonly unknown[]> {
  readonly #all = new Set<(...args: Args) => void>();

  add(listener: (...args: Args) => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  call(...args: Args): void {
    for (const listener of this.#all) listener(...args);
  }
}

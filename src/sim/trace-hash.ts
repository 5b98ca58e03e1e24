/** FNV-1a over everything that happened: equal hashes mean equal runs. */
export class TraceHash {
  #hash = 0x811c9dc5;

  add(event: string): void {
    let hash = this.#hash;
    for (let at = 0; at < event.length; at++) {
      hash = Math.imul(hash ^ event.charCodeAt(at), 0x01000193);
    }
    this.#hash = hash >>> 0;
  }

  get value(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }
}

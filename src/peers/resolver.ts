import { lookup } from 'node:dns';
import { isIP } from 'node:net';

type OnAddress = (error: Error | undefined, address: string) => void;

/** Finds all literal addresses of a name; `node:dns` in production. */
export type Lookup = (
  name: string,
  onAddresses: (error: Error | null, addresses: readonly string[]) => void,
) => void;

const systemLookup: Lookup = (name, onAddresses) => {
  lookup(name, { all: true, verbatim: false }, (error, addresses) => {
    onAddresses(error, error === null ? addresses.map((each) => each.address) : []);
  });
};

/**
 * A peer's literal address. The look-up runs on the same thread pool as the disk, so its result is
 * kept; every failed connection moves on to the next address, and after the last one the name is
 * looked up again. An old result outlives a failed look-up.
 */
export class Resolver {
  readonly #lookup: Lookup;
  readonly #known = new Map<string, { addresses: readonly string[]; next: number }>();

  constructor(systemOrFake: Lookup = systemLookup) {
    this.#lookup = systemOrFake;
  }

  resolve(host: string, onAddress: OnAddress): void {
    if (isIP(host) !== 0) {
      onAddress(undefined, host);
      return;
    }
    const known = this.#known.get(host);
    const address = known?.addresses[known.next];
    if (address === undefined) this.#ask(host, onAddress);
    else onAddress(undefined, address);
  }

  /** A connection to the host's present address did not come about. */
  failed(host: string): void {
    const known = this.#known.get(host);
    if (known !== undefined) known.next += 1;
  }

  #ask(host: string, onAddress: OnAddress): void {
    this.#lookup(host, (error, addresses) => {
      const found = addresses.length > 0 ? addresses : this.#known.get(host)?.addresses;
      const first = found?.[0];
      if (found === undefined || first === undefined) {
        onAddress(error ?? new Error(`no address for ${host}`), '');
        return;
      }
      this.#known.set(host, { addresses: found, next: 0 });
      onAddress(undefined, first);
    });
  }
}

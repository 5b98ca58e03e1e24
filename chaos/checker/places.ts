/** Which value stood at which offset of which queue, by all acknowledgements and all reads. */
import type { Facts } from './facts.ts';
import { listOf, partAckOf } from './facts.ts';

export interface Place {
  readonly log: string;
  readonly offset: number;
  readonly value: string;
  /** The first line that says so. */
  readonly line: number;
}

/** More places of one value, or values of one place, show nothing new. */
const KEPT_MAX = 16;

export class Places {
  readonly #ofValue = new Map<string, Place[]>();
  readonly #atOffset = new Map<string, Map<number, Place[]>>();
  readonly #shown = new Map<string, Place>();
  readonly #highest = new Map<string, Place>();

  constructor(facts: Facts) {
    for (const place of acknowledged(facts)) this.#add(place);
    for (const { place } of facts.seen()) {
      this.#add(place);
      if (!this.#shown.has(place.value)) this.#shown.set(place.value, place);
      const highest = this.#highest.get(place.log);
      if (highest === undefined || place.offset > highest.offset) {
        this.#highest.set(place.log, place);
      }
    }
  }

  /** Where a value was acknowledged or shown, each place once. */
  of(value: string): readonly Place[] {
    return this.#ofValue.get(value) ?? [];
  }

  /** The lowest place of a value in its queue: where it was stored first. */
  first(log: string, value: string): Place | undefined {
    return this.of(value).reduce<Place | undefined>(
      (first, place) =>
        place.log === log && (first === undefined || place.offset < first.offset) ? place : first,
      undefined,
    );
  }

  values(): IterableIterator<[string, readonly Place[]]> {
    return this.#ofValue.entries();
  }

  /** Per offset one place for each value that it ever held. */
  *held(): Generator<readonly Place[]> {
    for (const offsets of this.#atOffset.values()) yield* offsets.values();
  }

  isShown(value: string): boolean {
    return this.#shown.has(value);
  }

  /** The first read that showed it. */
  shown(value: string): Place | undefined {
    return this.#shown.get(value);
  }

  /** The highest offset that any read showed. */
  highest(log: string): Place | undefined {
    return this.#highest.get(log);
  }

  #add(place: Place): void {
    const places = listOf(this.#ofValue, place.value);
    const isKnown = places.some(({ log, offset }) => log === place.log && offset === place.offset);
    if (!isKnown && places.length < KEPT_MAX) places.push(place);
    let offsets = this.#atOffset.get(place.log);
    if (offsets === undefined) {
      offsets = new Map();
      this.#atOffset.set(place.log, offsets);
    }
    const held = listOf(offsets, place.offset);
    const isHeld = held.some(({ value }) => value === place.value);
    if (!isHeld && held.length < KEPT_MAX) held.push(place);
  }
}

function* acknowledged(facts: Facts): Generator<Place> {
  for (const { log, values, attempts } of facts.sends) {
    for (const { outcome, baseOffset, line } of attempts) {
      if (outcome === 'ok' && baseOffset !== undefined) yield* run(log, baseOffset, values, line);
    }
  }
  for (const part of facts.parts) {
    const ack = partAckOf(part);
    if (ack !== undefined) yield* run(part.log, ack.baseOffset, part.values, ack.end.line);
  }
}

function* run(
  log: string,
  base: number,
  values: readonly string[],
  line: number,
): Generator<Place> {
  for (const [i, value] of values.entries()) yield { log, offset: base + i, value, line };
}

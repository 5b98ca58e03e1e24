/**
 * Where the bodies of batches lie that no queue shows yet: in the entry that first held them, or in
 * the one that the last `copy` brought them to (internals rule 7).
 */
import type { Entry, LogIndex } from '../../raft/types.ts';
import { type BatchId, type BodyOwner, type HeldBody, isAt, type StoredAt } from './commands.ts';

export interface PlacedBody {
  readonly id: BatchId;
  at: StoredAt;
}

export class BodyPlaces<Body extends PlacedBody> {
  readonly #owner: BodyOwner;
  /** By the index of the entry that holds the body, ascending: new and copied ones come last. */
  readonly #bodies = new Map<LogIndex, Body>();
  /** By the index of the entry that first held it. */
  readonly #byId = new Map<LogIndex, Body>();

  constructor(owner: BodyOwner) {
    this.#owner = owner;
  }

  add(body: Body): void {
    this.#bodies.set(body.at.index, body);
    this.#byId.set(body.id.index, body);
  }

  remove({ id, at }: PlacedBody): void {
    this.#bodies.delete(at.index);
    this.#byId.delete(id.index);
  }

  find(id: BatchId): StoredAt | undefined {
    const body = this.#byId.get(id.index);
    return body !== undefined && isAt(body.id, id) ? body.at : undefined;
  }

  /** What lies in `entry`, too, lies only there from now on. undefined = it is not at `from`. */
  move(id: BatchId, from: StoredAt, { term, index }: Entry): Body | undefined {
    const body = this.#bodies.get(from.index);
    if (body === undefined || !isAt(body.id, id) || !isAt(body.at, from)) return undefined;
    this.#bodies.delete(from.index);
    body.at = { term, index };
    this.#bodies.set(index, body);
    return body;
  }

  lowestIndex(): LogIndex | undefined {
    for (const index of this.#bodies.keys()) return index;
    return undefined;
  }

  /** What lies below `index`, the lowest first. */
  below(index: LogIndex, limit: number): HeldBody[] {
    const found: HeldBody[] = [];
    for (const { id, at } of this.#bodies.values()) {
      if (at.index >= index || found.length === limit) break;
      found.push({ owner: this.#owner, id, at });
    }
    return found;
  }

  /** At first. */
  load(bodies: Iterable<Body>): void {
    for (const body of [...bodies].sort((a, b) => a.at.index - b.at.index)) this.add(body);
  }
}

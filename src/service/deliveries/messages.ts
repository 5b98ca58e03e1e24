/** Single messages out of stored batches: read for delivery, trimmed to their own bytes. */
import type { MessagePlace } from '../../broker/delivery-commands.ts';
import type { MessageFilter } from '../../filter/filter.ts';
import type { FetchOutcome, ShardHost } from '../../shards/api.ts';
import { sliceMessages } from '../../shards/message-slice.ts';
import { CallError, toCallError } from '../../status.ts';
import { gatherCallbacks } from '../callbacks.ts';

/** A message with its place. */
export interface ReadMessage<Place extends MessagePlace> {
  readonly place: Place;
  /** The encoded field `messages`, tag included. */
  readonly bytes: Uint8Array;
}

export interface FreshRead extends MessagePlace {
  readonly offset: number;
}

export interface FreshMessages {
  readonly read: readonly ReadMessage<FreshRead>[];
  /** Past those, and past what the filter left out. */
  readonly nextOffset: number;
}

/** Undefined where it cannot be read now: damage is mended from other replicas. */
export function readPlaced<Place extends MessagePlace>(
  host: ShardHost,
  shard: number,
  places: readonly Place[],
  done: (read: readonly (ReadMessage<Place> | undefined)[]) => void,
): void {
  gatherCallbacks<Place, ReadMessage<Place> | undefined>(
    places,
    (place, answer) => {
      host.readEntry(shard, place.at.index, (error, entry) => {
        const isIntact = error === undefined && entry?.term === place.at.term;
        if (!isIntact) answer(undefined, undefined);
        else answer(undefined, { place, bytes: oneMessage(entry.payload, place.position) });
      });
    },
    (_error, read) => done(read),
  );
}

/** Messages that stand in the queue from `offset` on. */
export function readFresh(
  host: ShardHost,
  from: {
    readonly shard: number;
    readonly queueId: number;
    readonly offset: number;
    readonly count: number;
    readonly maxBytes: number;
    readonly filter?: MessageFilter | undefined;
  },
  done: (error: CallError | undefined, found: FreshMessages) => void,
): void {
  const { shard, queueId, offset, count, maxBytes, filter } = from;
  const wanted = { shard, queueId, offset, maxBytes, maxMessages: count, filter };
  const nothing = { read: [], nextOffset: offset };
  host.fetch({ ...wanted, waitMs: 0, linearizable: false }, (outcome) => {
    if (outcome.status === 'damaged') {
      done(new CallError('DATA_DAMAGED', outcome.message), nothing);
      return;
    }
    try {
      const { nextOffset } = outcome.status === 'ok' ? outcome : nothing;
      done(undefined, { read: messagesOf(outcome), nextOffset });
    } catch (error) {
      done(toCallError(error), nothing);
    }
  });
}

function messagesOf(outcome: FetchOutcome): ReadMessage<FreshRead>[] {
  if (outcome.status !== 'ok') return [];
  const found: ReadMessage<FreshRead>[] = [];
  for (const batch of outcome.batches) {
    const { baseOffset, count, firstIndex, firstPosition, messages, row } = batch;
    const at = { term: row.term, index: row.index };
    let rest = messages;
    for (let i = 0; i < count; i += 1) {
      const bytes = oneMessage(rest, 0);
      rest = rest.subarray(bytes.length);
      const place = { at, firstIndex, storedAtMs: row.storedAtMs };
      found.push({
        place: { ...place, position: firstPosition + i, offset: baseOffset + i },
        bytes,
      });
    }
  }
  return found;
}

function oneMessage(batch: Uint8Array, position: number): Uint8Array {
  return sliceMessages(batch, position, 0, 1, true).bytes;
}

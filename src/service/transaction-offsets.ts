/** TransactionOffsets of a PrepareRequest, read from the raw bytes. */
import { checkedNumber, MAX_INT32 } from '../convert.ts';
import { CallError } from '../status.ts';
import { WireReader, WireType } from './wire.ts';

/** -1 = not given. */
export class OffsetsHead {
  group = '';
  topic = '';
  topicId = '';
  generation = 0;
  memberId = '';
  readonly offsets: MovedHead[] = [];
}

export class MovedHead {
  queue = 0;
  from = -1;
  offset = 0;
}

export function readOffsetsHead(bytes: Uint8Array): OffsetsHead {
  const reader = new WireReader(bytes);
  const head = new OffsetsHead();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8 + WireType.bytes) head.group = reader.text();
    else if (tag === 2 * 8 + WireType.bytes) head.topic = reader.text();
    else if (tag === 3 * 8 + WireType.bytes) head.topicId = reader.text();
    else if (tag === 4 * 8 + WireType.bytes) head.offsets.push(readMoved(reader.slice()));
    else if (tag === 5 * 8) head.generation = checkedNumber('generation', reader.varint());
    else if (tag === 6 * 8 + WireType.bytes) head.memberId = reader.text();
    else step(reader, tag, 6);
  }
  return head;
}

function readMoved(bytes: Uint8Array): MovedHead {
  const reader = new WireReader(bytes);
  const moved = new MovedHead();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === 1 * 8) moved.queue = checkedNumber('queue', reader.varint(), MAX_INT32);
    else if (tag === 2 * 8) moved.from = checkedNumber('from', reader.varint());
    else if (tag === 3 * 8) moved.offset = checkedNumber('offset', reader.varint());
    else step(reader, tag, 3);
  }
  if (moved.offset > moved.from) return moved;
  throw new CallError(
    'INVALID_REQUEST',
    `queue ${moved.queue}: offset ${moved.offset} is not above from ${moved.from}: leave out ` +
      'what the transaction does not move',
  );
}

/** Newer fields are stepped over; one of ours with the wrong wire type is not. */
function step(reader: WireReader, tag: number, lastField: number): void {
  if (tag >> 3 > lastField) reader.skip(tag & 7);
  else throw new CallError('MALFORMED_REQUEST', `malformed request: field ${tag >> 3} of offsets`);
}

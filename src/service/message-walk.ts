/**
 * One walk over encoded messages: counts and bounds them, and makes sure that every reader's stub
 * will be able to decode what is stored. Builds nothing, copies nothing.
 */
import { CallError } from '../status.ts';
import { isText, type WireReader, WireType } from './wire.ts';

export const MESSAGES_FIELD = 1000;
/** Tag of `repeated Message messages = 1000`, a length-delimited field. */
export const MESSAGES_TAG = MESSAGES_FIELD * 8 + WireType.bytes;
export const MESSAGES_TAG_BYTES = 2;

const KEY = 1;
const TAG = 2;
const PROPERTIES = 3;
const BODY = 4;
const BORN_AT = 5;

export interface MessageLimits {
  readonly maxMessageBytes: number;
  readonly maxMessagesPerRequest: number;
}

/** Steps over one message whose tag was just read. */
export function walkMessage(reader: WireReader, position: number, limits: MessageLimits): void {
  const length = reader.length();
  if (length > limits.maxMessageBytes) {
    throw new CallError(
      'MESSAGE_TOO_LARGE',
      `message ${position} has ${length} encoded bytes: at most ${limits.maxMessageBytes} ` +
        '(maxMessageBytes) are allowed. Split it, or store it elsewhere and send a link',
    );
  }
  const outerEnd = reader.end;
  reader.end = reader.position + length;
  while (reader.position < reader.end) walkField(reader);
  reader.end = outerEnd;
}

function walkField(reader: WireReader): void {
  const tag = reader.varint();
  const field = Math.floor(tag / 8);
  const wireType = tag & 7;
  if (tag < 8 || field > 0x1fff_ffff) throw malformed(`field number ${field}`);
  if (field <= BORN_AT) {
    const expected = field === BORN_AT ? WireType.varint : WireType.bytes;
    if (wireType !== expected) throw malformed(`field ${field} of a message has the wrong type`);
    if (field === KEY || field === TAG) {
      walkText(reader);
      return;
    }
    if (field === PROPERTIES) {
      walkProperty(reader);
      return;
    }
    if (field === BODY) {
      reader.advance(reader.length());
      return;
    }
  }
  reader.skip(wireType);
}

function walkText(reader: WireReader): void {
  const length = reader.length();
  const start = reader.position;
  reader.position += length;
  if (!isText(reader.bytes, start, reader.position)) {
    throw malformed('a key, tag or property of a message is not UTF-8');
  }
}

/** A map entry: key = 1, value = 2, both text. */
function walkProperty(reader: WireReader): void {
  const length = reader.length();
  const outerEnd = reader.end;
  reader.end = reader.position + length;
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === KEY * 8 + WireType.bytes || tag === TAG * 8 + WireType.bytes) walkText(reader);
    else if (tag < 8) throw malformed('field number 0');
    else reader.skip(tag & 7);
  }
  reader.end = outerEnd;
}

const malformed = (what: string): CallError =>
  new CallError('MALFORMED_REQUEST', `malformed request: ${what}`);

/**
 * The one gateway for values from outside: numbers, names, ids. Behind it, a number is a safe
 * integer and a name is a name (api.md section 1).
 */
import { CallError } from './status.ts';

export const MAX_INT32 = 0x7fff_ffff;
const NAME = /^[A-Za-z0-9_.-]{1,127}$/;
const DECIMAL = /^-?[0-9]{1,20}$/;

/** A number that a reader of the wire format gave: refused when negative or above `max`. */
export function checkedNumber(
  field: string,
  value: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (value >= 0 && value <= max) return value;
  const shown = Number.isSafeInteger(value) ? String(value) : `about ${value.toPrecision(6)}`;
  throw new CallError(
    'NUMBER_OUT_OF_RANGE',
    `${field} is ${shown}: it must lie between 0 and ${max}`,
  );
}

/** An int64 as a decoder delivers it (text or number), converted once. */
export function int64(field: string, value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value === 'number') return checkedNumber(field, value);
  if (typeof value !== 'string' || !DECIMAL.test(value)) {
    throw new CallError('MALFORMED_REQUEST', `${field} is not a whole number`);
  }
  const exact = BigInt(value);
  if (exact < 0n || exact > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CallError(
      'NUMBER_OUT_OF_RANGE',
      `${field} is ${value}: it must lie between 0 and ${Number.MAX_SAFE_INTEGER}`,
    );
  }
  return Number(exact);
}

/** Topics and groups. `.` and `..` are kept free because names become path parts. */
export function isName(text: string): boolean {
  return NAME.test(text) && text !== '.' && text !== '..';
}

export function checkedName(field: string, text: string): string {
  if (isName(text)) return text;
  const shown = JSON.stringify(text.length > 140 ? `${text.slice(0, 140)}…` : text);
  throw new CallError(
    'INVALID_NAME',
    `${field} ${shown} is not a name: 1 to 127 of the characters A-Z a-z 0-9 _ . -, ` +
      'and neither . nor ..',
  );
}

/** Lists by name go on after the last name of the page before. */
export function pageTokenAfter(name: string): string {
  return Buffer.from(name).toString('base64url');
}

/** '' = from the beginning. */
export function nameBeforePage(token: string): string {
  const name = Buffer.from(token, 'base64url').toString('utf8');
  if (token === '' || isName(name)) return name;
  throw new CallError('INVALID_REQUEST', 'page_token is not one that an earlier page gave');
}

/** Producer ids, producer groups, transaction ids: free text, but short. */
export function checkedId(field: string, text: string, maxBytes = 64): string {
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxBytes) return text;
  throw new CallError(
    'INVALID_NAME',
    `${field} has ${bytes} bytes: at most ${maxBytes} are allowed`,
  );
}

export function messageIdText(shard: number, index: number, position: number): string {
  return `${shard}-${index}-${position}`;
}

const MESSAGE_ID = /^([0-9]{1,9})-([0-9]{1,15})-([0-9]{1,9})$/;

export function parseMessageId(
  field: string,
  text: string,
): { readonly shard: number; readonly index: number; readonly position: number } {
  const match = MESSAGE_ID.exec(text);
  if (match === null) {
    throw new CallError(
      'INVALID_REQUEST',
      `${field} ${JSON.stringify(text.slice(0, 64))} is not a message id: shard-index-position, ` +
        'as the answer to Produce gives it',
    );
  }
  return { shard: Number(match[1]), index: Number(match[2]), position: Number(match[3]) };
}

export interface TransactionName {
  readonly shard: number;
  readonly term: number;
  readonly index: number;
}

export function transactionIdText(name: TransactionName): string {
  return `hf.${name.shard}.${name.term}.${name.index}`;
}

const TRANSACTION_ID = /^hf\.([0-9]{1,9})\.([0-9]{1,15})\.([0-9]{1,15})$/;

/** undefined = not one of ours (a caller's own id). */
export function parseTransactionId(text: string): TransactionName | undefined {
  const match = TRANSACTION_ID.exec(text);
  if (match === null) return undefined;
  return { shard: Number(match[1]), term: Number(match[2]), index: Number(match[3]) };
}

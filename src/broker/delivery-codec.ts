/**
 * Commands of per-message consumption as heads of log entries (grammar as in command-codec.ts):
 *
 *   lease            = group queueId fifo (fromOffset + 1 | 0) consumer leaseMs [offset]*
 *                      freshOffset [term index index-firstIndex position storedAtMs keyHash]*
 *                      version 2: and filterType expression [passed]*
 *   settle           = group queueId [offset token (0 ack | 1 nack | 2 delayMs | 3 extendMs
 *                      | 4 release)]*
 *   expire           = [group queueId offset]*
 *   seekSubscription = group queueId offset
 *   settleDead       = group queueId (0 resend | 1 purge) [offset]*
 *   unsubscribe      = group queueId
 */
import { type ByteReader, type ByteWriter, FormatError } from './bytes.ts';
import { readChoice, readList } from './command-fields.ts';
import type {
  DeliveryCommand,
  DeliveryName,
  FreshMessage,
  Selection,
  SettleItem,
  Verdict,
} from './delivery-commands.ts';
import { readPlace, writePlace } from './pending-rows.ts';

type CommandOf<Type extends DeliveryCommand['type']> = Extract<DeliveryCommand, { type: Type }>;

/** On disk: never renumber, never reuse. */
export const DELIVERY_KIND = {
  lease: 30,
  settle: 31,
  expire: 32,
  seekSubscription: 33,
  settleDead: 34,
  unsubscribe: 35,
} as const satisfies Record<DeliveryCommand['type'], number>;

const VERSION = 1;
/** Of a lease for a group with a filter. */
const SELECTION_VERSION = 2;

const FIRST_KIND = 30;
const LAST_KIND = 39;
/** On disk: never renumber. */
const ACK = 0;
const NACK = 1;
const NACK_DELAYED = 2;
const EXTEND = 3;
const RELEASE = 4;
const ACTIONS = ['resend', 'purge'] as const;

export function isDeliveryKind(kind: number): boolean {
  return kind >= FIRST_KIND && kind <= LAST_KIND;
}

export function isDeliveryCommand(command: { readonly type: string }): command is DeliveryCommand {
  return Object.hasOwn(DELIVERY_KIND, command.type);
}

export function deliveryVersion(command: DeliveryCommand): number {
  const isSelective = command.type === 'lease' && command.selection !== undefined;
  return isSelective ? SELECTION_VERSION : VERSION;
}

export function newestDeliveryVersion(kind: number): number {
  return kind === DELIVERY_KIND.lease ? SELECTION_VERSION : VERSION;
}

export function encodeDelivery(command: DeliveryCommand, out: ByteWriter): Uint8Array {
  if (command.type === 'expire') return encodeExpire(command.deliveries, out);
  out.text(command.group).uint(command.queueId);
  switch (command.type) {
    case 'lease':
      return encodeLease(command, out);
    case 'settle':
      out.uint(command.items.length);
      for (const item of command.items) writeItem(item, out);
      return out.finish();
    case 'seekSubscription':
      return out.uint(command.offset).finish();
    case 'settleDead':
      return writeOffsets(command.offsets, out.u8(ACTIONS.indexOf(command.action))).finish();
    case 'unsubscribe':
      return out.finish();
  }
}

export function decodeDelivery(kind: number, version: number, from: ByteReader): DeliveryCommand {
  if (kind === DELIVERY_KIND.expire) {
    return { type: 'expire', deliveries: readList(from, readName) };
  }
  const name = { group: from.text(), queueId: from.uint() };
  switch (kind) {
    case DELIVERY_KIND.lease:
      return { type: 'lease', ...name, ...readLease(from), ...readSelection(version, from) };
    case DELIVERY_KIND.settle:
      return { type: 'settle', ...name, items: readList(from, readItem) };
    case DELIVERY_KIND.seekSubscription:
      return { type: 'seekSubscription', ...name, offset: from.uint() };
    case DELIVERY_KIND.settleDead: {
      const action = ACTIONS[readChoice(from, ACTIONS.length)]!;
      return { type: 'settleDead', ...name, action, offsets: readList(from, readUint) };
    }
    case DELIVERY_KIND.unsubscribe:
      return { type: 'unsubscribe', ...name };
    default:
      throw new FormatError(`command kind ${kind} is not known here`);
  }
}

function encodeLease(command: CommandOf<'lease'>, out: ByteWriter): Uint8Array {
  const { fromOffset } = command;
  out.u8(command.fifo ? 1 : 0).uint(fromOffset === undefined ? 0 : fromOffset + 1);
  out.text(command.consumer).uint(command.leaseMs);
  writeOffsets(command.again, out);
  out.uint(command.freshOffset).uint(command.fresh.length);
  for (const message of command.fresh) {
    writePlace(message, out);
    out.uint(message.keyHash);
  }
  if (command.selection === undefined) return out.finish();
  const { filter, passed } = command.selection;
  return writeOffsets(passed, out.uint(filter.type).text(filter.expression)).finish();
}

function readLease(from: ByteReader): Omit<CommandOf<'lease'>, 'type' | 'group' | 'queueId'> {
  const fifo = readChoice(from, 2) === 1;
  const begin = from.uint();
  return {
    fifo,
    fromOffset: begin === 0 ? undefined : begin - 1,
    consumer: from.text(),
    leaseMs: from.uint(),
    again: readList(from, readUint),
    freshOffset: from.uint(),
    fresh: readList(from, readFresh),
  };
}

function readSelection(version: number, from: ByteReader): { selection?: Selection } {
  if (version < SELECTION_VERSION) return {};
  const filter = { type: from.uint(), expression: from.text() };
  return { selection: { filter, passed: readList(from, readUint) } };
}

function readFresh(from: ByteReader): FreshMessage {
  return { ...readPlace(from), keyHash: from.uint() };
}

function writeItem({ offset, token, verdict }: SettleItem, out: ByteWriter): void {
  out.uint(offset).uint(token);
  if (verdict.type === 'ack') out.u8(ACK);
  else if (verdict.type === 'release') out.u8(RELEASE);
  else if (verdict.type === 'extend') out.u8(EXTEND).uint(verdict.extendMs);
  else if (verdict.delayMs === undefined) out.u8(NACK);
  else out.u8(NACK_DELAYED).uint(verdict.delayMs);
}

function readItem(from: ByteReader): SettleItem {
  return { offset: from.uint(), token: from.uint(), verdict: readVerdict(from) };
}

function readVerdict(from: ByteReader): Verdict {
  switch (readChoice(from, RELEASE + 1)) {
    case ACK:
      return { type: 'ack' };
    case NACK:
      return { type: 'nack', delayMs: undefined };
    case NACK_DELAYED:
      return { type: 'nack', delayMs: from.uint() };
    case EXTEND:
      return { type: 'extend', extendMs: from.uint() };
    default:
      return { type: 'release' };
  }
}

function encodeExpire(deliveries: readonly DeliveryName[], out: ByteWriter): Uint8Array {
  out.uint(deliveries.length);
  for (const { group, queueId, offset } of deliveries) out.text(group).uint(queueId).uint(offset);
  return out.finish();
}

function readName(from: ByteReader): DeliveryName {
  return { group: from.text(), queueId: from.uint(), offset: from.uint() };
}

function writeOffsets(offsets: readonly number[], out: ByteWriter): ByteWriter {
  out.uint(offsets.length);
  for (const offset of offsets) out.uint(offset);
  return out;
}

function readUint(from: ByteReader): number {
  return from.uint();
}

/** Deliveries, encoded by hand around untouched messages. */
import { messageIdText } from '../../convert.ts';
import { bytesFieldSize, WireWriter } from '../wire.ts';
import { tokenText } from './requests.ts';

/** Upper bound of all fields of a Delivery but its message. */
export const DELIVERY_HEAD_BYTES = 192;

export interface DeliveryFields {
  readonly shard: number;
  readonly firstIndex: number;
  readonly position: number;
  readonly queueId: number;
  readonly queue: number;
  readonly offset: number;
  readonly attempt: number;
  readonly token: number;
  readonly leaseUntilMs: number;
  readonly storedAtMs: number;
  /** The encoded field `messages`. */
  readonly message: Uint8Array;
}

export function encodeDelivery(fields: DeliveryFields): Buffer {
  const writer = new WireWriter(DELIVERY_HEAD_BYTES + fields.message.length);
  writer.ascii(1, messageIdText(fields.shard, fields.firstIndex, fields.position));
  writer.number(2, fields.queue);
  writer.number(3, fields.offset);
  writer.number(4, fields.attempt);
  writer.ascii(5, tokenText(fields.queueId, fields.offset, fields.token));
  writer.number(6, fields.leaseUntilMs);
  writer.number(7, fields.storedAtMs);
  writer.number(8, fields.token);
  writer.raw(fields.message);
  return writer.done();
}

/** ReceiveResponse of encoded deliveries. */
export function encodeDeliveries(deliveries: readonly Uint8Array[]): Buffer {
  let total = 0;
  for (const { length } of deliveries) total += bytesFieldSize(1, length);
  const writer = new WireWriter(total);
  for (const delivery of deliveries) {
    writer.message(1, delivery.length);
    writer.raw(delivery);
  }
  return writer.done();
}

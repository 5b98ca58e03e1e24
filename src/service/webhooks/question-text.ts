/** A check as the JSON that a webhook is sent. */
import { isUtf8 } from 'node:buffer';

/** As the proto's decoder gives it: numbers of 64 bits as text. */
export interface DecodedCheck {
  readonly transaction_id: string;
  readonly caller_transaction_id: string;
  readonly check_count: number;
  readonly prepared_at_ms: string;
  readonly parts: readonly {
    readonly topic: string;
    readonly queue: number;
    readonly first_message_id: string;
    readonly count: number;
    readonly messages: readonly {
      readonly key: string;
      readonly tag: string;
      readonly properties: Readonly<Record<string, string>>;
      readonly body: Buffer;
      readonly born_at_ms: string;
    }[];
  }[];
}

/** docs/operations.md shows it. */
export function questionText(producerGroup: string, check: DecodedCheck): string {
  const { parts } = check;
  return JSON.stringify({
    transaction_id: check.transaction_id,
    caller_transaction_id: check.caller_transaction_id,
    producer_group: producerGroup,
    check_count: check.check_count,
    prepared_at_ms: Number(check.prepared_at_ms),
    parts: parts.map(({ topic, queue, first_message_id: id, count, messages }) => ({
      ...{ topic, queue, first_message_id: id, count },
      messages: messages.map(({ key, tag, properties, body, born_at_ms: bornAtMs }) => ({
        ...{ key, tag, properties },
        ...(isUtf8(body)
          ? { body: body.toString('utf8') }
          : { body_base64: body.toString('base64') }),
        born_at_ms: Number(bornAtMs),
      })),
    })),
  });
}

/** How messages are printed: their bodies as lines, or JSON lines that scripts rely on. */
import { isUtf8 } from 'node:buffer';
import type { Message } from '../client/index.ts';

const NEWLINE = Buffer.from('\n');

export function rawLine({ body }: Pick<Message, 'body'>): Buffer[] {
  return [body, NEWLINE];
}

export function jsonLine(value: object): Buffer[] {
  return [Buffer.from(`${JSON.stringify(value)}\n`)];
}

export function messageJson(message: Message) {
  const { queue, offset, key, tag, body, properties, messageId } = message;
  const content = isUtf8(body)
    ? { body: body.toString('utf8') }
    : { body_base64: body.toString('base64') };
  return {
    queue,
    offset,
    key,
    tag,
    ...content,
    properties,
    message_id: messageId,
    stored_at_ms: message.storedAtMs,
    born_at_ms: message.bornAtMs,
  };
}

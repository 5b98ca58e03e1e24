/** Messages as producers send them: the encoded field `messages`. */
import { Proto } from '../../../src/service/proto.ts';

export interface Fields {
  readonly key?: string;
  readonly tag?: string;
  readonly properties?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

const { requestSerialize } = new Proto().method('/holdfast.v1.Log/Produce');

export function encoded(...messages: readonly Fields[]): Buffer {
  return requestSerialize({ messages });
}

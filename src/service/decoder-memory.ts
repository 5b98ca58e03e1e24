/**
 * grpc-js (1.14.7) keeps the bytes of a stream's last message until its next one begins: a client
 * with a stream per queue that sends 1 MiB on each leaves 1 MiB per queue in this process for as
 * long as the streams stand. Here they are let go as soon as the message is handed over.
 */
import { StreamDecoder } from '@grpc/grpc-js/build/src/stream-decoder.js';

/** The fields of the decoder that hold bytes. A test looks whether they are still named so. */
interface DecoderFields {
  readState: number;
  readPartialMessage: Buffer[];
  readCompressFlag: Buffer;
}

/** grpc-js: between two messages. */
const NO_DATA = 0;
const NO_BYTES = Buffer.alloc(0);

const repaired = new WeakSet<object>();

/** For all streams of the process; a second call does nothing. */
export function letGoOfReadMessages(): void {
  const { prototype } = StreamDecoder;
  if (repaired.has(prototype)) return;
  repaired.add(prototype);
  const write = prototype.write;
  prototype.write = function (this: StreamDecoder, data: Buffer): Buffer[] {
    const messages = write.call(this, data);
    const fields = this as unknown as DecoderFields;
    if (fields.readState === NO_DATA) {
      fields.readPartialMessage = [];
      fields.readCompressFlag = NO_BYTES;
    }
    return messages;
  };
}

/**
 * The ceiling: gRPC in, append and fdatasync on a leader and two followers over TCP, ack at a
 * majority. The same libraries and the same calls as Holdfast, without Raft, state, checks, or
 * recovery. It speaks just enough of `holdfast.v1` that the very same clients drive both.
 */
import * as grpc from '@grpc/grpc-js';
import { AppendFile } from './append-file.ts';
import { Replication } from './replication.ts';
import { StoredBatches } from './stored-batches.ts';
import { bytesField, fieldsOf, numberField, textField } from './wire.ts';

const MAX_BYTES = 64 * 1024 * 1024;
const MAJORITY = 2;
const TOPIC = Buffer.concat([
  textField(1, 'bench'),
  textField(2, '1'),
  Buffer.from([...numberField(3, 1), ...numberField(4, 1)]),
]);
const DESCRIBE_ANSWER = Buffer.concat([
  bytesField(1, TOPIC),
  bytesField(2, [...numberField(2, 1), ...numberField(3, 1)]),
]);

const raw = (path: string, streaming: boolean): grpc.MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: streaming,
  responseStream: streaming,
  requestSerialize: (bytes) => bytes,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => bytes,
});

const definition = {
  Produce: raw('/holdfast.v1.Log/Produce', false),
  ProduceStream: raw('/holdfast.v1.Log/ProduceStream', true),
  Fetch: raw('/holdfast.v1.Log/Fetch', false),
  DescribeTopic: raw('/holdfast.v1.Admin/DescribeTopic', false),
};

type Unary = grpc.handleUnaryCall<Buffer, Buffer>;

class Ceiling {
  readonly #replication: Replication;
  readonly #batches: StoredBatches;

  constructor(replication: Replication, batches: StoredBatches) {
    this.#replication = replication;
    this.#batches = batches;
  }

  /** One request: the answer is a ProduceResponse. */
  #append(request: Uint8Array, done: (ack: Buffer) => void): void {
    let count = 0;
    let durability = 1;
    for (const field of fieldsOf(request)) {
      if (field.number === 1000) count++;
      else if (field.number === 6) durability = field.value;
    }
    const level = durability === MAJORITY ? 'written' : 'durable';
    const batch = this.#batches.reserve(request.length, count);
    this.#replication.append(request, level, () => {
      this.#batches.show(batch);
      const ack = [...numberField(2, batch.baseOffset), ...numberField(3, count)];
      done(Buffer.from([...ack, ...numberField(7, durability)]));
    });
  }

  readonly produce: Unary = (call, answer) => {
    this.#append(call.request, (ack) => answer(null, ack));
  };

  readonly produceStream: grpc.handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on('data', (element: Buffer) => {
      let id = 0;
      for (const field of fieldsOf(element)) {
        if (field.number === 1) id = field.value;
        else if (field.number === 3) {
          this.#append(field.bytes, (ack) => {
            call.write(Buffer.concat([Buffer.from(numberField(1, id)), bytesField(2, ack)]));
          });
        }
      }
    });
    call.on('end', () => call.end());
  };

  readonly fetch: Unary = (call, answer) => {
    const wanted = { offset: 0, maxBytes: 1024 * 1024, waits: false };
    for (const field of fieldsOf(call.request)) {
      if (field.number === 3) wanted.offset = field.value;
      else if (field.number === 4) wanted.maxBytes = field.value;
      else if (field.number === 5) wanted.waits = field.value > 0;
    }
    this.#batches.read(wanted, (bytes) => answer(null, bytes));
  };
}

/** Runs in a process of its own; tells its parent the port. */
export async function runLeader(path: string, followerPorts: readonly number[]): Promise<void> {
  const replication = new Replication(new AppendFile(path));
  for (const port of followerPorts) await replication.connect(port);
  const ceiling = new Ceiling(replication, new StoredBatches(path));
  const server = new grpc.Server({
    'grpc.max_receive_message_length': MAX_BYTES,
    'grpc.max_send_message_length': MAX_BYTES,
  });
  const describe: Unary = (_call, answer) => answer(null, DESCRIBE_ANSWER);
  server.addService(definition, {
    Produce: ceiling.produce,
    ProduceStream: ceiling.produceStream,
    Fetch: ceiling.fetch,
    DescribeTopic: describe,
  });
  const credentials = grpc.ServerCredentials.createInsecure();
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
    if (error !== null) throw error;
    process.send?.({ port });
  });
}

import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  brokenAnswer,
  clientError,
  fromServiceError,
  type HoldfastError,
  neverSent,
} from './errors.ts';
import { readStreamAnswer, type StreamAnswer } from './produce-codec.ts';
import type { RawMethod } from './proto.ts';
import type { Server } from './servers.ts';

export interface StreamListener {
  answered(answer: StreamAnswer): void;
  /** Nothing follows. `nothingSent`: no connection was there, no byte of it left. */
  ended(error: HoldfastError, nothingSent: boolean): void;
}

export interface ProduceStream {
  readonly server: Server;
  write(request: Buffer): void;
  /** No more requests; answers still come. */
  finish(): void;
  /** Breaks it off: the listener hears nothing more. */
  cancel(): void;
}

export type OpenProduceStream = (server: Server, listener: StreamListener) => ProduceStream;

export function produceStreams(method: RawMethod): OpenProduceStream {
  return (server, listener) => {
    let over = false;
    const end = (error: HoldfastError, nothingSent: boolean) => {
      if (over) return;
      over = true;
      listener.ended(error, nothingSent);
    };
    const call = server.client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      new Metadata(),
    );
    call.on('data', (bytes: Buffer) => {
      if (over) return;
      try {
        listener.answered(readStreamAnswer(bytes));
      } catch (error) {
        call.cancel();
        end(brokenAnswer(error), false);
      }
    });
    call.on('error', (error: ServiceError) => end(fromServiceError(error), neverSent(error)));
    call.on('status', ({ code }) => {
      if (code === status.OK) end(endedByServer(), false);
    });
    return {
      server,
      write: (request) => {
        call.write(request);
      },
      finish: () => {
        call.end();
      },
      cancel: () => {
        over = true;
        call.cancel();
      },
    };
  };
}

/** A node that stops ends its streams in good order; what it did not answer is unknown. */
function endedByServer(): HoldfastError {
  return clientError('UNAVAILABLE', 'CLIENT_STREAM_ENDED', 'the server ended the stream', {
    retryable: true,
    outcomeUnknown: true,
  });
}

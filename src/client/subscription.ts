import { type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { filterField } from './convert.ts';
import { brokenAnswer, clientError, fromServiceError, type HoldfastError } from './errors.ts';
import { type FetchAnswer, readSubscribeResponse } from './fetch-codec.ts';
import type { Method, WireObject } from './proto.ts';
import type { Server } from './servers.ts';
import type { Filter, QueueOffset } from './types.ts';

export interface SubscriptionStart {
  readonly topic: string;
  readonly topicId: string;
  readonly queues: readonly QueueOffset[];
  /** How many messages may come before more credit is given. */
  readonly credit: number;
  readonly filter?: Filter | undefined;
}

export interface SubscriptionListener {
  /** The node has taken the subscription on; messages may be long in coming. */
  accepted(): void;
  arrived(answer: FetchAnswer): void;
  /** Nothing follows. */
  ended(error: HoldfastError): void;
}

/** One Subscribe stream. It holds no state of its own: the consumer knows where it stands. */
export interface Subscription {
  readonly server: Server;
  credit(messages: number): void;
  /** Stops reading from the network until `resume`. */
  pause(): void;
  resume(): void;
  cancel(): void;
}

export type OpenSubscription = (
  server: Server,
  start: SubscriptionStart,
  listener: SubscriptionListener,
) => Subscription;

export function subscriptions(method: Method): OpenSubscription {
  return (server, start, listener) => {
    const call: ClientDuplexStream<WireObject, Buffer> = server.client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      (bytes: Buffer) => bytes,
      new Metadata(),
    );
    let over = false;
    const end = (error: HoldfastError) => {
      if (over) return;
      over = true;
      listener.ended(error);
    };
    call.on('metadata', () => {
      if (!over) listener.accepted();
    });
    call.on('data', (bytes: Buffer) => {
      if (over) return;
      try {
        listener.arrived(readSubscribeResponse(bytes));
      } catch (error) {
        call.cancel();
        end(brokenAnswer(error));
      }
    });
    call.on('error', (error: ServiceError) => end(fromServiceError(error)));
    call.on('status', ({ code }) => {
      if (code === status.OK) end(endedByServer());
    });
    call.write(startFrame(start));
    return {
      server,
      credit: (messages) => {
        call.write({ credit: messages });
      },
      pause: () => {
        call.pause();
      },
      resume: () => {
        call.resume();
      },
      cancel: () => {
        over = true;
        call.cancel();
      },
    };
  };
}

function startFrame(start: SubscriptionStart): WireObject {
  const { topic, topicId, queues, credit, filter } = start;
  const offsets = queues.map(({ queue, offset }) => ({ queue, offset: String(offset) }));
  return { start: { topic, topic_id: topicId, queues: offsets, credit, ...filterField(filter) } };
}

function endedByServer(): HoldfastError {
  const facts = { retryable: true };
  return clientError('UNAVAILABLE', 'CLIENT_STREAM_ENDED', 'the server ended the stream', facts);
}

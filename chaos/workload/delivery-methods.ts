/** The calls for messages consumed one by one, with the fields that the workload uses. */
import type { DeadLetter, SettleStatus } from '../delivery-lines.ts';
import type { Call, GroupTopic, Message } from './methods.ts';

export interface GivenMessage {
  readonly queue: number;
  readonly offset: number;
  readonly attempt: number;
  readonly token: string;
  readonly lease_until_ms: number;
  readonly fencing_token: number;
  readonly messages: readonly Message[];
}

interface SettleResponse {
  readonly results: readonly { readonly status: SettleStatus; readonly due_at_ms: number }[];
}

type Tokens = GroupTopic & { readonly tokens: readonly string[] };

export interface DeliveryMethods {
  'Deliveries.Receive': Call<
    GroupTopic & {
      topic_id: string;
      max_messages: number;
      lease_ms: number;
      max_wait_ms: number;
      fifo: boolean;
      consumer: string;
    },
    { deliveries: readonly GivenMessage[] }
  >;
  'Deliveries.Ack': Call<Tokens, SettleResponse>;
  'Deliveries.Nack': Call<
    GroupTopic & { items: readonly { token: string; delay_ms: number }[] },
    SettleResponse
  >;
  'Deliveries.Extend': Call<Tokens & { extend_ms: number }, SettleResponse>;
  'Deliveries.DescribeSubscription': Call<
    GroupTopic & { topic_id: string },
    {
      queues: readonly {
        readonly queue: number;
        readonly cursor: number;
        readonly lag: number;
        readonly pending: number;
      }[];
    }
  >;
  'Deliveries.ListDeadLetters': Call<
    GroupTopic & { page_size: number; page_token: string },
    {
      dead_letters: readonly (DeadLetter & { readonly queue: number })[];
      next_page_token: string;
    }
  >;
}

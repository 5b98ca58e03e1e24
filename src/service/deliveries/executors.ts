/** What runs for each call of the Deliveries service. */
import type { Call } from '../call.ts';
import { runCold } from '../cold.ts';
import type { UnaryExecutor } from '../grpc-calls.ts';
import type { Proto } from '../proto.ts';
import type { SettleDeadRequest } from './dead-letter-calls.ts';
import type { DeliveryCalls } from './delivery-calls.ts';
import { RECEIVE_PATH } from './requests.ts';

const SERVICE = '/holdfast.v1.Deliveries';

export function deliveryExecutors(
  calls: DeliveryCalls,
  proto: Proto,
): readonly [string, UnaryExecutor][] {
  const cold = <Request>(
    name: string,
    handler: (call: Call, request: Request) => Promise<object>,
  ): [string, UnaryExecutor] => {
    const path = `${SERVICE}/${name}`;
    return [path, runCold<Request>(proto.method(path), handler)];
  };
  const { deadLetters, settle, subscriptions } = calls;
  return [
    [RECEIVE_PATH, calls.receive.bind(calls)],
    cold('Ack', settle.ack.bind(settle)),
    cold('Nack', settle.nack.bind(settle)),
    cold('Extend', settle.extend.bind(settle)),
    cold('ListSubscriptions', subscriptions.list.bind(subscriptions)),
    cold('DescribeSubscription', subscriptions.describe.bind(subscriptions)),
    cold('SeekSubscription', subscriptions.seek.bind(subscriptions)),
    cold('DeleteSubscription', subscriptions.delete.bind(subscriptions)),
    cold('ListDeadLetters', deadLetters.list.bind(deadLetters)),
    cold('ReadDeadLetters', deadLetters.read.bind(deadLetters)),
    cold('ResendDeadLetters', (call: Call, request: SettleDeadRequest) =>
      deadLetters.settle(call, request, 'resend'),
    ),
    cold('PurgeDeadLetters', (call: Call, request: SettleDeadRequest) =>
      deadLetters.settle(call, request, 'purge'),
    ),
  ];
}

/** What a store does wrong that gives messages out one by one. */
import {
  type Delivery,
  eventsOf,
  type History,
  type HistoryEvent,
  type Receive,
  type Settle,
} from '../history.ts';
import type { Anomaly } from './anomalies.ts';
import { inserted, middle, replaced } from './edit.ts';

/** One message as one answer gave it. */
interface Given {
  readonly receive: Receive;
  readonly delivery: Delivery;
}

const LATER_MS = 1;
const MUCH = 1_000_000;

export const DELIVERY_ANOMALIES: readonly Anomaly[] = [
  {
    property: 'one-holder',
    what: 'a message is given to a second consumer at once',
    plant(history) {
      const found = middle(givenIn(history));
      return found && inserted(history, found.receive, again(found, found.receive, 1));
    },
  },
  {
    property: 'one-holder',
    what: 'an old token counts',
    plant(history) {
      return withStatus(history, 'STALE_TOKEN', 'SETTLED');
    },
  },
  {
    property: 'one-holder',
    what: 'attempts are counted that were not made',
    plant(history) {
      const found = middle(givenIn(history).filter(({ delivery }) => delivery.attempt > 1));
      return found && changed(history, found, { attempt: found.delivery.attempt + MUCH });
    },
  },
  {
    property: 'worked-off',
    what: 'a message is given again after it was acknowledged',
    plant(history) {
      const found = middle(givenIn(history).filter((given) => ackOf(history, given) !== undefined));
      const ack = found && ackOf(history, found);
      return found && ack && inserted(history, ack, again(found, ack, MUCH));
    },
  },
  {
    property: 'worked-off',
    what: 'a message is never given',
    plant(history) {
      const found = middle(givenIn(history));
      return found && history.map((event) => withoutMessage(event, found));
    },
  },
  {
    property: 'worked-off',
    what: 'a message is decided before anybody decided it',
    plant(history) {
      return withStatus(history, 'NOT_LEASED', 'DECIDED') ?? decidedAtOnce(history);
    },
  },
  {
    property: 'worked-off',
    what: 'a message is a dead letter before its last attempt',
    plant(history) {
      const drained = eventsOf(history, 'drained').find(({ cursor }) => cursor > 0);
      const letter = { offset: 0, attempts: 3, cause: 'EXPIRED' };
      return drained && replaced(history, drained, { dead: [...drained.dead, letter] });
    },
  },
  {
    property: 'key-order',
    what: 'of a key a message is given, then an earlier one',
    plant(history) {
      const keys = keysIn(history);
      const given = givenIn(history).filter(({ receive }) => receive.fifo === true);
      const later = middle(given.filter((one) => earlierOf(one, given, keys) !== undefined));
      const earlier = later && earlierOf(later, given, keys);
      return earlier && changed(history, earlier, { fence: later.delivery.fence + 1 });
    },
  },
];

function givenIn(history: History): Given[] {
  return eventsOf(history, 'receive').flatMap((receive) =>
    receive.deliveries.map((delivery) => ({ receive, delivery })),
  );
}

/** The same message in an answer behind another line, to somebody else. */
function again(
  { receive, delivery }: Given,
  { completedMs }: Receive | Settle,
  tokens: number,
): Receive {
  const times = { invokedMs: completedMs + LATER_MS, completedMs: completedMs + 2 * LATER_MS };
  const { attempt, fence, untilMs } = delivery;
  const next = { attempt: attempt + 1, fence: fence + tokens, untilMs: untilMs + LATER_MS };
  return { ...receive, ...times, process: 'somebody else', deliveries: [{ ...delivery, ...next }] };
}

function changed(history: History, { receive, delivery }: Given, to: Partial<Delivery>): History {
  const deliveries = receive.deliveries.map((one) => (one === delivery ? { ...one, ...to } : one));
  return replaced(history, receive, { deliveries });
}

function isOf({ receive, delivery }: Given, line: Receive | Settle) {
  const isGroup = line.group === receive.group && line.topic === receive.topic;
  return ({ queue, offset }: { readonly queue: number; readonly offset: number }): boolean =>
    isGroup && queue === delivery.queue && offset === delivery.offset;
}

function ackOf(history: History, given: Given): Settle | undefined {
  return eventsOf(history, 'settle').find((settle) => {
    const item = settle.items.find(isOf(given, settle));
    const { fence } = given.delivery;
    return settle.verdict === 'ack' && item?.fence === fence && item.status === 'SETTLED';
  });
}

function withoutMessage(event: HistoryEvent, given: Given): HistoryEvent {
  if (event.type === 'receive') {
    const isIt = isOf(given, event);
    return { ...event, deliveries: event.deliveries.filter((one) => !isIt(one)) };
  }
  if (event.type !== 'settle') return event;
  const isIt = isOf(given, event);
  return { ...event, items: event.items.filter((one) => !isIt(one)) };
}

type Status = NonNullable<Settle['items'][number]['status']>;

function withStatus(history: History, from: Status, to: Status): History | undefined {
  const settle = middle(
    eventsOf(history, 'settle').filter(({ items }) => items.some(({ status }) => status === from)),
  );
  if (settle === undefined) return undefined;
  const items = settle.items.map((item) => {
    return item.status === from ? { ...item, status: to } : item;
  });
  return replaced(history, settle, { items });
}

/** An Ack is answered as if it had been acknowledged before. */
function decidedAtOnce(history: History): History | undefined {
  const given = givenIn(history).find((one) => ackOf(history, one) !== undefined);
  const ack = given && ackOf(history, given);
  if (given === undefined || ack === undefined) return undefined;
  const isIt = isOf(given, ack);
  const items = ack.items.map((item) => {
    return isIt(item) ? { ...item, status: 'DECIDED' as const } : item;
  });
  return replaced(history, ack, { items });
}

/** By value. */
function keysIn(history: History): ReadonlyMap<string, string> {
  const parts = [
    ...eventsOf(history, 'produce'),
    ...eventsOf(history, 'prepare').flatMap(({ others = [] }) => others),
  ];
  return new Map(
    parts.flatMap(({ key, values }) =>
      key === undefined ? [] : values.map((value) => [value, key] as const),
    ),
  );
}

/** The message right before it of its key and queue, as it was given last. */
function earlierOf(
  { receive, delivery }: Given,
  given: readonly Given[],
  keys: ReadonlyMap<string, string>,
): Given | undefined {
  const key = keys.get(delivery.value);
  const before = given.filter(
    (one) =>
      key !== undefined &&
      one.receive.group === receive.group &&
      one.delivery.queue === delivery.queue &&
      one.delivery.offset < delivery.offset &&
      keys.get(one.delivery.value) === key,
  );
  return before.reduce<Given | undefined>(
    (last, one) => (last === undefined || one.delivery.offset >= last.delivery.offset ? one : last),
    undefined,
  );
}

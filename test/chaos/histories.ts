/** Short hands for labelled histories: what is not named is ordinary. */
import type {
  Check,
  Commit,
  Committed,
  Delivery,
  Drained,
  End,
  Fault,
  HistoryEvent,
  Leader,
  Listed,
  MovedOffset,
  Open,
  Prepare,
  Produce,
  Read,
  Receive,
  Reset,
  Settle,
  Settled,
  TopicChange,
} from '../../chaos/history.ts';

const attempt = (atMs: number) =>
  ({ process: 'p', invokedMs: atMs, completedMs: atMs + 1, outcome: 'ok' }) as const;

/** Values are `producer.sequence`, as the workload makes them. */
export function produce(
  sequence: number,
  count: number,
  baseOffset: number | undefined,
  other: Partial<Produce> = {},
): Produce {
  const producer = other.producer ?? 'a';
  return {
    type: 'produce',
    ...attempt(10),
    queue: 0,
    producer,
    sequence,
    values: Array.from({ length: count }, (_, i) => `${producer}.${sequence + i}`),
    ...(baseOffset === undefined ? {} : { baseOffset }),
    ...other,
  };
}

export const unknownProduce = (sequence: number, count: number): Produce =>
  produce(sequence, count, undefined, { outcome: 'unknown', reason: '' });

export const refusedProduce = (sequence: number, count: number): Produce =>
  produce(sequence, count, undefined, { outcome: 'fail', reason: 'NOT_LEADER' });

/** A plain one: no sequence tells its attempts apart. */
export function plain(
  values: readonly string[],
  baseOffset: number | undefined,
  other: Partial<Produce> = {},
): Produce {
  const where = baseOffset === undefined ? {} : { baseOffset };
  return { type: 'produce', ...attempt(10), queue: 0, values, ...where, ...other };
}

let readers = 0;

/** A read from `from` that shows these values in one batch, by a consumer of its own. */
export function read(from: number, values: readonly string[], other: Partial<Read> = {}): Read {
  return {
    type: 'read',
    ...attempt(100),
    process: `reader-${readers++}`,
    node: 1,
    queue: 0,
    from,
    batches: values.length === 0 ? [] : [{ offset: from, values }],
    endOffset: from + values.length,
    last: false,
    ...other,
  };
}

/** One node's word on the end of a queue. */
export function listed(atMs: number, endOffset: number, other: Partial<Listed> = {}): Listed {
  return { type: 'listed', ...attempt(atMs), node: 1, queue: 0, endOffset, ...other };
}

/** One node's read of everything, with its end. */
export function finalRead(values: readonly string[], other: Partial<Read> = {}): HistoryEvent[] {
  const process = `final-${other.node ?? 1}`;
  const last = read(0, values, { ...attempt(1000), process, last: true, ...other });
  const { node, queue, endOffset } = last;
  const where = last.topic === undefined ? { queue } : { topic: last.topic, queue };
  return [last, { type: 'final', node, ...where, endOffset }];
}

export function prepare(
  transaction: string,
  values: readonly string[],
  other: Partial<Prepare> = {},
): Prepare {
  return { type: 'prepare', ...attempt(10), transaction, queue: 0, values, ...other };
}

/** A producer group is asked. */
export function check(transaction: string, atMs: number, other: Partial<Check> = {}): Check {
  return { type: 'check', ...attempt(atMs), transaction, count: 1, values: [], ...other };
}

export function end(
  transaction: string,
  decision: 'commit' | 'rollback',
  other: Partial<End> = {},
): End {
  return { type: 'end', ...attempt(50), transaction, queue: 0, decision, ...other };
}

/** What a group consumed of queue 9, which nothing else is about. */
export function moved(from: number | undefined, offset: number): MovedOffset {
  return { group: 'g', queue: 9, ...(from === undefined ? {} : { from }), offset };
}

/** After the run: what is listed as undecided. */
export function open(transactions: readonly string[], other: Partial<Open> = {}): Open {
  const listed = transactions.map((transaction) => ({ transaction, state: 'UNDECIDED' }) as const);
  return { type: 'open', ...attempt(2000), process: 'final', transactions: listed, ...other };
}

export function commit(atMs: number, offset: number, other: Partial<Commit> = {}): Commit {
  return { type: 'commit', ...attempt(atMs), group: 'g', queue: 0, offset, ...other };
}

export function reset(
  atMs: number,
  offset: number,
  epoch: number | undefined,
  other: Partial<Reset> = {},
): Reset {
  const begun = epoch === undefined ? {} : { epoch };
  return { type: 'reset', ...attempt(atMs), group: 'g', queue: 0, offset, ...begun, ...other };
}

const WORK = { group: 'g', topic: 'w' };
/** Of every lease here. */
export const LEASE_MS = 100;

/** The message at `offset` of queue 0 is leased: its fencing token is the time of it. */
export function given(
  offset: number,
  attempt: number,
  atMs: number,
  other: Partial<Delivery> = {},
): Delivery {
  const until = { untilMs: atMs + LEASE_MS };
  return { queue: 0, offset, value: `w.${offset}`, attempt, fence: atMs, ...until, ...other };
}

export function receive(
  atMs: number,
  deliveries: readonly Delivery[],
  other: Partial<Receive> = {},
): Receive {
  return { type: 'receive', ...attempt(atMs), ...WORK, leaseMs: LEASE_MS, deliveries, ...other };
}

/** One that shows one message alone. */
export function take(offset: number, nth: number, atMs: number, other: Partial<Receive> = {}) {
  return receive(atMs, [given(offset, nth, atMs)], other);
}

export function settle(
  verdict: Settle['verdict'],
  atMs: number,
  items: readonly Settled[],
  other: Partial<Settle> = {},
): Settle {
  return { type: 'settle', ...attempt(atMs), ...WORK, verdict, items, ...other };
}

export function acked(
  offset: number,
  fence: number,
  atMs: number,
  status: Settled['status'] = 'SETTLED',
): Settle {
  return settle('ack', atMs, [{ queue: 0, offset, fence, status }]);
}

export function drained(cursor: number, other: Partial<Drained> = {}): Drained {
  return { type: 'drained', ...WORK, queue: 0, cursor, dead: [], ...other };
}

export function topic(name: string, other: Partial<TopicChange> = {}): TopicChange {
  return { type: 'topic', ...attempt(1), action: 'create', name, topic: name, ...other };
}

export function committed(
  atMs: number,
  offset: number | undefined,
  other: Partial<Committed> = {},
): Committed {
  const where = offset === undefined ? {} : { offset };
  return { type: 'committed', ...attempt(atMs), node: 1, group: 'g', queue: 0, ...where, ...other };
}

/** Installed on node 1, which led queue 0. */
export function fault(atMs: number, other: Partial<Fault> = {}): Fault {
  const took = { state: 'installed', movesLeader: true } as const;
  return {
    ...{ type: 'fault', nemesis: 'kill-leader', ...took },
    ...{ atMs, endMs: atMs + 10, nodes: [1], queues: [0] },
    ...other,
  };
}

export function leader(atMs: number, term: number, other: Partial<Leader> = {}): Leader {
  return { type: 'leader', atMs, shard: 1, node: 1, term, ...other };
}

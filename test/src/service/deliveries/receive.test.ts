import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { EMPTY_BYTES } from '../../../../raft/types.ts';
import { encodeCommand } from '../../../../src/broker/command-codec.ts';
import { DATA_SHARD_LIMITS } from '../../../../src/broker/limits.ts';
import {
  connect,
  message,
  refusal,
  type TestClient,
  until,
} from '../../../harness/service-client.ts';
import { FakeCluster } from '../../../harness/service-cluster.ts';

interface Delivery {
  readonly message_id: string;
  readonly queue: number;
  readonly offset: string;
  readonly attempt: number;
  readonly token: string;
  readonly lease_until_ms: string;
  readonly stored_at_ms: string;
  readonly fencing_token: string;
  readonly messages: readonly { readonly key: string; readonly body: Buffer }[];
}
interface Result {
  readonly status: number;
  readonly due_at_ms: string;
  readonly dead_letter: boolean;
  readonly reason: string;
}

let cluster: FakeCluster;
let client: TestClient;
let topic = '';

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start({ defaultCallTimeoutMs: 4000 });
});
afterAll(() => cluster.stop());

/** Node 1 leads one of the three shards: calls for the queues of the others are forwarded. */
beforeEach(({ task }) => {
  topic = `topic-${task.id}`;
  cluster.createTopic(topic, 1);
  client = connect(cluster.node(1).port);
});
afterEach(() => client.close());

const shard = () => cluster.node(1).meta.topic(topic)!.queues[0]!.shard;
const produce = (...bodies: string[]) =>
  client.call<{ first_message_id: string }>('Log/Produce', {
    topic,
    queue: 0,
    messages: bodies.map((body) => message(body, body.includes(':') ? { key: body[0] } : {})),
  });
const receive = async (fields: object = {}): Promise<readonly Delivery[]> => {
  const request = { group: 'g', topic, ...fields };
  const { deliveries } = await client.call<{ deliveries: Delivery[] }>(
    'Deliveries/Receive',
    request,
  );
  return deliveries;
};
const bodiesOf = (deliveries: readonly Delivery[]) =>
  deliveries.map(({ messages }) => messages.map(({ body }) => body.toString()).join('+'));
const settle = async (call: string, fields: object): Promise<readonly Result[]> => {
  const request = { group: 'g', topic, ...fields };
  const { results } = await client.call<{ results: Result[] }>(`Deliveries/${call}`, request);
  return results;
};
const ack = (...deliveries: readonly Delivery[]) =>
  settle('Ack', { tokens: deliveries.map(({ token }) => token) });
const nack = (delivery: Delivery, fields: object = {}) =>
  settle('Nack', { items: [{ token: delivery.token, ...fields }] });

describe('Receive', () => {
  it('gives each message by itself, with all that tells about it', async () => {
    await produce('a');
    const { first_message_id: id } = await produce('b', 'c');
    const found = await receive({ consumer: 'me', lease_ms: 5000 });
    expect(bodiesOf(found)).toEqual(['a', 'b', 'c']);
    const index = Number(id.split('-')[1]);
    expect(found[2]).toMatchObject({
      message_id: `${shard()}-${index}-1`,
      ...{ queue: 0, offset: '2', attempt: 1, stored_at_ms: String(cluster.timeMs) },
      lease_until_ms: String(cluster.timeMs + 5000),
    });
    const { queueId } = cluster.node(1).meta.topic(topic)!.queues[0]!;
    const token = found[2]!.fencing_token;
    expect(found[2]!.token).toBe(`d.${queueId}.2.${token}`);
    expect(await receive()).toEqual([]);
  });

  it('as many as are asked for, the rest to the next', async () => {
    await produce('a', 'b', 'c');
    expect(bodiesOf(await receive({ max_messages: 2 }))).toEqual(['a', 'b']);
    expect(bodiesOf(await receive({ max_messages: 2 }))).toEqual(['c']);
  });

  it('as many as one answer holds, and a large one alone', async () => {
    const large = 'x'.repeat(700_000);
    await produce(large);
    await produce(large);
    await produce('y'.repeat(3_000_000));
    const sizes = async () => bodiesOf(await receive()).map(({ length }) => length);
    expect(await sizes()).toEqual([700_000]);
    expect(await sizes()).toEqual([700_000]);
    expect(await sizes()).toEqual([3_000_000]);
  });

  it('to many at once, each message once', async () => {
    await produce(...Array.from({ length: 60 }, (_, at) => `m${at}`));
    const rounds = await Promise.all(
      Array.from({ length: 12 }, () => receive({ max_messages: 10, max_wait_ms: 300 })),
    );
    const bodies = rounds.flatMap(bodiesOf);
    expect(new Set(bodies).size).toBe(bodies.length);
    expect(bodies).toHaveLength(60);
  });

  it('waits for messages, and for those that come again', async () => {
    await receive();
    const waiting = receive({ max_wait_ms: 3000 });
    await until(() => cluster.nodes.some((node) => node.service.stats().longPolls > 0));
    await produce('late');
    const [late] = await waiting;
    expect(late?.messages[0]?.body.toString()).toBe('late');
    await nack(late!, { delay_ms: 20 });
    const again = receive({ max_wait_ms: 3000 });
    await until(() => cluster.nodes.some((node) => node.service.stats().longPolls > 0));
    cluster.timeMs += 20;
    expect((await again)[0]).toMatchObject({ attempt: 2, message_id: late!.message_id });
    expect(cluster.nodes.map((node) => node.service.stats().longPolls)).toEqual([0, 0, 0]);
  });

  it('ends empty when nothing comes, and leaves nothing behind when it is given up', async () => {
    await receive();
    expect(await receive({ max_wait_ms: 50 })).toEqual([]);
    const gone = client.start('Deliveries/Receive', { group: 'g', topic, max_wait_ms: 3000 });
    const cancelled = refusal(gone.answer);
    await until(() => cluster.nodes.some((node) => node.service.stats().longPolls > 0));
    gone.cancel();
    await cancelled;
    await until(() => cluster.nodes.every((node) => node.service.stats().longPolls === 0));
  });

  it('goes on where another leads meanwhile', async () => {
    await receive();
    const waiting = receive({ max_wait_ms: 3000 });
    await until(() => cluster.nodes.some((node) => node.service.stats().longPolls > 0));
    const before = cluster.leaders.get(shard())!;
    cluster.setLeader(shard(), (before % 3) + 1);
    await produce('after');
    expect(bodiesOf(await waiting)).toEqual(['after']);
    cluster.setLeader(shard(), before);
  });

  it('all queues of a topic; where one has no leader the others are not held up', async () => {
    const name = `${topic}-wide`;
    cluster.createTopic(name, 3);
    await receive({ topic: name });
    for (const queue of [0, 1, 2]) {
      await client.call('Log/Produce', { topic: name, queue, messages: [message(`q${queue}`)] });
    }
    const { shard: lost } = cluster.node(1).meta.topic(name)!.queues[2]!;
    const before = cluster.leaders.get(lost);
    cluster.setLeader(lost, undefined);
    const found = [];
    for (let i = 0; i < 2; i += 1)
      found.push(...(await receive({ topic: name, max_wait_ms: 2000 })));
    expect(bodiesOf(found).sort()).toEqual(['q0', 'q1']);
    const waiting = receive({ topic: name, max_wait_ms: 2000 });
    cluster.setLeader(lost, before);
    expect(bodiesOf(await waiting)).toEqual(['q2']);
  });

  it('from the end: what comes after the first Receive', async () => {
    await produce('old');
    expect(await receive({ group: 'new', from: 'LATEST' })).toEqual([]);
    await produce('new');
    expect(bodiesOf(await receive({ group: 'new', from: 'LATEST' }))).toEqual(['new']);
    expect(bodiesOf(await receive({ group: 'other' }))).toEqual(['old', 'new']);
  });

  it('FIFO: one of a key at a time; other keys, and messages without one, go on', async () => {
    await produce('k:1', 'k:2', 'l:1');
    await produce('none', 'k:3');
    const fifo = { fifo: true };
    const first = await receive(fifo);
    expect(bodiesOf(first)).toEqual(['k:1', 'l:1', 'none']);
    expect(await receive(fifo)).toEqual([]);
    await nack(first[0]!, { delay_ms: 0 });
    const again = await receive(fifo);
    expect(bodiesOf(again)).toEqual(['k:1']);
    await ack(again[0]!);
    expect(bodiesOf(await receive(fifo))).toEqual(['k:2']);
    const { reason, error } = await refusal(receive());
    expect(reason).toBe('SUBSCRIPTION_FIFO');
    expect(error.details).toMatch(/was subscribed with fifo = true/);
  });

  it('a lease of unknown fate is not an answer: the message comes again', async () => {
    await produce('a');
    await receive({ group: 'g' });
    cluster.timeMs += 30_000;
    cluster.intercept = () => ({ status: 'unknown', reason: 'deposed' });
    const { reason } = await refusal(receive());
    expect(reason).toBe('OUTCOME_UNKNOWN');
    cluster.intercept = undefined;
    expect(bodiesOf(await receive())).toEqual(['a']);
  });

  it('a damaged message is not leased, and the others of other queues come', async () => {
    await produce('a');
    const [held] = await receive();
    await nack(held!, { delay_ms: 0 });
    const node = cluster.node(cluster.leaders.get(shard())!);
    const { readEntry } = node.host;
    node.host.readEntry = (_shard, _index, done) => done(new Error('crc'), undefined);
    expect((await refusal(receive())).reason).toBe('DATA_DAMAGED');
    node.host.readEntry = readEntry;
    expect((await receive())[0]).toMatchObject({ attempt: 2 });
  });

  describe('a new message that is damaged', () => {
    const damaged = { status: 'damaged', message: 'crc' } as const;
    /** Two queues in two shards; what stands in the first one cannot be read. */
    const damage = async (isDamaged: () => boolean): Promise<string> => {
      const name = `${topic}-two`;
      cluster.createTopic(name, 2);
      await receive({ topic: name });
      await client.call('Log/Produce', { topic: name, queue: 0, messages: [message('lost')] });
      const { shard: where } = cluster.node(1).meta.topic(name)!.queues[0]!;
      const { host } = cluster.node(cluster.leaders.get(where)!);
      const { fetch } = host;
      onTestFinished(() => {
        host.fetch = fetch;
      });
      host.fetch = (args, done) => {
        if (args.shard !== where || !isDamaged()) return fetch(args, done);
        done(damaged);
        return { cancel: () => undefined };
      };
      return name;
    };

    it('is told of, where there is no other', async () => {
      const name = await damage(() => true);
      for (const wait of [0, 100]) {
        const { reason } = await refusal(receive({ topic: name, max_wait_ms: wait }));
        expect(reason).toBe('DATA_DAMAGED');
      }
    });

    it('keeps no message of another queue from coming', async () => {
      const name = await damage(() => true);
      const waiting = receive({ topic: name, max_wait_ms: 3000 });
      await client.call('Log/Produce', { topic: name, queue: 1, messages: [message('other')] });
      expect(bodiesOf(await waiting)).toEqual(['other']);
    });

    it('is given in the end, when it was mended while others were waited for', async () => {
      let reads = 0;
      const name = await damage(() => ++reads === 1);
      expect(bodiesOf(await receive({ topic: name, max_wait_ms: 300 }))).toEqual(['lost']);
      expect(reads).toBe(2);
    });
  });

  it('given up while its lease is on its way: as if nobody had asked', async () => {
    await receive();
    await produce('a');
    const { host } = cluster.node(cluster.leaders.get(shard())!);
    const { propose } = host;
    const gone = client.start('Deliveries/Receive', { group: 'g', topic });
    const cancelled = refusal(gone.answer);
    const held = new Promise<void>((resolve) => {
      host.propose = (...parts) => {
        host.propose = propose;
        gone.cancel();
        setTimeout(() => {
          propose(...parts);
          resolve();
        }, 200);
      };
    });
    await cancelled;
    await held;
    const [again] = await receive({ max_wait_ms: 2000 });
    expect(again?.messages[0]?.body.toString()).toBe('a');
  });

  it('of a group that another node is just subscribing, to one queue after the other', async () => {
    const name = `${topic}-two`;
    cluster.createTopic(name, 2);
    await client.call('Log/Produce', { topic: name, queue: 1, messages: [message('late')] });
    const [first, second] = cluster.node(1).meta.topic(name)!.queues;
    const nothing = { consumer: '', leaseMs: 0, again: [], freshOffset: 0, fresh: [] };
    const lease = { type: 'lease', group: 'g', fifo: false, fromOffset: 0, ...nothing } as const;
    cluster.append(first!.shard, encodeCommand({ ...lease, queueId: first!.queueId }), EMPTY_BYTES);
    const { host } = cluster.node(cluster.leaders.get(second!.shard)!);
    const { propose } = host;
    onTestFinished(() => {
      host.propose = propose;
    });
    // Longer than a Receive waits for all queues to be subscribed.
    host.propose = (...parts) => {
      if (parts[0] === second!.shard) setTimeout(() => propose(...parts), 800);
      else propose(...parts);
    };
    expect(bodiesOf(await receive({ topic: name, max_wait_ms: 3000 }))).toEqual(['late']);
  });

  it('of a subscription that was deleted since makes it anew', async () => {
    await produce('a');
    await receive();
    const elsewhere = connect(cluster.node(2).port);
    await elsewhere.call('Deliveries/DeleteSubscription', { group: 'g', topic });
    elsewhere.close();
    expect((await receive())[0]).toMatchObject({ attempt: 1 });
  });
});

describe('Ack, Nack, Extend', () => {
  it('of several queues at once, each with its own answer', async () => {
    const name = `${topic}-two`;
    cluster.createTopic(name, 2);
    for (const queue of [0, 1]) {
      await client.call('Log/Produce', { topic: name, queue, messages: [message(`q${queue}`)] });
    }
    const found = [...(await receive({ topic: name })), ...(await receive({ topic: name }))];
    const [first, second] = found.map(({ token }) => token);
    const wrong = second!.replace(/\d+$/, (token) => String(Number(token) + 1));
    const tokens = [first, wrong, second, first];
    const results = await settle('Ack', { topic: name, tokens });
    expect(results.map(({ status }) => status)).toEqual([1, 2, 1, 4]);
  });

  it('given back by level, by delay, and kept longer', async () => {
    await produce('a');
    const [first] = await receive();
    const levelled = { status: 1, due_at_ms: String(cluster.timeMs + 10_000), dead_letter: false };
    expect((await nack(first!))[0]).toMatchObject(levelled);
    cluster.timeMs += 10_000;
    const [second] = await receive();
    const extended = await settle('Extend', { tokens: [second!.token], extend_ms: 60_000 });
    expect(extended[0]).toMatchObject({ status: 1, due_at_ms: String(cluster.timeMs + 60_000) });
    expect((await nack(second!, { delay_ms: 0 }))[0]).toMatchObject({ status: 1 });
    expect((await nack(second!))[0]).toMatchObject({ status: 3 });
    expect((await receive())[0]).toMatchObject({ attempt: 3 });
    expect((await ack(second!))[0]).toMatchObject({ status: 2 });
  });

  it('where one queue refuses and another may be settled, nobody says that none is', async () => {
    const name = `${topic}-both`;
    cluster.createTopic(name, 2);
    for (const queue of [0, 1]) {
      await client.call('Log/Produce', { topic: name, queue, messages: [message(`q${queue}`)] });
    }
    const found = [...(await receive({ topic: name })), ...(await receive({ topic: name }))];
    const tokens = found.map(({ token }) => token);
    const [refusing, other] = found.map(({ queue }) => {
      return cluster.node(1).meta.topic(name)!.queues[queue]!;
    });
    cluster.intercept = (one) =>
      one === refusing!.shard ? { status: 'overloaded' } : { status: 'unknown', reason: 'deposed' };
    const none = await refusal(settle('Ack', { topic: name, tokens }));
    expect(none.reason).toBe('OUTCOME_UNKNOWN');
    cluster.intercept = undefined;
    const gone = { type: 'unsubscribe', group: 'g', queueId: refusing!.queueId } as const;
    cluster.append(refusing!.shard, encodeCommand(gone), EMPTY_BYTES);
    const results = await settle('Ack', { topic: name, tokens });
    expect(results[0]).toMatchObject({ status: 6, reason: 'SUBSCRIPTION_NOT_FOUND' });
    expect(results[1]).toMatchObject({ status: 1, reason: '' });
    expect(other!.shard).not.toBe(refusing!.shard);
    const again = await refusal(settle('Ack', { topic: name, tokens: tokens.slice(0, 1) }));
    expect(again.reason).toBe('SUBSCRIPTION_NOT_FOUND');
  });

  it('where one shard does not answer, the others’ results stand', async () => {
    const name = `${topic}-open`;
    cluster.createTopic(name, 2);
    for (const queue of [0, 1]) {
      await client.call('Log/Produce', { topic: name, queue, messages: [message(`q${queue}`)] });
    }
    const found = [...(await receive({ topic: name })), ...(await receive({ topic: name }))];
    const { queue: lost } = found[1]!;
    const { shard: lostShard } = cluster.node(1).meta.topic(name)!.queues[lost]!;
    const fate = { status: 'unknown', reason: 'deposed' } as const;
    cluster.intercept = (one) => (one === lostShard ? fate : undefined);
    const tokens = found.map(({ token }) => token);
    const results = await settle('Ack', { topic: name, tokens });
    expect(results[0]).toMatchObject({ status: 1, reason: '' });
    expect(results[1]).toMatchObject({ status: 6, reason: 'OUTCOME_UNKNOWN' });
    const one = settle('Ack', { topic: name, tokens: tokens.slice(1) });
    expect((await refusal(one)).reason).toBe('OUTCOME_UNKNOWN');
    cluster.intercept = undefined;
  });
});

describe('refused', () => {
  it.each<[string, object, string, RegExp]>([
    ['Receive', { group: '' }, 'INVALID_NAME', /group "" is not a name/],
    ['Receive', { topic: 'none' }, 'TOPIC_NOT_FOUND', /topic "none" does not exist/],
    ['Receive', { topic_id: '999' }, 'TOPIC_RECREATED', /has topic_id/],
    ['Receive', { max_messages: 257 }, 'NUMBER_OUT_OF_RANGE', /between 0 and 256/],
    ['Receive', { max_messages: -1 }, 'NUMBER_OUT_OF_RANGE', /max_messages is -1/],
    ['Receive', { lease_ms: 999 }, 'NUMBER_OUT_OF_RANGE', /lease_ms is 999: .* 1000 and 43200000/],
    ['Receive', { lease_ms: 43_200_001 }, 'NUMBER_OUT_OF_RANGE', /\(12 h\)/],
    ['Receive', { max_wait_ms: -1 }, 'NUMBER_OUT_OF_RANGE', /max_wait_ms is -1/],
    ['Receive', { from: 7 }, 'INVALID_REQUEST', /EARLIEST or LATEST/],
    ['Receive', { consumer: 'x'.repeat(65) }, 'INVALID_NAME', /consumer has 65 bytes/],
    ['Ack', { tokens: [] }, 'INVALID_REQUEST', /no token given/],
    ['Ack', { tokens: ['x'] }, 'INVALID_REQUEST', /token "x" is not one that Receive gave/],
    ['Ack', { tokens: ['d.1.2'] }, 'INVALID_REQUEST', /is not one that Receive gave/],
    ['Ack', { tokens: ['d.999999.2.3'] }, 'INVALID_REQUEST', /token 0 is not of topic/],
    ['Nack', { items: [] }, 'INVALID_REQUEST', /no token given/],
    [
      'Nack',
      { items: [{ token: 'd.1.1.1', delay_ms: -1 }] },
      'NUMBER_OUT_OF_RANGE',
      /delay_ms is -1/,
    ],
    [
      'Nack',
      { items: [{ token: 'd.1.1.1', delay_ms: 43_200_001 }] },
      'NUMBER_OUT_OF_RANGE',
      /between 0 and 43200000/,
    ],
    ['Extend', { tokens: ['d.1.1.1'] }, 'NUMBER_OUT_OF_RANGE', /extend_ms is 0/],
    ['Extend', { tokens: ['d.1.1.1'], extend_ms: 43_200_001 }, 'NUMBER_OUT_OF_RANGE', /12 h/],
  ])('%s %o', async (call, fields, reason, text) => {
    const found = await refusal(
      client.call(`Deliveries/${call}`, { group: 'g', topic, ...fields }),
    );
    expect(found.reason).toBe(reason);
    expect(found.error.details).toMatch(text);
  });

  it('more tokens in one call than there may be', async () => {
    const { error } = await refusal(settle('Ack', { tokens: Array(1025).fill('d.1.1.1') }));
    expect(error.details).toMatch(/1025 tokens in one call: at most 1024/);
  });

  it('a settlement of a group that never received', async () => {
    const { queueId } = cluster.node(1).meta.topic(topic)!.queues[0]!;
    const unknown = settle('Ack', { group: 'nobody', tokens: [`d.${queueId}.1.1`] });
    expect((await refusal(unknown)).reason).toBe('SUBSCRIPTION_NOT_FOUND');
  });

  it('a group more than a shard may hold; those that are known go on', async () => {
    await produce('a');
    const { data } = cluster.logs.get(shard())!;
    await receive();
    const counts = data.counts.bind(data);
    data.counts = () => ({ ...counts(), subscriptions: DATA_SHARD_LIMITS.maxSubscriptions });
    const { reason, error } = await refusal(receive({ group: 'another' }));
    expect(reason).toBe('SHARD_STATE_FULL');
    expect(error.details).toMatch(/maxSubscriptions/);
    expect((await refusal(receive({ group: 'x', from: 'LATEST' }))).reason).toBe(
      'SHARD_STATE_FULL',
    );
    await produce('b');
    expect(bodiesOf(await receive())).toEqual(['b']);
    data.counts = counts;
  });

  it('new messages where as many as may be are undecided; old ones come again', async () => {
    await produce('a', 'b');
    const [first] = await receive({ max_messages: 1 });
    const { data } = cluster.logs.get(shard())!;
    const counts = data.counts.bind(data);
    data.counts = () => ({
      ...counts(),
      pendingDeliveries: DATA_SHARD_LIMITS.maxPendingDeliveries,
    });
    await nack(first!, { delay_ms: 0 });
    expect(bodiesOf(await receive())).toEqual(['a']);
    expect(await receive({ max_wait_ms: 30 })).toEqual([]);
    data.counts = counts;
  });
});

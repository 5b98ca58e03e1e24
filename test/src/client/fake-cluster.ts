/**
 * A cluster in one process, as far as the client can see it: the public proto, queues in memory,
 * idempotence by the rules of the contract, and hooks that make things go wrong on purpose. It
 * decodes with @grpc/proto-loader, so it checks the client's own codecs too.
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  type Mishap,
  type Refusal,
  refusal,
  type Stored,
  type StreamRequest,
  type SubscribeFrame,
  serviceError,
  type Wire,
  type WireRequest,
  wireError,
} from './fake-wire.ts';
import { loadProto } from './helpers.ts';

interface FakeProducer {
  epoch: number;
  next: number;
  answers: Map<number, Wire>;
}

export interface FakeTopic {
  id: string;
  epoch: number;
  queues: Stored[][];
  starts: number[];
  /** As CreateTopic gave it; null = not compacted. */
  compaction: Wire | null;
}

const definition = loadProto('log', 'transactions', 'admin') as unknown as Record<
  string,
  ServiceDefinition
>;

/** State shared by all nodes. */
export class FakeCluster {
  readonly topics = new Map<string, FakeTopic>();
  readonly producers = new Map<string, FakeProducer>();
  readonly groups = new Map<string, Map<string, number>>();
  readonly requests: WireRequest[] = [];
  readonly ended: WireRequest[] = [];
  checks: Wire[] = [];
  /** By first message id: how many messages are delayed under it. */
  readonly delayed = new Map<string, number>();
  nodes: FakeNode[] = [];
  mishap: (request: WireRequest, node: FakeNode) => Mishap | undefined = () => undefined;
  /** Called after each produce request; answers wait for it. */
  hold: (() => Promise<void>) | undefined;
  /** Unary calls are not answered. */
  stall = false;
  onEnd: () => void = () => undefined;
  /** What List answers, and what was resumed. */
  open: object[] = [];
  readonly resumed: string[] = [];
  /** The most messages that any subscription was allowed to receive at one time. */
  creditOutstandingMax = 0;
  #index = 0;

  async start(count = 1): Promise<string[]> {
    for (let i = 0; i < count; i++) {
      const node = new FakeNode(this, this.nodes.length + 1);
      this.nodes.push(node);
      await node.start();
    }
    return this.addresses();
  }

  addresses(): string[] {
    return this.nodes.map((node) => node.address);
  }

  stop(): void {
    for (const node of this.nodes) node.kill();
  }

  createTopic(name: string, queueCount: number): FakeTopic {
    const queues = Array.from({ length: queueCount }, () => []);
    const starts = Array.from({ length: queueCount }, () => 0);
    const topic = { id: String(++this.#index), epoch: 1, queues, starts, compaction: null };
    this.topics.set(name, topic);
    return topic;
  }

  grow(name: string, queueCount: number): void {
    const topic = this.topics.get(name)!;
    while (topic.queues.length < queueCount) {
      topic.queues.push([]);
      topic.starts.push(0);
    }
    topic.epoch += 1;
  }

  /** Bodies of a queue, as text. */
  bodies(name: string, queue: number): string[] {
    return this.topics.get(name)!.queues[queue]!.map(({ body }) => body.toString());
  }

  produce(request: WireRequest): Wire {
    this.requests.push(request);
    const topic = this.topics.get(request.topic);
    if (topic === undefined) throw refusal('NOT_FOUND', 'TOPIC_NOT_FOUND');
    const epoch = request._queue_epoch === 'queue_epoch' ? Number(request.queue_epoch) : undefined;
    if (epoch !== undefined && epoch !== topic.epoch) {
      throw refusal('FAILED_PRECONDITION', 'QUEUES_CHANGED');
    }
    const producer = this.#producer(`${request.producer_id}/${topic.id}/${request.queue}`);
    if (request.producer_epoch < producer.epoch) {
      throw refusal('FAILED_PRECONDITION', 'PRODUCER_FENCED');
    }
    if (request.producer_epoch > producer.epoch) {
      Object.assign(producer, { epoch: request.producer_epoch, next: 0, answers: new Map() });
    }
    const sequence = Number(request.sequence);
    const earlier = producer.answers.get(sequence);
    if (earlier !== undefined) return { ...earlier, duplicate: true };
    if (sequence !== producer.next) throw refusal('FAILED_PRECONDITION', 'SEQUENCE_GAP');
    const ack = this.#append(topic, request);
    producer.next += request.messages.length;
    producer.answers.set(sequence, ack);
    return ack;
  }

  recall(id: string): Wire {
    const count = this.delayed.get(id);
    if (count === undefined) throw refusal('FAILED_PRECONDITION', 'NOT_DELAYED');
    this.delayed.delete(id);
    return { count };
  }

  #producer(key: string): FakeProducer {
    const known = this.producers.get(key) ?? { epoch: 0, next: 0, answers: new Map() };
    this.producers.set(key, known);
    return known;
  }

  #append(topic: FakeTopic, request: WireRequest): Wire {
    const queue = topic.queues[request.queue]!;
    const base = queue.length;
    this.#index += 1;
    const id = `1-${this.#index}-0`;
    const isDelayed = request.deliver_at_ms !== '0';
    if (isDelayed) this.delayed.set(id, request.messages.length);
    else queue.push(...request.messages);
    const place = isDelayed
      ? { deliver_at_ms: request.deliver_at_ms }
      : { base_offset: String(base) };
    return {
      first_message_id: id,
      ...place,
      count: request.messages.length,
      queue: request.queue,
      term: '7',
      log_index: String(this.#index),
      durability:
        request.durability === 'DURABILITY_UNSPECIFIED' ? 'MAJORITY_FSYNC' : request.durability,
      replicas: 2,
    };
  }
}

/** One node: every node of a FakeCluster serves the same data. */
export class FakeNode {
  readonly cluster: FakeCluster;
  readonly id: number;
  port = 0;
  /** Was taken out of the cluster: sends every caller away. */
  retired = false;
  #server = new Server();

  constructor(cluster: FakeCluster, id: number) {
    this.cluster = cluster;
    this.id = id;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.#server = new Server({ 'grpc.max_receive_message_length': 20 << 20 });
    const services = { Log: this.#log(), Transactions: this.#transactions(), Admin: this.#admin() };
    for (const [name, handlers] of Object.entries(services)) {
      this.#server.addService(definition[`holdfast.v1.${name}`]!, handlers);
    }
    this.port = await new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync(`127.0.0.1:${this.port}`, credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  /** As SIGKILL: connections break, nobody says goodbye. */
  kill(): void {
    this.#server.forceShutdown();
    this.#wake.clear();
  }

  #unary(answer: (request: WireRequest) => Wire) {
    return (call: ServerUnaryCall<WireRequest, Wire>, done: sendUnaryData<Wire>) => {
      if (this.cluster.stall) return;
      try {
        if (this.retired) throw refusal('UNAVAILABLE', 'NODE_STOPPING', true);
        done(null, answer(call.request));
      } catch (error) {
        done(serviceError(error), null);
      }
    };
  }

  #log(): UntypedServiceImplementation {
    return {
      ProduceStream: (call: ServerDuplexStream<StreamRequest, Wire>) => this.#produceStream(call),
      Subscribe: (call: ServerDuplexStream<SubscribeFrame, Wire>) => this.#subscribe(call),
      Recall: this.#unary(({ message_id }) => this.cluster.recall(message_id)),
      Fetch: this.#unary((request) => this.#fetch(request)),
      ListOffsets: this.#unary((request) => this.#listOffsets(request)),
      CommitOffset: this.#unary((request) => this.#commit(request)),
      GetOffset: this.#unary((request) => this.#getOffset(request)),
    };
  }

  #produceStream(call: ServerDuplexStream<StreamRequest, Wire>): void {
    const failed = new Set<number>();
    let chain = Promise.resolve();
    if (this.retired)
      call.emit('error', serviceError(refusal('UNAVAILABLE', 'NODE_STOPPING', true)));
    call.on('error', () => undefined);
    call.on('data', ({ request_id, resume, request }: StreamRequest) => {
      chain = chain.then(async () => {
        if (resume) failed.delete(request.queue);
        const result = failed.has(request.queue)
          ? { error: wireError({ code: 'FAILED_PRECONDITION', reason: 'PRECEDING_FAILED' }) }
          : this.#produceOne(call, request);
        if (result === undefined) return;
        if ('error' in result) failed.add(request.queue);
        await this.cluster.hold?.();
        call.write({ request_id, ...result });
      });
    });
    call.on('end', () => {
      chain.then(() => call.end());
    });
  }

  #produceOne(
    call: ServerDuplexStream<StreamRequest, Wire>,
    request: WireRequest,
  ): Wire | undefined {
    const mishap = this.cluster.mishap(request, this);
    try {
      if (mishap === undefined) return { ack: this.cluster.produce(request) };
      if ('answer' in mishap) return { error: wireError(mishap.answer) };
      const fate = 'silent' in mishap ? mishap.silent : mishap.breaks;
      if (fate === 'stored') this.cluster.produce(request);
      if ('breaks' in mishap) call.emit('error', { code: status.UNAVAILABLE, details: 'broken' });
      return undefined;
    } catch (error) {
      return { error: wireError((error as Refusal).fake) };
    }
  }

  #subscribe(call: ServerDuplexStream<SubscribeFrame, Wire>): void {
    let credit = 0;
    let start: SubscribeFrame['start'] | undefined;
    const next = new Map<number, number>();
    const send = () => {
      const topic = this.cluster.topics.get(start!.topic)!;
      for (const [queue, offset] of next) {
        const end = topic.queues[queue]!.length;
        if (offset < topic.starts[queue]! || offset > end) {
          call.emit('error', serviceError(refusal('OUT_OF_RANGE', 'OFFSET_OUT_OF_RANGE')));
          return;
        }
        const take = Math.min(credit, end - offset);
        if (take <= 0) continue;
        const found = batchesOf(topic, queue, offset, take, start!.filter);
        for (const { count } of found.batches) credit -= count;
        next.set(queue, offset + take);
        call.write({ queue, ...found });
      }
    };
    call.on('error', () => undefined);
    call.on('data', (frame: SubscribeFrame) => {
      if (frame.kind === 'start') {
        start = frame.start;
        for (const { queue, offset } of start.queues) next.set(queue, Number(offset));
        call.sendMetadata(new Metadata());
      }
      this.cluster.creditOutstandingMax = Math.max(
        this.cluster.creditOutstandingMax,
        credit + (frame.kind === 'start' ? frame.start.credit : frame.credit),
      );
      credit += frame.kind === 'start' ? start!.credit : frame.credit;
      send();
    });
    this.#wake.add(send);
    call.on('end', () => call.end());
    call.on('close', () => this.#wake.delete(send));
    call.on('cancelled', () => this.#wake.delete(send));
  }

  readonly #wake = new Set<() => void>();

  get subscriptions(): number {
    return this.#wake.size;
  }

  /** New messages are there: subscriptions look again. */
  wake(): void {
    for (const send of this.#wake) send();
  }

  #fetch(request: WireRequest): Wire {
    const topic = this.#topic(request.topic);
    const offset = Number(request.offset);
    const end = topic.queues[request.queue]!.length;
    const most = request.max_messages > 0 ? request.max_messages : 100;
    const count = Math.min(most, end - offset);
    return batchesOf(topic, request.queue, offset, count, request.filter);
  }

  #topic(name: string): FakeTopic {
    const topic = this.cluster.topics.get(name);
    if (topic === undefined) throw refusal('NOT_FOUND', 'TOPIC_NOT_FOUND');
    return topic;
  }

  #listOffsets(request: WireRequest): Wire {
    const topic = this.#topic(request.topic);
    const named = request.queues;
    const queues = named.length > 0 ? named : topic.queues.map((_, queue) => queue);
    return {
      queues: queues.map((queue) => ({
        queue,
        start_offset: String(topic.starts[queue]),
        end_offset: String(topic.queues[queue]!.length),
      })),
    };
  }

  #commit(request: WireRequest): Wire {
    const group = this.cluster.groups.get(request.group) ?? new Map<string, number>();
    this.cluster.groups.set(request.group, group);
    for (const { queue, offset } of request.offsets) {
      group.set(`${request.topic}/${queue}`, Number(offset));
    }
    return {};
  }

  #getOffset(request: WireRequest): Wire {
    const topic = this.#topic(request.topic);
    const group = this.cluster.groups.get(request.group);
    if (group === undefined) throw refusal('NOT_FOUND', 'GROUP_NOT_FOUND');
    return {
      queues: topic.queues.map((messages, queue) => {
        const offset = group.get(`${request.topic}/${queue}`);
        const place = offset === undefined ? {} : { offset: String(offset) };
        return { queue, ...place, end_offset: String(messages.length) };
      }),
    };
  }

  #transactions(): UntypedServiceImplementation {
    return {
      Prepare: this.#unary((request) => {
        this.cluster.requests.push(request);
        const part = { queue: request.parts[0]!.queue, count: request.parts[0]!.messages.length };
        const ack = { ...part, term: '1', log_index: '5', durability: 'MAJORITY_FSYNC' };
        return { transaction_id: 'hf.1.1.5', parts: [ack], first_check_at_ms: '6000' };
      }),
      End: this.#unary((request) => {
        this.cluster.ended.push(request);
        setImmediate(this.cluster.onEnd);
        const state = request.decision === 'COMMIT' ? 'COMMITTED' : 'UNDECIDED';
        return { state, parts: [{ queue: 1, base_offset: '9', count: 1 }] };
      }),
      List: this.#unary(() => ({ transactions: this.cluster.open })),
      Resume: this.#unary((request) => {
        this.cluster.resumed.push(request.transaction_id);
        return {};
      }),
      PollChecks: this.#unary(() => ({ checks: this.cluster.checks.splice(0) })),
    };
  }

  #admin(): UntypedServiceImplementation {
    const { cluster } = this;
    return {
      CreateTopic: this.#unary((request) => {
        if (cluster.topics.has(request.name)) throw refusal('ALREADY_EXISTS', 'TOPIC_EXISTS');
        const created = cluster.createTopic(request.name, request.queue_count || 3);
        created.compaction = request.config.compaction;
        return { topic: describe(request.name, cluster) };
      }),
      UpdateTopic: this.#unary((request) => {
        cluster.grow(request.name, request.queue_count);
        return { topic: describe(request.name, cluster) };
      }),
      DeleteTopic: this.#unary((request) => {
        this.#topic(request.name);
        cluster.topics.delete(request.name);
        return {};
      }),
      ListTopics: this.#unary(() => ({
        topics: [...cluster.topics.keys()].map((name) => describe(name, cluster)),
      })),
      DescribeTopic: this.#unary((request) => {
        const { queues } = this.#topic(request.name);
        const rows = queues.map((messages, queue) => ({
          queue,
          shard: queue + 1,
          leader: 1,
          end_offset: String(messages.length),
        }));
        return { topic: describe(request.name, cluster), queues: rows };
      }),
      DescribeRetention: this.#unary((request) => {
        cluster.requests.push(request);
        const { queues } = this.#topic(request.topic);
        const log = { shard: 1, bytes: '900', start_index: '4', trim_index: '4', last_index: '9' };
        const [first, then] = [
          { what: 'MESSAGES', index: '5', topic: request.topic, queue: 0 },
          { what: 'SLOW_REPLICA', index: '7', node: 2 },
        ];
        return {
          queues: queues.map((messages, queue) => ({
            ...{ topic: request.topic, queue, shard: 1, end_offset: messages.length, bytes: '80' },
            ...{ oldest_at_ms: queue === 0 ? '1700000000000' : '0' },
            ...{ new_start_offset: queue, going_messages: queue, going_bytes: '10' },
          })),
          nodes: [{ node: 1, bytes: '1000', shards: [{ ...log, holders: [first, then] }] }],
        };
      }),
      DescribeCluster: this.#unary(() => ({
        cluster_id: 'c0ffee',
        node: this.id,
        nodes: [{ id: 1, address: this.address, pid: 42, up: true, state: 'member' }],
        shards: [
          {
            id: 0,
            leader: 1,
            term: '3',
            commit_index: '10',
            applied_index: '9',
            replicas: [{ node: 1, match_index: '10', role: 'leader', replica: 1 }],
            placement: { version: '2', placed_version: '1', voters: [1], leader: 1 },
          },
        ],
      })),
    };
  }
}

function describe(name: string, cluster: FakeCluster): Wire {
  const { compaction, id, epoch, queues } = cluster.topics.get(name)!;
  const config = { retention_ms: '259200000', durability: 'MAJORITY_FSYNC', compaction };
  const counts = { queue_count: queues.length, queue_epoch: String(epoch) };
  return { name, topic_id: id, ...counts, config, created_at_ms: '1700000000000' };
}

/** With a filter, or of a compacted topic, each message that is left as a batch of its own. */
function batchesOf(
  topic: FakeTopic,
  queue: number,
  offset: number,
  count: number,
  filter: SubscribeFrame['start']['filter'],
) {
  const messages = topic.queues[queue]!.slice(offset, offset + count);
  const batch = (at: number, some: readonly Stored[]) => ({
    base_offset: String(at),
    count: some.length,
    stored_at_ms: '1700000000001',
    first_message_id: `1-5-${at}`,
    messages: some,
  });
  const newest = new Map<string, Stored>();
  for (const one of topic.queues[queue]!) if (one.body.length > 0) newest.set(one.key, one);
  const isLeft = (one: Stored): boolean => {
    // Deletions are over at once.
    if (topic.compaction !== null && newest.get(one.key) !== one) return false;
    return filter === null || one.tag === filter.expression;
  };
  const left = messages.flatMap((one, at) => (isLeft(one) ? [batch(offset + at, [one])] : []));
  const all = messages.length === 0 ? [] : [batch(offset, messages)];
  return {
    next_offset: String(offset + messages.length),
    start_offset: String(topic.starts[queue]),
    end_offset: String(topic.queues[queue]!.length),
    batches: left.length === messages.length ? all : left,
  };
}

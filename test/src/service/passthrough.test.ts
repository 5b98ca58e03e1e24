import { Buffer as NodeBuffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { decodeRequest, Proto } from '../../../src/service/proto.ts';
import { encodeFetchAnswer } from '../../../src/service/responses.ts';
import { connect, message, type TestClient, until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

/**
 * Payload bytes pass undecoded (api.md section 2). What could touch them is counted: every decoder
 * that protobufjs makes for a message type, and every bulk copy of memory.
 */
const BODY_BYTES = 100_000;

/** The very instance that makes the codecs. */
const protobuf = createRequire(createRequire(import.meta.url).resolve('@grpc/proto-loader'))(
  'protobufjs',
) as { readonly Reader: { create(bytes: Uint8Array): object } };

interface Counted {
  /** Message objects built on this side of the wire. */
  decoded: number;
  /** Bytes copied in pieces at least as large as a body. */
  copied: number;
}

function counting(): { counted: Counted; restore(): void } {
  const counted: Counted = { decoded: 0, copied: 0 };
  const readers = vi.spyOn(protobuf.Reader, 'create');
  const concat = NodeBuffer.concat.bind(NodeBuffer);
  const large = (bytes: number): number => (bytes >= BODY_BYTES ? bytes : 0);
  const spies = [
    readers,
    vi.spyOn(NodeBuffer, 'concat').mockImplementation((list, total) => {
      counted.copied += large(list.reduce((sum, one) => sum + one.length, 0));
      return concat(list, total);
    }),
    spyCopy(counted, large),
    spySet(counted, large),
  ];
  return {
    counted,
    restore() {
      counted.decoded = readers.mock.calls.length;
      for (const spy of spies) spy.mockRestore();
    },
  };
}

function spyCopy(counted: Counted, large: (bytes: number) => number) {
  const copy = NodeBuffer.prototype.copy;
  return vi.spyOn(NodeBuffer.prototype, 'copy').mockImplementation(function (
    this: Buffer,
    ...rest: Parameters<typeof copy>
  ) {
    counted.copied += large(this.length);
    return copy.apply(this, rest);
  });
}

function spySet(counted: Counted, large: (bytes: number) => number) {
  const set = Uint8Array.prototype.set;
  return vi.spyOn(Uint8Array.prototype, 'set').mockImplementation(function (
    this: Uint8Array,
    source: ArrayLike<number>,
    offset?: number,
  ) {
    counted.copied += large(source.length);
    set.call(this, source, offset);
  });
}

let cluster: FakeCluster;
let client: TestClient;
const proto = new Proto();
const PRODUCE = '/holdfast.v1.Log/Produce';
const FETCH = '/holdfast.v1.Log/Fetch';

beforeAll(async () => {
  cluster = new FakeCluster(2, 2);
  await cluster.start();
  cluster.createTopic('t', 2);
  client = connect(cluster.node(1).port);
  await client.call('Log/Produce', { topic: 't', queue: 0, messages: [message('warm')] });
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

describe('produce', () => {
  test.each([0, 1])('queue %i: zero messages decoded, zero payload bytes copied', async (queue) => {
    const messages = [{ key: 'k', body: Buffer.alloc(BODY_BYTES, 7) }];
    const request = proto.method(PRODUCE).requestSerialize({ topic: 't', queue, messages });
    const own = counting();
    await client.raw(PRODUCE, request);
    own.restore();
    // grpc-js frames the request on the client's side and joins its pieces on the server's: one
    // copy each, before and after our code.
    expect(own.counted.decoded).toBe(0);
    expect(own.counted.copied).toBeLessThanOrEqual(2 * (request.length + 5));
    const { shard } = cluster.node(1).meta.topic('t')!.queues[queue]!;
    const { payload } = cluster.logs.get(shard)!.entries.at(-1)!;
    expect(request.includes(Buffer.from(payload))).toBe(true);
    expect(decodeRequest<{ messages: unknown[] }>(proto.method(PRODUCE), payload).messages).toEqual(
      decodeRequest<{ messages: unknown[] }>(proto.method(PRODUCE), request).messages,
    );
  });

  test('the entry’s payload is the memory that gRPC delivered', async () => {
    const messages = [{ body: Buffer.alloc(BODY_BYTES, 9) }];
    const request = proto.method(PRODUCE).requestSerialize({ topic: 't', queue: 0, messages });
    const { produce } = captured();
    await client.raw(PRODUCE, request);
    const { shard } = cluster.node(1).meta.topic('t')!.queues[0]!;
    await until(() => produce.length > 0);
    const { payload } = cluster.logs.get(shard)!.entries.at(-1)!;
    expect(produce).toContain(payload.buffer);
  });
});

/** The memory behind the bytes that reached a shard. */
function captured(): { produce: ArrayBufferLike[] } {
  const seen: ArrayBufferLike[] = [];
  for (const node of cluster.nodes) {
    const propose = node.host.propose.bind(node.host);
    vi.spyOn(node.host, 'propose').mockImplementation((shard, head, payload, level, done) => {
      seen.push(payload.buffer);
      propose(shard, head, payload, level, done);
    });
  }
  return { produce: seen };
}

describe('fetch', () => {
  test('zero messages decoded, one gather copy into the response', async () => {
    const request = proto.method(FETCH).requestSerialize({ topic: 't', queue: 0, offset: 0 });
    const own = counting();
    const response = await client.raw(FETCH, request);
    own.restore();
    expect(own.counted.decoded).toBe(0);
    // Ours is one; grpc-js frames it again, and the client's side joins what arrived.
    expect(own.counted.copied).toBeLessThanOrEqual(3 * (response.length + 5));
  });

  test('the encoder copies each slice once', () => {
    const messages = Buffer.alloc(BODY_BYTES, 1);
    const row = { queueId: 1, baseOffset: 0, count: 1, index: 5, term: 1 };
    const batch = {
      ...{ baseOffset: 0, count: 1, messages, firstIndex: 5, firstPosition: 0 },
      row: { ...row, storedAtMs: 1, cumulativeBytes: 1 },
    };
    const own = counting();
    const answer = { batches: [batch, batch], nextOffset: 2, startOffset: 0, endOffset: 2 };
    const bytes = encodeFetchAnswer(answer, 3);
    own.restore();
    expect(own.counted).toEqual({ decoded: 0, copied: 2 * BODY_BYTES });
    expect(bytes.length).toBeLessThan(2 * BODY_BYTES + 100);
  });
});

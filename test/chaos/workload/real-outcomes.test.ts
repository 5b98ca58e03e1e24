/**
 * The table of outcomes on real answers of real nodes: what is called `fail` never took effect, and
 * `unknown` is said of everything that may have.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LocalCluster } from '../../../chaos/cluster/local-cluster.ts';
import type { MethodName, ProduceRequest, Request } from '../../../chaos/workload/methods.ts';
import { NodeStub } from '../../../chaos/workload/node-stub.ts';
import { MESSAGE_BYTES_MAX } from '../../../chaos/workload/payload.ts';
import { ProduceSession } from '../../../chaos/workload/produce-session.ts';
import { freeBasePort } from '../../processes/free-ports.ts';

const TOPIC = 'outcomes';
const WHOLE_TIMEOUT_MS = 60_000;
const CALL_TIMEOUT_MS = 20_000;
/** Shorter than any election, and long enough for a request to reach a node. */
const SHORT_TIMEOUT_MS = 1000;
const REFUSALS = 10_000;
const AT_ONCE = 200;
const MANY_TIMEOUT_MS = 180_000;
const DEADLINES_MS = Array.from({ length: 40 }, (_, i) => 1 + 75 * i);
const NOBODY = ['', 'DEADLINE_EXCEEDED', 'OUTCOME_UNKNOWN'];

const folder = mkdtempSync(join(tmpdir(), 'holdfast-outcomes-'));
let cluster: LocalCluster;
let stubs: readonly NodeStub[];
let count = 0;

beforeAll(async () => {
  cluster = await LocalCluster.start(folder, { nodes: 3, needs: [], onLost: () => undefined });
  stubs = cluster.addresses.map((address, i) => new NodeStub(i + 1, address));
  await whole();
  expect(await call('Admin.CreateTopic', { name: TOPIC, queue_count: 1 })).toBe('ok');
  for (const epoch of [0, 1])
    expect(await call('Log.Produce', sequenced('a', epoch, 0))).toBe('ok');
  expect(await call('Transactions.Prepare', prepared('ended', 'e'))).toBe('ok');
  expect(await call('Transactions.End', ended('ended', 'ROLLBACK'))).toBe('ok');
  expect(await call('Log.CommitOffset', committed('g', 2))).toBe('ok');
});

afterAll(async () => {
  for (const stub of stubs ?? []) stub.close();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function whole(): Promise<void> {
  expect(await cluster.whole(WHOLE_TIMEOUT_MS, () => true)).toBeDefined();
}

/** Through each node in turn: its outcome and reason, `ok` for short. */
async function call<M extends MethodName>(
  method: M,
  request: Request<M>,
  timeoutMs = CALL_TIMEOUT_MS,
): Promise<string> {
  const answer = await stubs[count++ % stubs.length]!.call(method, request, timeoutMs);
  return answer.outcome === 'ok' ? 'ok' : `${answer.outcome} ${answer.reason}`;
}

const message = (key: string, body = Buffer.alloc(8)) => ({ key, body });
const produced = (key: string, other: Partial<ProduceRequest> = {}): ProduceRequest => ({
  ...{ topic: TOPIC, queue: 0, messages: [message(key)] },
  ...other,
});
const sequenced = (id: string, epoch: number, sequence: number, key = `${id}.${sequence}`) =>
  produced(key, { producer_id: id, producer_epoch: epoch, sequence });
const prepared = (id: string, key: string, ...more: string[]) => ({
  ...{ producer_group: 'p', transaction_id: id },
  parts: [{ topic: TOPIC, queue: 0, messages: [key, ...more].map((one) => message(one)) }],
});
const ended = (id: string, decision: 'COMMIT' | 'ROLLBACK') => ({
  ...{ producer_group: 'p', transaction_id: id, decision, topic: TOPIC, queue: 0 },
});
const committed = (group: string, offset: number) => ({
  ...{ group, topic: TOPIC, offsets: [{ queue: 0, offset }] },
});

/** What the queue holds, and where the group stands. */
async function state() {
  const keys: string[] = [];
  for (let offset = 0, end = 1; offset < end; ) {
    const read = { topic: TOPIC, queue: 0, offset, max_bytes: 65_536, max_wait_ms: 0 };
    const request = { ...read, linearizable: true };
    const answer = await stubs[0]!.call('Log.Fetch', request, CALL_TIMEOUT_MS);
    if (answer.outcome !== 'ok') throw new Error(answer.text);
    keys.push(...answer.value.batches.flatMap(({ messages }) => messages.map(({ key }) => key)));
    offset = answer.value.next_offset;
    end = answer.value.end_offset;
  }
  const group = { group: 'g', topic: TOPIC, queues: [] };
  const stands = await stubs[0]!.call('Log.GetOffset', group, CALL_TIMEOUT_MS);
  return { keys, committed: stands.outcome === 'ok' ? stands.value.queues[0]?.offset : stands };
}

const refusals: readonly [reason: string, method: MethodName, request: object][] = [
  ['TOPIC_NOT_FOUND', 'Log.Produce', produced('x', { topic: 'nobody' })],
  ['TOPIC_RECREATED', 'Log.Produce', produced('x', { topic_id: 'another' })],
  ['QUEUE_NOT_FOUND', 'Log.Produce', produced('x', { queue: 9 })],
  ['EMPTY_BATCH', 'Log.Produce', produced('x', { messages: [] })],
  ['SEQUENCE_GAP', 'Log.Produce', sequenced('a', 1, 7, 'x')],
  ['SEQUENCE_GAP', 'Log.Produce', sequenced('fresh', 0, 1, 'x')],
  ['PRODUCER_FENCED', 'Log.Produce', sequenced('a', 0, 1, 'x')],
  [
    'SEQUENCE_MISMATCH',
    'Log.Produce',
    { ...sequenced('a', 1, 0), messages: [message('x'), message('x')] },
  ],
  ['TRANSACTION_ID_REUSED', 'Transactions.Prepare', prepared('ended', 'x', 'x')],
  ['TRANSACTION_ENDED', 'Transactions.End', ended('ended', 'COMMIT')],
  ['TRANSACTION_NOT_FOUND', 'Transactions.End', ended('never', 'COMMIT')],
  ['OFFSET_FALLS', 'Log.CommitOffset', committed('g', 1)],
  ['OFFSET_PAST_END', 'Log.CommitOffset', committed('g', 99)],
];

describe('what is refused for certain has no effect', () => {
  it.each(refusals)('%s of %s', async (reason, method, request) => {
    const before = await state();
    for (const _ of stubs) expect(await call(method, request as never)).toBe(`fail ${reason}`);
    expect(await state()).toEqual(before);
  });

  it('a message above the limit', async () => {
    const before = await state();
    const messages = [message('x', Buffer.alloc(MESSAGE_BYTES_MAX))];
    expect(await call('Log.Produce', produced('x', { messages }))).toBe('fail MESSAGE_TOO_LARGE');
    expect(await state()).toEqual(before);
  });

  it(
    `${REFUSALS} times`,
    async () => {
      const before = await state();
      const outcomes = new Set<string>();
      for (let sent = 0; sent < REFUSALS; sent += AT_ONCE) {
        const some = Array.from(
          { length: AT_ONCE },
          (_, i) => refusals[(sent + i) % refusals.length]!,
        );
        const answers = some.map(([reason, method, request]) =>
          call(method, request as never).then((answer) => answer === `fail ${reason}`),
        );
        for (const isAsDue of await Promise.all(answers)) outcomes.add(String(isAsDue));
      }
      expect([...outcomes]).toEqual(['true']);
      expect(await state()).toEqual(before);
    },
    MANY_TIMEOUT_MS,
  );

  it('in a stream, and what comes behind it', async () => {
    const before = await state();
    const session = new ProduceSession(stubs[0]!);
    const answers = [
      ...(await session.send([sequenced('b', 0, 3, 'x')])),
      ...(await session.send([produced('x')])),
    ];
    session.close();
    expect(answers).toMatchObject([
      { outcome: 'fail', reason: 'SEQUENCE_GAP' },
      { outcome: 'fail', reason: 'PRECEDING_FAILED' },
    ]);
    expect(await state()).toEqual(before);
  });

  it('where no leader can be', async () => {
    const before = await state();
    for (const node of [2, 3]) await cluster.process(node).kill();
    const tries = DEADLINES_MS.map((timeoutMs) =>
      stubs[0]!.call('Log.Produce', produced(`within ${timeoutMs}`), timeoutMs),
    );
    const answers = await Promise.all(tries);
    await cluster.heal();
    await whole();
    const { keys } = await state();
    for (const [i, { outcome }] of answers.entries()) {
      expect(outcome).not.toBe('ok');
      if (outcome === 'fail') expect(keys).not.toContain(`within ${DEADLINES_MS[i]}`);
    }
    expect(keys.slice(0, before.keys.length)).toEqual(before.keys);
  });
});

describe('what may have taken effect is unknown', () => {
  /** The leader of the queue alone can write it, and nobody can commit it. */
  async function alone(): Promise<{ leader: number; stub: NodeStub }> {
    await cluster.heal();
    const leaders = await cluster.whole(WHOLE_TIMEOUT_MS, () => true);
    const described = await stubs[0]!.call('Admin.DescribeTopic', { name: TOPIC }, CALL_TIMEOUT_MS);
    if (described.outcome !== 'ok') throw new Error(described.text);
    const leader = leaders?.get(described.value.queues[0]!.shard) ?? 0;
    for (const node of cluster.nodes) if (node !== leader) cluster.process(node).pause();
    return { leader, stub: stubs[leader - 1]! };
  }

  /** Repeated with its sequence it is there once, whether it was before or not. */
  async function settles(request: ProduceRequest): Promise<void> {
    await cluster.heal();
    await whole();
    expect(await call('Log.Produce', request)).toBe('ok');
    const { keys } = await state();
    expect(keys.filter((key) => key === request.messages[0]!.key)).toHaveLength(1);
  }

  it('when the time runs out', async () => {
    const { stub } = await alone();
    const request = sequenced('deadline', 0, 0);
    const answer = await stub.call('Log.Produce', request, SHORT_TIMEOUT_MS);
    expect(answer.outcome).toBe('unknown');
    expect(NOBODY).toContain(answer.outcome === 'ok' ? 'ok' : answer.reason);
    await settles(request);
  });

  it('when the node dies', async () => {
    const { leader, stub } = await alone();
    const request = sequenced('killed', 0, 0);
    const open = stub.call('Log.Produce', request, CALL_TIMEOUT_MS);
    await cluster.process(leader).kill();
    expect(await open).toMatchObject({ outcome: 'unknown', reason: '' });
    await settles(request);
  });

  it('when a stream breaks', async () => {
    const { leader, stub } = await alone();
    const request = sequenced('streamed', 0, 0);
    const session = new ProduceSession(stub);
    const open = session.send([request]);
    await cluster.process(leader).kill();
    expect(await open).toMatchObject([{ outcome: 'unknown', reason: '' }]);
    await settles(request);
  });

  it('when nobody is there', async () => {
    const stub = new NodeStub(1, `127.0.0.1:${await freeBasePort(1)}`);
    const answer = await stub.call('Log.Produce', produced('x'), SHORT_TIMEOUT_MS);
    expect(answer).toMatchObject({ outcome: 'unknown', reason: '' });
    stub.close();
  });
});

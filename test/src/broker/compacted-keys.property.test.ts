/** Any history of compacted queues against maps of their newest messages. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isShown } from '../../../src/broker/compacted-keys.ts';
import { bucketOf } from '../../../src/broker/late-references.ts';
import { MAX_FORGOTTEN_PER_ENTRY } from '../../../src/broker/limits.ts';
import { ShardFixture } from '../../harness/data-shard.ts';

const QUEUES = [1, 2];
const COMPACTION = { minLagMs: 40, tombstoneMs: 100 };
const MAX_KEYS = 9;
const KEYS = MAX_FORGOTTEN_PER_ENTRY / 2;

interface Message {
  readonly key: string;
  readonly offset: number;
  readonly lastOffset: number;
  readonly storedAtMs: number;
  readonly goneAtMs: number | undefined;
}

const anyStep = fc.record({
  what: fc.constantFrom('produce', 'produce', 'produce', 'trim', 'reload', 'close'),
  queueId: fc.constantFrom(...QUEUES),
  keys: fc.array(fc.tuple(fc.nat(KEYS - 1), fc.boolean()), { minLength: 1, maxLength: 4 }),
  /** How often the keys come in one batch: many fill a bucket. */
  times: fc.constantFrom(1, 1, 1, 300),
  passMs: fc.constantFrom(0, 1, 30, 150),
  part: fc.nat(100),
});
type Step = typeof anyStep extends fc.Arbitrary<infer Value> ? Value : never;

class History {
  test = new ShardFixture({ maxCompactedKeys: MAX_KEYS });
  readonly messages = new Map<number, Message[]>(QUEUES.map((queueId) => [queueId, []]));
  readonly starts = new Map<number, number>();

  constructor() {
    for (const queueId of QUEUES) {
      const queue = { queueId, topicId: '8', queue: queueId };
      this.test.apply({ type: 'openQueue', ...queue, compaction: COMPACTION });
    }
  }

  take({ keys, part, passMs, queueId, times, what }: Step): void {
    this.test.timeMs += passMs;
    const messages = this.messages.get(queueId);
    if (what === 'reload') this.test = this.test.reloaded();
    else if (messages === undefined) return;
    else if (what === 'produce') this.#produce(queueId, messages, keys, times);
    else if (what === 'trim') this.#trim(queueId, Math.floor((messages.length * part) / 100));
    // Few histories would be left otherwise.
    else if (part < 10) {
      this.test.apply({ type: 'closeQueue', queueId });
      this.messages.delete(queueId);
    }
  }

  #produce(queueId: number, messages: Message[], drawn: Step['keys'], times: number): void {
    const { state, timeMs } = this.test;
    const some = drawn.map(([key, isTombstone]) => ({ key: `k${key}`, isTombstone }));
    const keys = Array.from({ length: times }, () => some).flat();
    const gone = this.forgettable(queueId).filter((key) => some.every((one) => one.key !== key));
    const what = { queueId, count: keys.length, durability: 1, producer: undefined, keys } as const;
    const baseOffset = messages.length;
    const lastOffset = baseOffset + keys.length - 1;
    expect(this.test.apply({ type: 'produce', ...what })).toMatchObject({ baseOffset });
    for (const { isTombstone, key } of keys) {
      const goneAtMs = isTombstone ? timeMs + COMPACTION.tombstoneMs : undefined;
      messages.push({ key, offset: messages.length, lastOffset, storedAtMs: timeMs, goneAtMs });
    }
    for (const key of gone) expect(state.compactedKeys.latest(queueId, key)).toBeUndefined();
    if (state.counts().compactedKeys < MAX_KEYS) return;
    expect([...this.messages.keys()].flatMap((one) => this.forgettable(one))).toEqual([]);
  }

  #trim(queueId: number, startOffset: number): void {
    const trim = { queueId, startOffset, startIndex: 0 };
    this.test.apply({ type: 'trim', queues: [trim], logTrim: 0 });
    this.starts.set(queueId, Math.max(startOffset, this.starts.get(queueId) ?? 0));
  }

  newest(queueId: number): ReadonlyMap<string, Message> {
    return new Map(this.messages.get(queueId)!.map((message) => [message.key, message]));
  }

  /** Known keys that nothing is shown of any more. */
  forgettable(queueId: number): readonly string[] {
    const known = [...this.newest(queueId).values()].filter(
      ({ key }) => this.test.state.compactedKeys.latest(queueId, key) !== undefined,
    );
    return known.filter((newest) => this.#mayForget(queueId, newest)).map(({ key }) => key);
  }

  #mayForget(queueId: number, { goneAtMs = Number.POSITIVE_INFINITY, offset }: Message): boolean {
    return offset < (this.starts.get(queueId) ?? 0) || goneAtMs <= this.test.timeMs;
  }

  expectState(): void {
    const { compactedKeys } = this.test.state;
    let known = 0;
    for (const queueId of QUEUES) {
      const newest = this.messages.has(queueId) ? this.newest(queueId) : new Map<string, Message>();
      const live = new Map<number, number>();
      for (let key = 0; key < KEYS; key += 1) {
        const expected = newest.get(`k${key}`);
        const is = compactedKeys.latest(queueId, `k${key}`);
        if (is === undefined && (expected === undefined || this.#mayForget(queueId, expected))) {
          continue;
        }
        expect(is).toEqual(expected && expect.objectContaining({ offset: expected.offset }));
        expect(is!.goneAtMs).toBe(expected!.goneAtMs);
        const bucket = bucketOf(expected!.lastOffset);
        live.set(bucket, (live.get(bucket) ?? 0) + 1);
        known += 1;
      }
      for (let bucket = 0; bucket <= bucketOf(newest.get('k0')?.lastOffset ?? 0) + 1; bucket += 1) {
        expect(compactedKeys.liveIn(queueId, bucket)).toBe(live.get(bucket) ?? 0);
      }
    }
    expect(this.test.state.counts().compactedKeys).toBe(known);
    const forgettable = [...this.messages.keys()].flatMap((one) => this.forgettable(one));
    expect(compactedKeys.mayForget(this.test.timeMs)).toBe(forgettable.length > 0);
  }

  expectShown(): void {
    const { compactedKeys } = this.test.state;
    const { timeMs } = this.test;
    for (const [queueId, messages] of this.messages) {
      const newest = this.newest(queueId);
      for (const message of messages.slice(this.starts.get(queueId) ?? 0)) {
        const { goneAtMs = Number.POSITIVE_INFINITY, key, storedAtMs } = message;
        const isYoung = timeMs < storedAtMs + COMPACTION.minLagMs;
        const isIt = isYoung || (newest.get(key) === message && timeMs < goneAtMs);
        const what = { ...message, queueId };
        if (isShown(what, COMPACTION, compactedKeys, timeMs) !== isIt) {
          expect.fail(`${JSON.stringify(message)} of queue ${queueId}: shown should be ${isIt}`);
        }
      }
    }
  }
}

test('the newest message of each key is known, and no other is shown for long', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      const history = new History();
      for (const step of steps) {
        history.take(step);
        history.expectState();
        history.expectShown();
      }
    }),
  );
});

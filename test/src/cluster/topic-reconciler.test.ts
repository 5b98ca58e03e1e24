import { describe, expect, it } from 'vitest';
import type { Command } from '../../../src/broker/commands.ts';
import type { MetaCommand, PendingTopic } from '../../../src/cluster/api.ts';
import {
  createTopicReconciler,
  RECONCILER_LIMITS,
  type TopicReconciler,
} from '../../../src/cluster/topic-reconciler.ts';

interface ShardCall {
  readonly shard: number;
  readonly command: Command;
  readonly done: (ok: boolean, retryLater?: boolean) => void;
}

interface Proposal {
  readonly command: MetaCommand;
  readonly done: (ok: boolean) => void;
}

class Fixture {
  pending: PendingTopic[] = [];
  calls: ShardCall[] = [];
  proposals: Proposal[] = [];
  timer: { delayMs: number; fire: () => void } | undefined;
  answersAtOnce = false;
  readonly reconciler: TopicReconciler;

  constructor(maxConcurrentCalls = 64) {
    this.reconciler = createTopicReconciler(
      {
        pendingTopics: () => this.pending,
        dataShards: [1, 2],
        callShard: (shard, command, done) => {
          if (this.answersAtOnce) done(true);
          else this.calls.push({ shard, command, done });
        },
        proposeMeta: (command, done) => this.proposals.push({ command, done }),
        startTimer: (delayMs, fire) => {
          this.timer = { delayMs, fire };
          return () => {
            this.timer = undefined;
          };
        },
      },
      { ...RECONCILER_LIMITS, maxConcurrentCalls },
    );
  }

  set(...pending: PendingTopic[]): void {
    this.pending = pending;
    this.reconciler.metaApplied();
  }

  takeCalls(): ShardCall[] {
    return this.calls.splice(0);
  }

  succeedAll(): void {
    while (this.calls.length > 0) for (const { done } of this.takeCalls()) done(true);
  }

  fireTimer(): void {
    const { fire } = this.timer!;
    this.timer = undefined;
    fire();
  }

  commands(): MetaCommand[] {
    return this.proposals.map(({ command }) => command);
  }
}

const QUEUES = [
  { queue: 0, queueId: 11, shard: 1 },
  { queue: 1, queueId: 12, shard: 2 },
];
const opening: PendingTopic = { phase: 'open', topicId: '5', queueCount: 2, queues: QUEUES };
const closing: PendingTopic = { phase: 'close', topicId: '5', queues: QUEUES };
const opened: MetaCommand = { type: 'topicOpened', topicId: '5', queueCount: 2 };

describe('topic reconciler', () => {
  it('does nothing until it is ready', () => {
    const test = new Fixture();
    test.set(opening);
    expect(test.calls).toEqual([]);
    test.reconciler.becameReady();
    expect(test.calls).toHaveLength(2);
  });

  it('opens the queues of a compacted topic as such', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    const compaction = { minLagMs: 5, tombstoneMs: 7 };
    test.set({ ...opening, compaction });
    expect(test.takeCalls().map(({ command }) => command)).toMatchObject([
      { type: 'openQueue', compaction },
      { type: 'openQueue', compaction },
    ]);
  });

  it('opens every queue on its shard, then reports once', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set(opening);
    test.reconciler.metaApplied();
    const [first, second, ...more] = test.takeCalls();
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      shard: 1,
      command: { type: 'openQueue', queueId: 11, topicId: '5', queue: 0 },
    });
    expect(second).toMatchObject({ shard: 2, command: { queueId: 12, queue: 1 } });
    second!.done(true);
    expect(test.proposals).toEqual([]);
    first!.done(true);
    expect(test.commands()).toEqual([opened]);
    test.proposals[0]!.done(true);
    test.set();
    expect(test.proposals).toHaveLength(1);
    expect(test.calls).toEqual([]);
  });

  it('fences every queue, then reports once; a later fence is another work', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    const fencing = (minQueueEpoch: number): PendingTopic => ({
      ...{ phase: 'fence', topicId: '5', minQueueEpoch, queues: QUEUES },
    });
    test.set(fencing(2));
    const [first, ...more] = test.takeCalls();
    expect(first).toMatchObject({ shard: 1, command: { type: 'fenceQueue', queueId: 11 } });
    expect(more).toMatchObject([{ shard: 2, command: { queueId: 12, minQueueEpoch: 2 } }]);
    first!.done(true);
    test.set(fencing(3));
    more[0]!.done(true);
    expect(test.proposals).toEqual([]);
    test.succeedAll();
    expect(test.commands()).toEqual([{ type: 'topicFenced', topicId: '5', minQueueEpoch: 3 }]);
  });

  it('closes every queue and makes every data shard forget the topic', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set(closing);
    expect(test.calls.map(({ shard, command }) => [shard, command.type])).toEqual([
      [1, 'closeQueue'],
      [2, 'closeQueue'],
      [1, 'forgetTopic'],
      [2, 'forgetTopic'],
    ]);
    test.succeedAll();
    expect(test.commands()).toEqual([{ type: 'topicClosed', topicId: '5' }]);
  });

  it('repeats a failed call when its shard is available again', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set(opening);
    const [first, second] = test.takeCalls();
    first!.done(false, true);
    second!.done(true);
    test.reconciler.shardAvailable(2);
    expect(test.calls).toEqual([]);
    test.reconciler.shardAvailable(1);
    expect(test.calls).toMatchObject([{ shard: 1, command: { queueId: 11 } }]);
    test.succeedAll();
    expect(test.commands()).toEqual([opened]);
  });

  it('repeats after a growing pause when no event comes', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set({ ...opening, queues: QUEUES.slice(0, 1) });
    for (const delayMs of [100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
      test.takeCalls()[0]!.done(false);
      expect(test.timer?.delayMs).toBe(delayMs);
      test.fireTimer();
    }
    test.succeedAll();
    expect(test.commands()).toEqual([opened]);
  });

  it('repeats a report that failed', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set(opening);
    test.succeedAll();
    test.proposals[0]!.done(false);
    test.fireTimer();
    expect(test.commands()).toEqual([opened, opened]);
  });

  it('bounds the calls under way', () => {
    const test = new Fixture(3);
    test.reconciler.becameReady();
    const queues = Array.from({ length: 8 }, (_, i) => ({ queue: i, queueId: i + 1, shard: 1 }));
    test.set({ ...opening, queueCount: 8, queues });
    expect(test.calls).toHaveLength(3);
    test.calls.shift()!.done(true);
    expect(test.calls).toHaveLength(3);
    test.succeedAll();
    expect(test.commands()).toEqual([{ ...opened, queueCount: 8 }]);
  });

  it('survives ports that answer at once, however many queues', () => {
    const test = new Fixture(2);
    test.answersAtOnce = true;
    test.reconciler.becameReady();
    const queues = Array.from({ length: 20_000 }, (_, i) => ({ queue: i, queueId: i, shard: 1 }));
    test.set({ ...opening, queueCount: 20_000, queues });
    expect(test.commands()).toHaveLength(1);
  });

  it('drops opening for closing, and does not count late answers', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set(opening);
    const late = test.takeCalls();
    test.set(closing);
    expect(test.calls.map(({ command }) => command.type)).toContain('closeQueue');
    for (const { done } of late) done(true);
    expect(test.proposals).toEqual([]);
    test.succeedAll();
    expect(test.commands()).toEqual([{ type: 'topicClosed', topicId: '5' }]);
  });

  it('does not send what was waiting for a work that it dropped', () => {
    const test = new Fixture(1);
    test.reconciler.becameReady();
    test.set(opening);
    test.set(closing);
    test.takeCalls()[0]!.done(true);
    const sent: string[] = [];
    for (let call = test.calls.shift(); call !== undefined; call = test.calls.shift()) {
      sent.push(call.command.type);
      call.done(true);
    }
    expect(sent).toEqual(['closeQueue', 'closeQueue', 'forgetTopic', 'forgetTopic']);
  });

  it('stops when deposed, and its successor starts over', () => {
    const test = new Fixture();
    test.reconciler.becameReady();
    test.set(opening);
    const [first, second] = test.takeCalls();
    first!.done(false, true);
    test.reconciler.deposed();
    expect(test.timer).toBeUndefined();
    second!.done(true);
    test.reconciler.shardAvailable(1);
    test.reconciler.metaApplied();
    expect(test.calls).toEqual([]);
    expect(test.proposals).toEqual([]);

    const successor = new Fixture();
    successor.pending = [opening];
    successor.reconciler.becameReady();
    successor.succeedAll();
    expect(successor.commands()).toEqual([opened]);
  });

  it('starts over itself when it leads again, with its whole concurrency', () => {
    const test = new Fixture(2);
    test.reconciler.becameReady();
    test.set(opening);
    const late = test.takeCalls();
    test.reconciler.deposed();
    for (const { done } of late) done(false, true);
    test.reconciler.becameReady();
    expect(test.calls).toHaveLength(2);
    test.succeedAll();
    expect(test.commands()).toEqual([opened]);
  });
});

import { describe, expect, it, vi } from 'vitest';
import { growDrained } from '../../../src/cli/drain.ts';
import { HoldfastError, type Topic, type UpdateTopic } from '../../../src/client/index.ts';
import { runCommand } from './run-command.ts';

type Change = Omit<UpdateTopic, 'name'>;

/** A topic of which so much is left; each look takes one thing away. */
function topicWith(left: readonly string[], config: Partial<Topic['config']> = {}) {
  const waiting = [...left];
  const asked: Change[] = [];
  const topic = { config: { order: 'STRICT', writes: 'ACCEPTED', ...config } } as Topic;
  const updateTopic = async ({ name: _, ...change }: UpdateTopic): Promise<Topic> => {
    asked.push(change);
    const what = change.queueCount === undefined ? undefined : waiting.shift();
    if (what === undefined) return topic;
    const reason = what === 'too many' ? 'TOO_MANY_TOPICS' : 'NOT_DRAINED';
    throw new HoldfastError({ code: 'FAILED_PRECONDITION', reason, message: what });
  };
  const describeTopic = async () => ({ topic, queues: [] });
  return { admin: { describeTopic, updateTopic }, asked };
}

const change = { name: 't', queueCount: 3 };
const REFUSED = { writes: 'REFUSED' };
const ACCEPTED = { writes: 'ACCEPTED' };
const GROW = { queueCount: 3 };
const never = new AbortController().signal;

describe('more queues for a topic of strict order', () => {
  it('come when nothing is left; what is left is told once each', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true, advanceTimeDelta: 500 });
    const { admin, asked } = topicWith(['12 in a', '12 in a', '3 in a']);
    const told: string[] = [];
    await growDrained(admin, change, { signal: never, onLeft: (text) => told.push(text) });
    vi.useRealTimers();
    expect(told).toEqual(['12 in a', '3 in a']);
    expect(asked).toEqual([REFUSED, GROW, GROW, GROW, GROW, ACCEPTED]);
  });

  it('do not come when it is stopped or cannot be: writes are accepted as before', async () => {
    const stopped = new AbortController();
    for (const [left, text] of [
      ['12 in a', 'stopped: 12 in a'],
      ['too many', 'too many'],
    ] as const) {
      const { admin, asked } = topicWith([left]);
      const onLeft = () => stopped.abort();
      const growing = growDrained(admin, change, { signal: stopped.signal, onLeft });
      await expect(growing).rejects.toThrow(text);
      expect(asked).toEqual([REFUSED, GROW, ACCEPTED]);
    }
  });

  it('leave writes refused where they were before, when they do not come', async () => {
    const { admin, asked } = topicWith(['too many'], { writes: 'REFUSED' });
    const growing = growDrained(admin, change, { signal: never, onLeft: () => undefined });
    await expect(growing).rejects.toThrow('too many');
    expect(asked).toEqual([REFUSED, GROW]);
  });

  it('need no drain without strict order', async () => {
    const { admin, asked } = topicWith([], { order: 'NORMAL' });
    const growing = growDrained(admin, change, { signal: never, onLeft: () => undefined });
    await expect(growing).rejects.toThrow('without --drain');
    expect(asked).toEqual([]);
  });
});

describe('topic update', () => {
  const update = (...words: string[]) => runCommand('topic', 'update', 't', ...words);

  it('takes --drain with --queues alone', async () => {
    await expect(update('--drain')).rejects.toThrow('needs --queues');
    const both = update('--drain', '--queues', '3', '--writes', 'accepted');
    await expect(both).rejects.toThrow('sees to writes by itself');
  });

  it('knows what --writes may be', async () => {
    expect((await update('--writes', 'some')).exitCode).toBe(2);
  });
});

import { describe, expect, it } from 'vitest';
import { type ChildMessage, isStop, reportTo } from '../../../src/cluster/control-channel.ts';

describe('what a node tells its supervisor', () => {
  it('serving and leading at once, then one message for all changes of one turn', async () => {
    const ready = new Set([1]);
    let change = (_shard: number): void => undefined;
    const sent: ChildMessage[] = [];
    reportTo((message) => sent.push(message), {
      shards: () => [0, 1, 2],
      isReady: (shard) => ready.has(shard),
      onLeadership: (listener) => {
        change = listener;
        return () => undefined;
      },
    });
    expect(sent).toEqual([
      { type: 'serving', shards: 3 },
      { type: 'leading', shards: [1] },
    ]);
    ready.add(0);
    change(0);
    ready.delete(1);
    change(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent.slice(2)).toEqual([{ type: 'leading', shards: [0] }]);
  });

  it.each([
    [{ type: 'stop' }, true],
    [{ type: 'go' }, false],
    [null, false],
    ['stop', false],
  ])('%j asks to stop: %s', (message, expected) => {
    expect(isStop(message)).toBe(expected);
  });
});

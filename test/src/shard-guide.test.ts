import { describe, expect, it } from 'vitest';
import type { ShardPlacement } from '../../src/cluster/api.ts';
import { ShardGuide } from '../../src/shard-guide.ts';
import type { ShardHost } from '../../src/shards/api.ts';

const at = (node: number) => ({ replica: node, node, incarnation: `i${node}` });

const PAUSE_MS = 200;
let nowMs = 1000;

function guide(host: { holds?: boolean; leader?: number; voters?: number[] }): ShardGuide {
  const { holds = false, leader, voters = [2, 3, 4] } = host;
  const placement = { voters: voters.map(at), learners: [], leaving: [at(5)], leader: 3 };
  const fake = {
    node: 1,
    holds: () => holds,
    leaderOf: () => leader,
    meta: () => ({ placement: () => placement as unknown as ShardPlacement }),
  };
  return new ShardGuide(fake as unknown as ShardHost, () => nowMs, PAUSE_MS);
}

describe('a shard that lives here', () => {
  it('is led by whom the own replica hears', () => {
    const own = guide({ holds: true, leader: 2, voters: [1, 2] });
    expect(own.isRemote(1)).toBe(false);
    expect(own.leaderOf(1)).toBe(2);
    expect(guide({ holds: true, voters: [1, 2] }).leaderOf(1)).toBeUndefined();
  });

  it('no longer counts when the replica is to go', () => {
    const leaving = guide({ holds: true, leader: 2 });
    expect(leaving.isRemote(1)).toBe(true);
    expect(leaving.leaderOf(1)).toBe(3);
  });
});

describe('a shard that lives elsewhere', () => {
  it('is asked of who should lead, then of who was named, then of the others in turn', () => {
    const away = guide({});
    expect(away.leaderOf(1)).toBe(3);
    expect(away.denied(1, 3, 4)).toBe(true);
    expect(away.leaderOf(1)).toBe(4);
    away.answered(1, 4);
    expect(away.leaderOf(1)).toBe(4);
    const asked = [];
    for (let node = 4; away.denied(1, node, undefined); node = away.leaderOf(1)!) asked.push(node);
    expect(new Set(asked)).toEqual(new Set([2, 3, 4, 5]));
  });

  it('after everybody was asked in vain, only time helps; then it begins anew', () => {
    const away = guide({});
    const ask = () => away.denied(1, away.leaderOf(1)!, undefined);
    const worthIt = Array.from({ length: 20 }, ask);
    expect(worthIt.filter(Boolean)).toHaveLength(4);
    expect(worthIt.slice(4)).not.toContain(true);
    nowMs += PAUSE_MS;
    expect(ask()).toBe(true);
  });

  it('many calls to one node move the guess once', () => {
    const away = guide({});
    expect([3, 3, 3].map((node) => away.denied(1, node, 4))).toEqual([true, false, false]);
    expect(away.leaderOf(1)).toBe(4);
  });

  it('two that name each other are not asked for ever without a pause', () => {
    const away = guide({});
    let tries = 0;
    while (away.denied(1, away.leaderOf(1)!, 2 + (tries % 2))) tries += 1;
    expect(tries).toBe(4);
  });
});

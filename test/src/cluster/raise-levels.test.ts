import { afterEach, expect, it } from 'vitest';
import { FIRST_LEVEL, NEWEST_LEVEL } from '../../../src/broker/feature-level.ts';
import { raiseLevels } from '../../../src/cluster/raise-levels.ts';

type Done = Parameters<Parameters<typeof raiseLevels>[0]['propose']>[4];

/** Shards 0 to 2, of which this node leads those that are `ready`. */
class Host {
  readonly levels = [FIRST_LEVEL, FIRST_LEVEL, FIRST_LEVEL];
  readonly ready = new Set([1]);
  readonly proposed: { shard: number; done: Done }[] = [];
  readonly task: { stop(): void };
  leadership: (shard: number) => void = () => undefined;
  applied: (shard: number) => void = () => undefined;

  constructor() {
    this.task = raiseLevels({
      shards: () => [0, 1, 2],
      isReady: (shard) => this.ready.has(shard),
      meta: () => ({ featureLevel: () => this.levels[0]! }) as never,
      data: (shard) => ({ featureLevel: () => this.levels[shard]! }) as never,
      propose: (shard, _head, _payload, _level, done) => void this.proposed.push({ shard, done }),
      onLeadership: (listener) => {
        this.leadership = listener;
        return () => undefined;
      },
      onApplied: (listener) => {
        this.applied = listener;
        return () => undefined;
      },
    });
  }

  settle(): void {
    for (const { shard, done } of this.proposed.splice(0)) {
      this.levels[shard] = this.levels[0]!;
      done({ status: 'applied' } as never);
      this.applied(shard);
    }
  }
}

const host = new Host();
afterEach(() => host.task.stop());

it('raises what this node leads, once, when the metadata rises and when it comes to lead', () => {
  host.applied(1);
  expect(host.proposed).toEqual([]);
  host.levels[0] = NEWEST_LEVEL;
  host.applied(0);
  host.applied(1);
  expect(host.proposed.map(({ shard }) => shard)).toEqual([1]);
  host.settle();
  expect(host.proposed).toEqual([]);
  host.ready.add(2);
  host.leadership(2);
  expect(host.proposed.map(({ shard }) => shard)).toEqual([2]);
  host.proposed.splice(0)[0]!.done({ status: 'notLeader', leader: undefined } as never);
  host.applied(2);
  expect(host.proposed.map(({ shard }) => shard)).toEqual([2]);
});

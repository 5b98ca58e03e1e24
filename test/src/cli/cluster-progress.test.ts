/** What the commands that wait for a change of the cluster say, and when they give up. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { progress, STUCK_FOR_MS, type Step, waitFor } from '../../../src/cli/cluster-progress.ts';
import { type ClusterDescription, HoldfastError } from '../../../src/client/index.ts';

type Shard = ClusterDescription['shards'][number];

/** Voters of the configuration, and where the shard is to be: `moving` when these differ. */
function shard(id: number, held: number[], wanted: number[], change: Partial<Shard> = {}): Shard {
  const isMoving = held.join() !== wanted.join();
  return {
    ...{ id, leader: held[0]!, term: 1, commitIndex: 5, appliedIndex: 5 },
    replicas: held.map((node) => ({
      ...{ node, matchIndex: 5, role: 'follower', replica: node, catchingUp: false },
      ...{ leaving: !wanted.includes(node), suspect: false },
    })),
    placement: {
      ...{ version: 2, placedVersion: isMoving ? 1 : 2, voters: wanted, learners: [] },
      leader: wanted[0]!,
    },
    ...change,
  };
}

function cluster(down: number[], shards: Shard[], leaving: number[] = [4]): ClusterDescription {
  const nodes = [1, 2, 3, 4].map((id) => ({
    ...{ id, address: `h:${id}`, pid: 0, up: !down.includes(id) },
    state: leaving.includes(id) ? 'leaving' : 'member',
    disk: 'low',
    version: '1',
    newestLevel: 1,
  }));
  return { clusterId: 'c', node: 1, nodes, featureLevel: 1, shards };
}

describe('how far a change is', () => {
  it('counts, and is stuck only when every shard that moves waits for a node that is down', () => {
    const placed = shard(0, [1, 2, 3], [1, 2, 3]);
    const waiting = shard(1, [1, 2, 4], [1, 2, 3]);
    expect(progress(cluster([], [placed, waiting]))).toEqual({
      text: 'shards in place: 1 of 2 (moving: 1)',
      stuck: undefined,
    });
    expect(progress(cluster([3], [placed, waiting])).stuck).toBe(
      'node 3 is down, and shards 1 wait for it: start node 3, or take what is lost out too ' +
        '(holdfast cluster remove 3)',
    );
    const moves = shard(2, [2, 3, 4], [1, 2, 3]);
    expect(progress(cluster([3], [placed, waiting, moves])).stuck).toBeUndefined();
  });

  it('a voter that is there does not hold anything up by being down, a learner does', () => {
    const replaced = shard(1, [1, 3, 4], [1, 2, 3]);
    expect(progress(cluster([3], [replaced])).stuck).toBeUndefined();
    const { replicas } = shard(1, [1, 2, 3], [1, 2, 3]);
    const learning = replicas.map((one) => ({ ...one, catchingUp: one.node === 3 }));
    const catching = shard(1, [1, 2, 4], [1, 2, 3], { replicas: learning });
    expect(progress(cluster([3], [catching])).stuck).toMatch(/node 3 is down/);
  });

  it('without a leader nothing can be taken out: the nodes have to come back', () => {
    const dead = shard(1, [1, 3, 4], [1, 2, 3], { leader: 0 });
    expect(progress(cluster([3, 4], [dead])).stuck).toBe(
      'node 3 is down, and shards 1 wait for it; node 4 is down, and shards 1 wait for it: ' +
        'start them',
    );
  });

  it('names a few of many shards', () => {
    const shards = [1, 2, 3, 4, 5, 6, 7, 8].map((id) => shard(id, [1, 2, 4], [1, 2, 3]));
    expect(progress(cluster([3], shards)).stuck).toMatch(/shards 1, 2, 3, 4, 5, 6, … wait for it/);
  });
});

describe('waiting', () => {
  let said: string[];
  let nowMs: number;
  beforeEach(() => {
    said = [];
    nowMs = 0;
    vi.spyOn(console, 'error').mockImplementation((line: string) => said.push(line));
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const clock = {
    nowMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
  const answer = cluster([], []);

  function wait(steps: (Step | Error | undefined)[], timeout?: number): Promise<void> {
    let at = 0;
    const next = () => steps[Math.min(at++, steps.length - 1)];
    const describeCluster = async () => {
      const step = steps[Math.min(at, steps.length - 1)];
      if (step instanceof Error) throw next();
      return answer;
    };
    const client = { admin: { describeCluster } } as unknown as Parameters<typeof waitFor>[0];
    const options = timeout === undefined ? {} : { timeout };
    return waitFor(client, options, () => next() as Step | undefined, clock);
  }

  it('says each step once, and ends when it is done', async () => {
    await wait([
      { text: 'a' },
      { text: 'a' },
      { text: 'b', stuck: 'for now' },
      { text: 'c' },
      undefined,
    ]);
    expect(said).toEqual(['  a', '  b', '  c']);
  });

  it('gives up when only an operator can help, not before a restart would be over', async () => {
    const stuck = wait([{ text: '3 of 4', stuck: 'node 3 is down: start it' }]);
    await expect(stuck).rejects.toThrow(
      'it cannot go on by itself: 3 of 4; node 3 is down: start it; the same command goes on',
    );
    expect(nowMs).toBe(STUCK_FOR_MS);
  });

  it('counts anew when it went on in between', async () => {
    const stuck: Step = { text: 'x', stuck: 'y' };
    const almost = new Array<Step>(STUCK_FOR_MS / 500).fill(stuck);
    await wait([...almost, { text: 'x' }, ...almost, undefined]);
    expect(said).toEqual(['  x']);
  });

  it('gives up when the time is over, and says where it stands', async () => {
    await expect(wait([{ text: '3 of 4' }], 2000)).rejects.toThrow(
      'not done when the time was over: 3 of 4; the same command goes on from there',
    );
    expect(nowMs).toBe(2000);
  });

  it('bears with nodes that do not answer, not with a refusal', async () => {
    const facts = { code: 'UNAVAILABLE', message: 'gone', retryAfterMs: 0, metadata: {} } as const;
    const error = (retryable: boolean) =>
      new HoldfastError({ ...facts, reason: 'X', retryable, outcomeUnknown: false });
    await wait([error(true), undefined]);
    expect(said).toEqual(['  waiting for the cluster to answer: gone']);
    await expect(wait([error(false), undefined])).rejects.toThrow('gone');
  });
});

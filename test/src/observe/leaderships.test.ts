import { expect, it } from 'vitest';
import { Leaderships } from '../../../src/observe/leaderships.ts';

/** Shard 1 of a host whose leader the test decides; this node is 1. */
function rig() {
  let leader: number | undefined;
  let ready = false;
  let tell: (shard: number) => void = () => undefined;
  let closed = false;
  const leaderships = new Leaderships({
    leaderOf: () => leader,
    isReady: () => ready,
    onLeadership(listener) {
      tell = listener;
      return () => {
        closed = true;
      };
    },
  });
  const become = (next: number | undefined, isReady = false): void => {
    leader = next;
    ready = isReady;
    tell(1);
  };
  return { leaderships, become, isClosed: () => closed };
}

it('counts each leader that comes, and no event that changes nothing', () => {
  const { become, leaderships } = rig();
  expect(leaderships.of(1)).toMatchObject({ changes: 0, won: 0 });
  become(2);
  become(2);
  become(undefined);
  expect(leaderships.of(1)).toMatchObject({ changes: 1, won: 0 });
  become(2);
  become(3);
  expect(leaderships.of(1)).toMatchObject({ changes: 3, won: 0 });
  expect(leaderships.of(2)).toMatchObject({ changes: 0 });
});

it('an election is won when this node may answer, and again after it lost', () => {
  const { become, leaderships } = rig();
  become(1);
  expect(leaderships.of(1)).toMatchObject({ changes: 1, won: 0 });
  become(1, true);
  become(1, true);
  expect(leaderships.of(1)).toMatchObject({ changes: 1, won: 1 });
  become(2);
  become(1, true);
  expect(leaderships.of(1)).toMatchObject({ changes: 3, won: 2 });
});

it('listens no more once closed', () => {
  const { isClosed, leaderships } = rig();
  leaderships.close();
  expect(isClosed()).toBe(true);
});

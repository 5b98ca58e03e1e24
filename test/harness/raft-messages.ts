/** What a leader (replica 2) and candidates say to replica 1, in the words of the paper. */
import type { Append, VoteRequest } from '../../raft/messages.ts';
import { entries, SHARD } from './raft-cluster.ts';

const to1 = { shard: SHARD, to: 1 };

export function append(term: number, prev: [number, number], terms: number[], commit = 0): Append {
  const [prevIndex, prevTerm] = prev;
  return {
    ...to1,
    type: 'append',
    from: 2,
    term,
    prevIndex,
    prevTerm,
    commit,
    wantsWritten: false,
    entries: entries(...Array<number>(prevIndex).fill(0), ...terms).slice(prevIndex),
  };
}

export function vote(from: number, term: number, last: [number, number] = [0, 0]): VoteRequest {
  const [lastIndex, lastTerm] = last;
  return { ...to1, type: 'vote', from, term, lastIndex, lastTerm, transfer: false };
}

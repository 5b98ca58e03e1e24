/**
 * Counting: pure functions over plain data (paper 5.3, 5.4; joint consensus: paper section 6).
 * In a joint configuration a decision needs both halves.
 */
import type { Configuration } from './types.ts';

export type VoteResult = 'won' | 'lost' | 'pending';

/**
 * What counting needs of a configuration: learners never count. A half that is left out is empty.
 */
export type VoterSets = Partial<Pick<Configuration, 'voters' | 'votersOutgoing'>>;

const NOBODY: readonly number[] = [];

export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** The largest index that a majority of `voters` has reached; Infinity when there are none. */
function majorityIndex(voters: readonly number[], matched: ReadonlyMap<number, number>): number {
  if (voters.length === 0) return Infinity;
  const indexes: number[] = [];
  for (const voter of voters) {
    const index = matched.get(voter) ?? 0;
    let at = indexes.length;
    while (at > 0 && indexes[at - 1]! < index) at--;
    indexes.splice(at, 0, index);
  }
  return indexes[majorityOf(voters.length) - 1]!;
}

/**
 * The index that the configuration as a whole has reached. A voter without an index counts as 0.
 */
export function committedIndex(config: VoterSets, matched: ReadonlyMap<number, number>): number {
  const { voters = NOBODY, votersOutgoing = NOBODY } = config;
  const incoming = majorityIndex(voters, matched);
  if (votersOutgoing.length === 0) return incoming;
  return Math.min(incoming, majorityIndex(votersOutgoing, matched));
}

function majorityVote(voters: readonly number[], votes: ReadonlyMap<number, boolean>): VoteResult {
  if (voters.length === 0) return 'won';
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  const needed = majorityOf(voters.length);
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}

/** An empty half agrees with everything, so that a plain configuration is half of a joint one. */
export function voteResult(config: VoterSets, votes: ReadonlyMap<number, boolean>): VoteResult {
  const { voters = NOBODY, votersOutgoing = NOBODY } = config;
  const incoming = majorityVote(voters, votes);
  const outgoing = majorityVote(votersOutgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}

/** Of both halves, each once. */
export function votersOf({ voters = NOBODY, votersOutgoing = NOBODY }: VoterSets): number[] {
  return [...new Set([...voters, ...votersOutgoing])];
}

export function isVoter(config: VoterSets, replica: number): boolean {
  const { voters = NOBODY, votersOutgoing = NOBODY } = config;
  return voters.includes(replica) || votersOutgoing.includes(replica);
}

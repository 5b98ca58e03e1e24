/** Each named point is seen when it happens, and not when it does not. */
import { describe, expect, it } from 'vitest';
import type { CoreMessage } from '../../../raft/messages.ts';
import type { Configuration, Entry, ShardState } from '../../../raft/types.ts';
import { Sightings } from '../../../src/sim/check/sightings.ts';
import { Coverage } from '../../../src/sim/coverage.ts';
import type { LogView } from '../../../src/sim/invariants/views.ts';

const TIMEOUT_MS = 1000;
const PLACE = { node: 1, shard: 0 };
const BASE = { shard: 0, from: 1, to: 2, term: 3 } as const;
const PLAIN: Configuration = { voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [] };

function watch(act: (seen: Sightings) => void): readonly string[] {
  const coverage = new Coverage();
  act(new Sightings(coverage, TIMEOUT_MS));
  return Object.keys(coverage.counts);
}

const votes = (from: number, term = 3): CoreMessage => ({
  ...BASE,
  from,
  term,
  type: 'vote',
  lastIndex: 0,
  lastTerm: 0,
  transfer: false,
});

const preVote: CoreMessage = { ...votes(1), type: 'preVote' } as CoreMessage;

const heartbeat = (to: number): CoreMessage => ({
  ...BASE,
  to,
  type: 'heartbeat',
  commit: 0,
  round: 1,
  rank: 0,
  quiet: false,
});

const NO_BYTES = new Uint8Array(0);
const ENTRY: Entry = {
  index: 1,
  term: 3,
  type: 0,
  timeMs: 0,
  head: NO_BYTES,
  payload: NO_BYTES,
  bodyCrc: 0,
};

const append: CoreMessage = {
  ...BASE,
  type: 'append',
  prevIndex: 0,
  prevTerm: 0,
  commit: 0,
  wantsWritten: false,
  entries: [ENTRY],
};

const reply = (quiet: boolean): CoreMessage => ({
  ...BASE,
  type: 'heartbeatReply',
  round: 1,
  wallMs: 0,
  suspect: false,
  quiet,
});

function state(logStart: number): ShardState {
  return {
    hardState: { term: 1, vote: 0, commit: 0 },
    replica: 1,
    logStart: { index: logStart, term: 1 },
    membership: { config: PLAIN, replicas: [] },
  };
}

const log = (lastIndex: number): LogView => ({
  state: state(0),
  base: 0,
  lastIndex,
  entry: () => undefined,
});

describe('elections', () => {
  it.each([1, 2])('two candidates of a term split the vote; one loses, %d wins', (winner) => {
    const seen = watch((sightings) => {
      for (const from of [1, 2]) sightings.sent(votes(from), 0);
      sightings.leads(PLACE, 3, winner, 0);
    });
    expect(seen).toEqual(['vote split', 'election lost to another candidate']);
  });

  it('one candidate asks several voters', () => {
    const seen = watch((sightings) => {
      for (let voter = 0; voter < 3; voter++) sightings.sent(votes(1), 0);
      sightings.leads(PLACE, 3, 1, 0);
    });
    expect(seen).toEqual([]);
  });

  it('early is a campaign soon after the leader was heard', () => {
    const campaign = (afterMs: number) =>
      watch((sightings) => {
        sightings.received(heartbeat(1), 0);
        sightings.sent(preVote, afterMs);
      });
    expect(campaign(500)).toEqual(['early campaign']);
    expect(campaign(1500)).toEqual([]);
  });

  it('a leader steps down by its own will, or for a higher term', () => {
    const ends = (term: number) =>
      watch((sightings) => {
        sightings.leads(PLACE, 3, 1, 0);
        sightings.committed(0, 5);
        sightings.deposed(PLACE, term);
      });
    expect(ends(3)).toEqual(['CheckQuorum step-down']);
    expect(ends(4)).toEqual(['leader deposed by a higher term']);
  });

  it('a reign without a commit of its own', () => {
    const seen = watch((sightings) => {
      sightings.leads(PLACE, 3, 1, 5);
      sightings.committed(0, 5);
      sightings.crashed(PLACE, false);
    });
    expect(seen).toEqual(['leader elected anew without a commit of its own']);
  });
});

describe('logs', () => {
  it('what conflicts is truncated; what follows is not', () => {
    const entry = { ...ENTRY, index: 4 };
    const writes = (last: number) =>
      watch((sightings) => sightings.writes(log(last), { kind: 'entry', shard: 0, entry }));
    expect(writes(4)).toEqual(['conflict truncation']);
    expect(writes(3)).toEqual([]);
  });

  it('retention, snapshots, replicas that leave', () => {
    const seen = watch((sightings) => {
      sightings.writes(log(9), { kind: 'state', shard: 0, state: state(0) });
      sightings.writes(log(9), { kind: 'state', shard: 0, state: state(4) });
      sightings.writes(log(9), { kind: 'reset', shard: 0, state: state(20) });
      sightings.writes(log(9), { kind: 'drop', shard: 0, replica: 1 });
    });
    expect(seen).toEqual(['log trimmed', 'snapshot took the place of a log', 'replica dropped']);
    const over = watch((sightings) =>
      sightings.writes(log(9), { kind: 'reset', shard: 0, state: state(5) }),
    );
    expect(over).toContain('snapshot over a newer log');
  });

  it('a quiet shard is woken by an entry', () => {
    const woken = (isQuiet: boolean) =>
      watch((sightings) => {
        sightings.sent(reply(isQuiet), 0);
        sightings.sent(append, 1);
        sightings.sent(append, 2);
      });
    expect(woken(true)).toEqual(['quiet shard woken']);
    expect(woken(false)).toEqual([]);
  });

  it('configurations', () => {
    const joint = { ...PLAIN, votersOutgoing: [1], learners: [9] };
    const seen = watch((sightings) => {
      sightings.configured(undefined, joint);
      sightings.configured(PLAIN, joint);
      sightings.configured(joint, PLAIN);
    });
    expect(seen).toEqual([
      'joint configuration entered',
      'learner added',
      'joint configuration left',
    ]);
  });
});

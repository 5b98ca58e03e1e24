/** Planted bugs, all of them: what is wrong in Raft and in the log here, the broker's beside it. */
import { BROKER } from './broker.ts';
import { COMPACTION } from './compaction.ts';
import { DELIVERIES } from './deliveries.ts';
import type { Mutant } from './mutant.ts';
import { TRANSACTIONS } from './transactions.ts';

const SEND_AFTER_DURABLE = 'const last = this.#afterDurable.at(-1);';

function sentAtOnce(type: string): string {
  return `if (message.type === '${type}') { this.#messages.push(message); return; }`;
}

const STORIES = 'test/raft/mutant-stories.test.ts';

const RAFT: readonly Mutant[] = [
  {
    name: 'vote not persisted before the reply',
    file: 'raft/ready',
    from: SEND_AFTER_DURABLE,
    to: `${sentAtOnce('voteReply')} ${SEND_AFTER_DURABLE}`,
  },
  {
    name: 'entries not durable before the ack',
    file: 'raft/ready',
    from: SEND_AFTER_DURABLE,
    to: `${sentAtOnce('appendReply')} ${SEND_AFTER_DURABLE}`,
  },
  {
    name: 'the vote is left out of the record',
    file: 'raft/writes',
    from: 'term: state.term, vote: state.vote, commit',
    to: 'term: state.term, vote: 0, commit',
  },
  {
    name: 'the leader counts itself before its entry is durable',
    file: 'raft/core',
    from: 'state.reign.matched.set(state.self, state.log.durable);',
    to: 'state.reign.matched.set(state.self, state.log.lastIndex);',
  },
  {
    name: 'an entry of an older term is committed by counting',
    file: 'raft/replication',
    from: 'if (log.term(index) !== state.term) return;',
    to: '',
  },
  {
    name: "time is the leader's own clock",
    file: 'raft/shard-time',
    from: 'Math.min(wallMs, medianMs + SHARD_TIME_TOLERANCE_MS)',
    to: 'wallMs',
  },
  {
    name: 'no no-op at election',
    file: 'raft/election',
    from: 'appendOwn(state, EntryType.noop,',
    to: 'void (state, EntryType.noop,',
  },
  {
    name: 'a stale append truncates',
    file: 'raft/follower',
    from: 'if (state.log.matches(entry.index, entry.term)) continue;',
    to: '',
  },
  {
    name: 'a follower commits beyond what was verified',
    file: 'raft/follower',
    from: 'Math.min(leaderCommit, state.verifiedIndex)',
    to: 'Math.min(leaderCommit, state.log.lastIndex)',
    test: { file: STORIES, name: 'a follower commits only what this leader proved' },
  },
  {
    name: 'a truncated entry stays durable',
    file: 'raft/follower',
    from: 'for (const write of state.pendingWrites) write.lastIndex = ',
    to: 'for (const write of state.pendingWrites) write.lastIndex += 0 * ',
  },
  {
    name: 'backtracking after a conflict does not move',
    file: 'raft/replication',
    from: 'progress.becomeProbe(Math.max(1, next));',
    to: 'progress.becomeProbe(rejected + 1);',
  },
  {
    name: 'weaker acks advance the commit index',
    file: 'raft/replication',
    from: 'committedIndex(state.config, reign.matched)',
    to: 'committedIndex(state.config, reign.writtenMarks)',
  },
  {
    name: 'acks of another term count',
    file: 'raft/core',
    from: 'this.#answerOldTerm(message); return;',
    to: 'this.#answerOldTerm(message);',
  },
  {
    name: 'the vote rule looks at the length only',
    file: 'raft/log',
    from: 'return lastTerm > own || (lastTerm === own && lastIndex >= this.#last);',
    to: 'return own >= 0 && lastTerm >= 0 && lastIndex >= this.#last;',
  },
  {
    name: 'a vote is forgotten when the term is seen again',
    file: 'raft/election',
    from: 'const isFree = state.vote === request.from || (state.vote === 0 && state.leader === 0);',
    to: 'const isFree = true;',
  },
  {
    name: 'a read reuses a round that was already under way',
    file: 'raft/read-index',
    from: 'broadcastHeartbeat(state, reign, false);',
    to: 'if (reign.round === 0) broadcastHeartbeat(state, reign, false);',
  },
  {
    name: 'reads before an entry of the own term is committed',
    file: 'raft/read-index',
    from: 'reads.requested.length === 0 || !hasCommittedOwnTerm(state, reign)',
    to: 'reads.requested.length === 0',
  },
  {
    name: 'a read is answered before it is applied',
    file: 'raft/driver-reads',
    from: 'if (head.index > through) return;',
    to: '',
  },
  {
    name: 'an answer goes by the index alone',
    file: 'raft/driver-waiters',
    from: 'if (term === entry.term) waiter.done(',
    to: 'if (term > 0) waiter.done(',
  },
  {
    name: 'a majority is half',
    file: 'raft/quorum',
    from: 'return Math.floor(voters / 2) + 1;',
    to: 'return Math.max(1, Math.floor(voters / 2));',
  },
  {
    name: 'only the new half of a joint configuration commits',
    file: 'raft/quorum',
    from: 'if (votersOutgoing.length === 0) return incoming;',
    to: 'return incoming;',
  },
  {
    name: 'a learner counts in the quorum',
    file: 'raft/quorum',
    from: 'for (const voter of voters) { const index',
    to: 'for (const voter of matched.keys()) { const index',
  },
  {
    name: 'a truncated configuration stays in force',
    file: 'raft/follower',
    from: 'state.membership.truncateFrom(index);',
    to: '',
  },
  {
    name: 'a configuration rules only once it is committed',
    file: 'raft/follower',
    from: 'if (entry.type === EntryType.config) {',
    to: 'if (entry.type === EntryType.config && entry.index <= state.log.commit) {',
  },
];

const RESTORE_TEST = 'test/raft/restore.test.ts';
const RECONFIGURE_TEST = 'test/raft/reconfigure.test.ts';

/** What needs snapshots, members that change, or damage. */
const RARE: readonly Mutant[] = [
  {
    name: 'who proposes in a reign that nobody saw waits for ever',
    file: 'raft/driver-shard',
    from: "this.proposals.abandonBefore(leadsIn === 0 ? core.term + 1 : leadsIn, 'deposed');",
    to: "if (hadLed !== 0) this.proposals.abandonBefore(hadLed + 1, 'deposed');",
    test: {
      file: 'test/raft/driver.test.ts',
      name: 'also of a reign that begins and ends between two flushes',
    },
  },
  {
    name: 'a clock that is heard after a pause counts from before it',
    file: 'raft/driver',
    from: `    this.#instant = undefined;
    this.#heard(from);`,
    to: '    this.#heard(from);',
    test: {
      file: 'test/raft/shard-time.test.ts',
      name: 'a clock is told at the time when it is heard, not when the pass began',
    },
  },
  {
    name: 'a leader without a checkpoint has no heir in the half that goes',
    file: 'raft/driver-snapshot-sender',
    from: 'const heirs = votersOf(currentMembership.config).filter(',
    to: 'const heirs = currentMembership.config.voters.filter(',
    test: {
      file: 'test/raft/snapshot.test.ts',
      name: 'also in a joint configuration, to a voter of the half that goes',
    },
  },
  {
    name: 'a snapshot throws away the suffix that matches',
    file: 'raft/restore',
    from: 'if (!mayKeep) {',
    to: 'if (id.index > 0) {',
    test: { file: RESTORE_TEST, name: 'keeps what follows; only the start of its log moves' },
  },
  {
    name: 'a snapshot older than the commit index is taken',
    file: 'raft/restore',
    from: 'return index > state.log.commit ||',
    to: 'return index > 0 ||',
    test: { file: RESTORE_TEST, name: 'and has it committed, needs no snapshot' },
  },
  {
    name: 'a checkpoint of a newer term is taken in the old one',
    file: 'raft/driver-exchange',
    from: 'runner.core.observeTerm(message.term, this.#context.now());',
    to: 'runner.core.observeTerm(0, this.#context.now());',
    test: {
      file: 'test/raft/damage-trimmed.test.ts',
      name: 'a message between drivers brings a newer one',
    },
  },
  {
    name: 'a snapshot brings no membership',
    file: 'raft/restore',
    from: 'state.membership.replaceBy(id.index, membership);',
    to: 'void membership;',
    test: { file: RESTORE_TEST, name: 'takes the membership that it brings' },
  },
  {
    name: 'acks of a log that a snapshot voided leave late',
    file: 'raft/restore',
    from: 'forgetPromises(state); forgetGone(state);',
    to: 'forgetGone(state);',
    test: {
      file: RESTORE_TEST,
      name: 'a write of the old log that ends late counts for nothing, nor do its acks',
    },
  },
  {
    name: 'two configuration changes at once',
    file: 'raft/reconfigure',
    from: 'return state.membership.lastIndex <= commit && reign.firstIndex <= commit;',
    to: 'return reign.firstIndex <= commit;',
  },
  {
    name: 'a configuration change before an entry of the own term is committed',
    file: 'raft/reconfigure',
    from: 'return state.membership.lastIndex <= commit && reign.firstIndex <= commit;',
    to: 'return state.membership.lastIndex <= commit;',
    test: { file: RECONFIGURE_TEST, name: 'busy: before an entry of its own term is committed' },
  },
  {
    name: 'answers of a removed replica count',
    file: 'raft/reconfigure',
    from: 'known.delete(replica);',
    to: '',
    test: { file: RECONFIGURE_TEST, name: 'its late answers do not count' },
  },
  {
    name: 'a replica with damaged entries campaigns',
    file: 'raft/election',
    from: 'state.isSuspect || state.damaged.size > 0',
    to: 'state.isSuspect',
    test: {
      file: 'test/raft/damage.test.ts',
      name: 'does not campaign, neither by timeout nor on request',
    },
  },
  {
    name: 'a suspect replica votes',
    file: 'raft/election',
    from: 'isFree && !state.isSuspect && state.log.isUpToDate(',
    to: 'isFree && state.log.isUpToDate(',
    test: { file: RECONFIGURE_TEST, name: 'does not vote' },
  },
];

const STORAGE: readonly Mutant[] = [
  {
    name: 'durable before the sync',
    file: 'storage/log-writer',
    from: 'if (singleStep) return this.synced();',
    to: 'return this.synced();',
  },
  {
    name: 'a failed sync is ignored',
    file: 'storage/log-writer',
    from: "if (syncError !== null) return this.failOn('sync of', syncError);",
    to: '',
  },
];

const CLUSTER: readonly Mutant[] = [
  {
    name: 'replicas are retired while they still have a vote',
    file: 'src/cluster/shard-placements',
    from: 'const leaving = known.filter(({ replica }) => !stays.has(replica));',
    to: 'const leaving = known.filter(({ replica }) => replica < 0 && !stays.has(replica));',
  },
];

export const MUTANTS: readonly Mutant[] = [
  ...RAFT,
  ...RARE,
  ...STORAGE,
  ...BROKER,
  ...TRANSACTIONS,
  ...DELIVERIES,
  ...COMPACTION,
  ...CLUSTER,
];

/**
 * Persist before send (paper figure 2; reliability section 2): when a message that promises
 * something leaves a node, the promise is on that node's disk; and a replica votes once per term,
 * over restarts too.
 */
import type { PeerMessage, VoteReply, VoteRequest } from '../../../raft/messages.ts';
import type { ReplicaId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import type { LogView } from './views.ts';

export class Promises {
  readonly #votes = new Map<string, ReplicaId>();

  /** `synced` is the sender's log of that shard, as a power cut would leave it at least. */
  sent(message: PeerMessage, synced: LogView): void {
    if (message.type === 'vote') this.#voted(message, message.from, synced);
    if (message.type === 'voteReply' && message.granted) this.#voted(message, message.to, synced);
    if (message.type === 'appendReply' && message.success) {
      const { term } = synced.state.hardState;
      // After a later term truncated the log, an old ack may still be on its way out.
      const isDurable = term > message.term || synced.lastIndex >= message.matchIndex;
      expect(isDurable, 'ack-durable', () => `${message.from} acked ${message.matchIndex}`);
    }
  }

  #voted(message: VoteRequest | VoteReply, candidate: ReplicaId, synced: LogView): void {
    const { shard, from, term } = message;
    const { hardState } = synced.state;
    const isDurable =
      hardState.term > term || (hardState.term === term && hardState.vote === candidate);
    expect(isDurable, 'vote-durable', () => `${from} voted for ${candidate} in ${term}`);
    const key = `${shard}/${from}/${term}`;
    const known = this.#votes.get(key) ?? candidate;
    expect(known === candidate, 'one-vote', () => `${key}: ${known} and ${candidate}`);
    this.#votes.set(key, candidate);
  }
}

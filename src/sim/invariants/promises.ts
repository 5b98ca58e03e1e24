/**
 * Persist before send (paper figure 2): when a message that promises something leaves a node, the
 * promise is on that node's disk; and a replica votes once per term, over restarts too.
 */
import type { PeerMessage, VoteReply, VoteRequest } from '../../../raft/messages.ts';
import type { SimDisk } from '../disk.ts';
import { expect } from '../failure.ts';

export class Promises {
  readonly #votes = new Map<string, number>();

  sent(message: PeerMessage, disk: SimDisk): void {
    if (message.type === 'vote') this.#voted(message, message.from, disk);
    if (message.type === 'voteReply' && message.granted) this.#voted(message, message.to, disk);
    if (message.type === 'appendReply' && message.success) {
      const image = disk.synced.get(message.shard)!;
      const { term } = image.state.hardState;
      // After a later term truncated the log, an old ack may still be on its way out.
      const isDurable = term > message.term || image.lastIndex >= message.matchIndex;
      expect(isDurable, 'ack-durable', () => `${message.from} acked ${message.matchIndex}`);
    }
  }

  #voted(message: VoteRequest | VoteReply, candidate: number, disk: SimDisk): void {
    const { shard, from, term } = message;
    const { hardState } = disk.synced.get(shard)!.state;
    const isDurable =
      hardState.term > term || (hardState.term === term && hardState.vote === candidate);
    expect(isDurable, 'vote-durable', () => `${from} voted for ${candidate} in ${term}`);
    const key = `${shard}/${from}/${term}`;
    const known = this.#votes.get(key) ?? candidate;
    expect(known === candidate, 'one-vote', () => `${key}: ${known} and ${candidate}`);
    this.#votes.set(key, candidate);
  }
}

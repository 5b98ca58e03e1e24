/**
 * Everything that happened: as a hash (FNV-1a), so that equal hashes mean equal runs, and for
 * whoever asks as lines to read.
 */
import type { PeerMessage } from '../../raft/messages.ts';

export const LEGEND: readonly string[] = [
  'legend: each line is <virtual ms> <what>; n1 is a node, s0 a shard, t1 a term',
  '  n1>n2 <message> s0 t3 ...   left node 1 for node 2 (it may be lost, late, or come twice)',
  '    append 7/2 +3 c5            entries after index 7 of term 2, three of them; commit index 5',
  '    appendReply ok 9 | no 9/2   durable through 9 | conflict at 9, first of its term is 2',
  '    heartbeat r4 c5             round 4, commit index 5;  vote/preVote 9/2: ends at 9 of term 2',
  '  n1 leader s0 n2 t3          node 1 thinks that node 2 leads shard 0 in term 3 (n?: nobody)',
  '  n1 start | crash true       the process starts | ends (true: by a power cut)',
  '  fault <kind>                the nemesis strikes (src/sim/strikes.ts)',
  '  client <tag> <what> s0 n1   a client proposes at node 1; the tag comes again with its answer',
];

export class Trace {
  #hash = 0x811c9dc5;
  #lines: string[] = [];
  #room = 0;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** From now on the last `room` lines are kept. */
  keep(room: number): void {
    this.#room = room;
  }

  /** `readable` says more than the hash needs. */
  add(event: string, readable: () => string = () => event): void {
    let hash = this.#hash;
    for (let at = 0; at < event.length; at++) {
      hash = Math.imul(hash ^ event.charCodeAt(at), 0x01000193);
    }
    this.#hash = hash >>> 0;
    this.note(readable);
  }

  /** For the reader only. */
  note(readable: () => string): void {
    if (this.#room === 0) return;
    this.#lines.push(`${this.#nowMs().toFixed(2).padStart(9)}  ${readable()}`);
    if (this.#lines.length >= 2 * this.#room) this.#lines = this.#lines.slice(-this.#room);
  }

  get value(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-this.#room);
  }
}

/** One message as the legend explains it. */
export function describeMessage(message: PeerMessage): string {
  if (message.type === 'alive') return 'alive';
  const head = `${message.type} s${message.shard} t${message.term}`;
  switch (message.type) {
    case 'append': {
      const { prevIndex, prevTerm, entries, commit } = message;
      return `${head} ${prevIndex}/${prevTerm} +${entries.length} c${commit}`;
    }
    case 'appendReply': {
      const { success, matchIndex, conflictIndex } = message;
      return `${head} ${success ? `ok ${matchIndex}` : `no ${matchIndex}/${conflictIndex}`}`;
    }
    case 'heartbeat':
      return `${head} r${message.round} c${message.commit}`;
    case 'vote':
    case 'preVote':
      return `${head} ${message.lastIndex}/${message.lastTerm}`;
    case 'voteReply':
    case 'preVoteReply':
      return `${head} ${message.granted ? 'yes' : 'no'}${message.sticky ? ' (sticky)' : ''}`;
    default:
      return head;
  }
}

/** Watches what happens for the named points of coverage.ts. */
import type { PeerMessage } from '../../../raft/messages.ts';
import type { LogRecord } from '../../../raft/ports.ts';
import type {
  Configuration,
  LogIndex,
  MonotonicMs,
  ReplicaId,
  ShardId,
  Term,
} from '../../../raft/types.ts';
import type { Coverage } from '../coverage.ts';
import { type LogView, type Place, placeKey } from '../invariants/views.ts';

interface Reign {
  readonly term: Term;
  /** Where its log ended when it was elected: a commit beyond that is its own. */
  readonly lastIndex: LogIndex;
}

export class Sightings {
  readonly #coverage: Coverage;
  readonly #electionTimeoutMs: number;
  /** Of each term. */
  readonly #candidates = new Map<string, Set<ReplicaId>>();
  readonly #heardMs = new Map<string, MonotonicMs>();
  readonly #reigns = new Map<string, Reign>();
  readonly #commits = new Map<ShardId, LogIndex>();
  /** Shards of which a member went quiet since the last entry. */
  readonly #quiet = new Set<ShardId>();

  constructor(coverage: Coverage, electionTimeoutMs: number) {
    this.#coverage = coverage;
    this.#electionTimeoutMs = electionTimeoutMs;
  }

  sent(message: PeerMessage, nowMs: MonotonicMs): void {
    switch (message.type) {
      case 'preVote':
        this.#campaigns(message.shard, message.from, nowMs);
        break;
      case 'vote':
        this.#competes(message.shard, message.term, message.from);
        break;
      case 'preVoteReply':
        if (message.sticky) this.#coverage.reach('pre-vote refused for stickiness');
        break;
      case 'appendReply':
        if (!message.success) this.#coverage.reach('append conflict answered');
        break;
      case 'heartbeatReply':
        if (message.quiet) this.#quiet.add(message.shard);
        break;
      case 'append':
        if (message.entries.length > 0 && this.#quiet.delete(message.shard)) {
          this.#coverage.reach('quiet shard woken');
        }
        break;
      case 'timeoutNow':
        this.#coverage.reach('leadership handed over');
        break;
      case 'invite':
        this.#coverage.reach('replica invited');
        break;
      case 'snapshotChunk':
        this.#coverage.reach('snapshot sent');
        break;
      case 'snapshotRequest':
        if (message.through > 0) this.#coverage.reach('checkpoint asked for a damaged entry');
        else this.#coverage.reach('leader without a checkpoint');
        break;
      case 'repairRequest':
        this.#coverage.reach('damaged entry asked from a peer');
        break;
      default:
    }
  }

  received(message: PeerMessage, nowMs: MonotonicMs): void {
    if (message.type !== 'heartbeat' && message.type !== 'append') return;
    this.#heardMs.set(`${message.shard}/${message.to}`, nowMs);
  }

  #campaigns(shard: ShardId, replica: ReplicaId, nowMs: MonotonicMs): void {
    const heardMs = this.#heardMs.get(`${shard}/${replica}`) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - heardMs < this.#electionTimeoutMs) this.#coverage.reach('early campaign');
  }

  #competes(shard: ShardId, term: Term, replica: ReplicaId): void {
    const key = `${shard}/${term}`;
    const known = this.#candidates.get(key);
    if (known === undefined) {
      this.#candidates.set(key, new Set([replica]));
      return;
    }
    known.add(replica);
    if (known.size > 1) this.#coverage.reach('vote split');
  }

  leads(place: Place, term: Term, self: ReplicaId, lastIndex: LogIndex): void {
    const candidates = this.#candidates.get(`${place.shard}/${term}`) ?? new Set();
    const hasRival = candidates.size > (candidates.has(self) ? 1 : 0);
    if (hasRival) this.#coverage.reach('election lost to another candidate');
    this.#reigns.set(placeKey(place), { term, lastIndex });
  }

  /** `term` is that of the deposed replica now. */
  deposed(place: Place, term: Term): void {
    const reign = this.#reigns.get(placeKey(place));
    if (reign === undefined) return;
    this.#ends(place, reign);
    const isOwnWill = term === reign.term;
    this.#coverage.reach(isOwnWill ? 'CheckQuorum step-down' : 'leader deposed by a higher term');
  }

  /** `isTorn`: something it had handed to its disk was not synced. */
  crashed(place: Place, isTorn: boolean): void {
    if (isTorn) this.#coverage.reach('crash with writes under way');
    const reign = this.#reigns.get(placeKey(place));
    if (reign !== undefined) this.#ends(place, reign);
  }

  #ends(place: Place, { lastIndex }: Reign): void {
    this.#reigns.delete(placeKey(place));
    if ((this.#commits.get(place.shard) ?? 0) > lastIndex) return;
    this.#coverage.reach('leader elected anew without a commit of its own');
  }

  committed(shard: ShardId, index: LogIndex): void {
    this.#commits.set(shard, index);
  }

  /** A configuration was committed. */
  configured(before: Configuration | undefined, after: Configuration): void {
    if (before === undefined) return;
    const wasJoint = before.votersOutgoing.length > 0;
    const isJoint = after.votersOutgoing.length > 0;
    if (!wasJoint && isJoint) this.#coverage.reach('joint configuration entered');
    if (wasJoint && !isJoint) this.#coverage.reach('joint configuration left');
    const isNew = after.learners.some((id) => !before.learners.includes(id));
    if (isNew) this.#coverage.reach('learner added');
  }

  /** Called with the log as it was before the record. */
  writes(log: LogView, record: LogRecord): void {
    if (record.kind === 'entry' && record.entry.index <= log.lastIndex) {
      this.#coverage.reach('conflict truncation');
    }
    if (record.kind === 'state' && record.state.logStart.index > log.base) {
      this.#coverage.reach('log trimmed');
    }
    if (record.kind === 'reset') {
      this.#coverage.reach('snapshot took the place of a log');
      const isOver = log.lastIndex > record.state.logStart.index;
      if (isOver) this.#coverage.reach('snapshot over a newer log');
    }
    if (record.kind === 'drop') this.#coverage.reach('replica dropped');
    if (record.kind === 'drop' && log.state.suspect === true) {
      this.#coverage.reach('suspect replica replaced');
    }
    if (record.kind === 'repair') this.#coverage.reach('damaged entry repaired');
  }
}

/** Something was handed over that a power cut may take. */
export function hasUnsynced(written: LogView, synced: LogView): boolean {
  return written.state !== synced.state || written.lastIndex !== synced.lastIndex;
}

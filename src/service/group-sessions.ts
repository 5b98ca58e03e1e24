/**
 * Sessions of members of groups, in the shards that this node leads: who was not heard of for its
 * session, by this node's monotonic time, leaves. Nothing of it is replicated; whoever comes to
 * lead gives everybody a whole session.
 */
import { EMPTY_BYTES, type LogIndex, type ShardId } from '../../raft/types.ts';
import type { MembershipView } from '../broker/api.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ShardHost } from '../shards/api.ts';
import type { DeadlineClock, Deadlines, Expiring } from './deadlines.ts';

type SessionHost = Pick<
  ShardHost,
  'data' | 'isReady' | 'onApplied' | 'onLeadership' | 'propose' | 'shards'
>;

/** A timer that is later than this says that the whole node stood still, its members' calls too. */
const LATE_MS = 500;
/** After a leave whose fate is not known, or that found no room. */
const RETRY_MS = 500;
const META_SHARD = 0;

interface ShardSessions {
  /** What the state said when the sessions were last put in line with it. */
  changes: number;
  readonly sessions: Map<string, Session>;
}

export class GroupSessions {
  readonly #host: SessionHost;
  readonly #clock: DeadlineClock;
  readonly #deadlines: Deadlines;
  readonly #shards = new Map<ShardId, ShardSessions>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(host: SessionHost, clock: DeadlineClock, deadlines: Deadlines) {
    this.#host = host;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#unsubscribe = [
      host.onLeadership((shard) => this.#led(shard)),
      host.onApplied((shard) => this.#applied(shard)),
    ];
    for (const shard of host.shards()) this.#led(shard);
  }

  get size(): number {
    let size = 0;
    for (const { sessions } of this.#shards.values()) size += sessions.size;
    return size;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const shard of [...this.#shards.keys()]) this.#drop(shard);
  }

  heard(shard: ShardId, group: string, memberId: string): void {
    const session = this.#shards.get(shard)?.sessions.get(keyOf(group, memberId));
    if (session !== undefined) session.heardMs = this.#clock.nowMs();
  }

  /** At once, or when it is known whether the member, which was silent for too long, is gone. */
  whenSure(shard: ShardId, group: string, memberId: string, then: () => void): void {
    const session = this.#shards.get(shard)?.sessions.get(keyOf(group, memberId));
    if (session === undefined || !session.isLeaving) then();
    else session.waiting.push(then);
  }

  #led(shard: ShardId): void {
    if (shard === META_SHARD) return;
    if (!this.#host.isReady(shard)) this.#drop(shard);
    else if (!this.#shards.has(shard)) {
      this.#shards.set(shard, { changes: -1, sessions: new Map() });
      this.#align(shard);
    }
  }

  #applied(shard: ShardId): void {
    if (this.#shards.has(shard) && this.#host.isReady(shard)) this.#align(shard);
  }

  #drop(shard: ShardId): void {
    const dropped = this.#shards.get(shard);
    this.#shards.delete(shard);
    for (const session of dropped?.sessions.values() ?? []) session.end();
  }

  /** A session for every member of a life, and for nobody else. */
  #align(shard: ShardId): void {
    const own = this.#shards.get(shard)!;
    const data = this.#host.data(shard);
    const changes = data.membershipChanges();
    if (changes === own.changes) return;
    own.changes = changes;
    const left = new Map(own.sessions);
    for (const view of data.memberships()) this.#alignGroup(shard, view, own.sessions, left);
    for (const [key, session] of left) {
      if (own.sessions.get(key) === session) own.sessions.delete(key);
      session.end();
    }
  }

  #alignGroup(
    shard: ShardId,
    { group, members }: MembershipView,
    sessions: Map<string, Session>,
    left: Map<string, Session>,
  ): void {
    for (const { memberId, joinedIn, sessionMs } of members.values()) {
      const key = keyOf(group, memberId);
      const known = sessions.get(key);
      if (known?.joinedIn === joinedIn && known.sessionMs === sessionMs) {
        left.delete(key);
        continue;
      }
      const leave = (session: Session) => this.#leave(shard, session);
      const about = { group, memberId, joinedIn, sessionMs };
      sessions.set(key, new Session(this.#clock, this.#deadlines, about, leave));
    }
  }

  #leave(shard: ShardId, session: Session): void {
    const { group, memberId, joinedIn } = session;
    const members = [{ memberId, joinedIn }];
    const head = encodeCommand({ type: 'leaveGroup', group, members, reason: 'silent' });
    this.#host.propose(shard, head, EMPTY_BYTES, 'majorityFsync', (outcome) => {
      // Applied: the member is gone, and its session with it.
      session.settled(outcome.status === 'applied' ? undefined : RETRY_MS);
    });
  }
}

class Session implements Expiring {
  readonly group: string;
  readonly memberId: string;
  readonly joinedIn: LogIndex;
  readonly sessionMs: number;
  heardMs: number;
  isLeaving = false;
  /** Heartbeats that came while it was being asked to leave. */
  waiting: (() => void)[] = [];
  readonly #clock: DeadlineClock;
  readonly #deadlines: Deadlines;
  readonly #leave: (session: Session) => void;
  #dueMs: number;
  #isOver = false;

  constructor(
    clock: DeadlineClock,
    deadlines: Deadlines,
    about: Pick<Session, 'group' | 'memberId' | 'joinedIn' | 'sessionMs'>,
    leave: (session: Session) => void,
  ) {
    this.group = about.group;
    this.memberId = about.memberId;
    this.joinedIn = about.joinedIn;
    this.sessionMs = about.sessionMs;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#leave = leave;
    this.heardMs = clock.nowMs();
    this.#dueMs = this.heardMs + this.sessionMs;
    deadlines.add(this.#dueMs, this);
  }

  end(): void {
    this.#isOver = true;
    this.#deadlines.remove(this.#dueMs, this);
    this.#wake();
  }

  expire(): void {
    const lateMs = this.#clock.nowMs() - this.#dueMs;
    if (lateMs > LATE_MS) this.heardMs += lateMs;
    // What arrived while this node was busy is heard first.
    setImmediate(() => this.#judge());
  }

  settled(againAfterMs: number | undefined): void {
    this.isLeaving = false;
    if (againAfterMs !== undefined && !this.#isOver) {
      this.#sleepUntil(this.#clock.nowMs() + againAfterMs);
    }
    this.#wake();
  }

  #judge(): void {
    if (this.#isOver) return;
    const endsMs = this.heardMs + this.sessionMs;
    if (endsMs > this.#clock.nowMs()) {
      this.#sleepUntil(endsMs);
      return;
    }
    this.isLeaving = true;
    this.#leave(this);
  }

  #sleepUntil(atMs: number): void {
    this.#dueMs = atMs;
    this.#deadlines.add(atMs, this);
  }

  #wake(): void {
    for (const then of this.waiting.splice(0)) then();
  }
}

/** A name of a group has no space in it. */
function keyOf(group: string, memberId: string): string {
  return `${group} ${memberId}`;
}

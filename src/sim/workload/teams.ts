/**
 * Groups with members: readers join, are told what they have, commit, let go of what they lost,
 * leave, or die and are missed after a while. Some commit late, or what is not theirs. No two that
 * live may ever read the same queue.
 */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import type { SimNode } from '../node.ts';
import { TOPIC_ID } from './groups.ts';
import type { Session } from './session.ts';

const READERS = 3;
const QUEUES = 4;
const STEP_MAX = 5;
const MISSED_AFTER_MS = 1500;
const SESSION_MS = 10_000;
const WRONG_SHARE = 0.15;

interface Reader {
  readonly memberId: string;
  instance: number;
  isIn: boolean;
  joinedIn: LogIndex;
  generation: LogIndex;
  table: LogIndex;
  /** What it reads now. */
  held: ReadonlySet<number>;
}

export function teamOf(shard: ShardId): string {
  return `team-${shard}`;
}

export class Team {
  readonly group: string;
  readonly #session: Session;
  readonly #shard: ShardId;
  readonly #readers: readonly Reader[];
  readonly #highest = new Array<number>(QUEUES).fill(0);

  constructor(session: Session, shard: ShardId) {
    this.#session = session;
    this.#shard = shard;
    this.group = teamOf(shard);
    this.#readers = Array.from({ length: READERS }, (_, at) => ({
      ...{ memberId: `reader-${at}`, instance: 0, isIn: false },
      ...{ joinedIn: 0, generation: 0, table: 0, held: new Set<number>() },
    }));
  }

  act(): void {
    const { random } = this.#session;
    const reader = random.pick(this.#readers);
    if (!reader.isIn) {
      this.#join(reader);
      return;
    }
    const draw = random.next();
    if (draw < 0.45) this.#commit(reader);
    else if (draw < 0.8) this.#acknowledge(reader);
    else if (draw < 0.86) this.#leave(reader, 'left', 0);
    else if (draw < 0.91) this.#leave(reader, 'silent', MISSED_AFTER_MS);
    else this.#reset();
  }

  #join(reader: Reader): void {
    reader.instance += 1;
    const { group } = this;
    const { instance, memberId } = reader;
    const who = { group, memberId, instanceId: `${instance}`, clientName: '', isNamedHere: false };
    const topics = [{ topicId: TOPIC_ID, name: 'orders', queueCount: QUEUES }];
    const command = { type: 'joinGroup', ...who, sessionMs: SESSION_MS, mode: 'cluster', topics };
    this.#ask(command as Command, (result, node) => {
      if (result.type !== 'joined' || reader.instance !== instance) return;
      reader.isIn = true;
      this.#learn(reader, node);
    });
  }

  /** It reads no more what it lost by the generation that it knows. */
  #acknowledge(reader: Reader): void {
    const { random } = this.#session;
    const { generation, instance, memberId } = reader;
    const known = random.chance(WRONG_SHARE) ? random.between(0, generation) : generation;
    const command = { type: 'acknowledgeGroup', group: this.group, memberId, generation: known };
    this.#ask(command as Command, (result, node) => {
      if (reader.instance !== instance || !reader.isIn) return;
      if (result.type === 'joined') this.#learn(reader, node);
      else reader.isIn = false;
    });
  }

  #commit(reader: Reader): void {
    const { random } = this.#session;
    const isWrong = random.chance(WRONG_SHARE);
    const held = [...reader.held];
    if (held.length === 0 && !isWrong) return;
    const queue = isWrong ? random.between(0, QUEUES - 1) : random.pick(held);
    this.#highest[queue]! += random.between(1, STEP_MAX);
    const offsets = [{ queue, offset: this.#highest[queue]! }];
    const member = { memberId: reader.memberId, generation: reader.generation };
    const { group } = this;
    this.#ask({ type: 'commitOffsets', group, topicId: TOPIC_ID, offsets, member }, (result) => {
      const { coverage } = this.#session.cluster.judge;
      if (result.type === 'offsets') coverage.reach('member committed');
      else if (result.type === 'refused' && result.refusal.reason === 'STALE_GENERATION') {
        coverage.reach('stale commit refused');
      }
    });
  }

  /** It reads nothing any more; the others hear of it at once, or when it is missed. */
  #leave(reader: Reader, reason: 'left' | 'silent', afterMs: number): void {
    const members = [{ memberId: reader.memberId, joinedIn: reader.joinedIn }];
    reader.isIn = false;
    reader.held = new Set();
    reader.table = 0;
    this.#session.after(afterMs, () =>
      this.#ask({ type: 'leaveGroup', group: this.group, members, reason }, () => {}),
    );
  }

  #reset(): void {
    const { random } = this.#session;
    const queue = random.between(0, QUEUES - 1);
    const offsets = [{ queue, offset: random.between(0, this.#highest[queue]!) }];
    const command = { type: 'resetOffsets', group: this.group, topicId: TOPIC_ID, offsets };
    this.#ask(command as Command, () => {});
  }

  /** As a heartbeat tells it: the state of whoever has just applied our entry. */
  #learn(reader: Reader, node: SimNode): void {
    const { machine } = node;
    if (!machine.isOpen || !machine.life.machine.holds(this.#shard)) return;
    const state = machine.data(this.#shard).membership(this.group);
    const member = state?.members.get(reader.memberId);
    if (state === undefined || member?.instanceId !== `${reader.instance}`) return;
    if (state.table < reader.table) return;
    reader.joinedIn = member.joinedIn;
    reader.generation = state.generation;
    reader.table = state.table;
    const queues = state.topics.get(TOPIC_ID)?.queues ?? [];
    const isOwn = ({ owner, next }: (typeof queues)[number]) =>
      owner === reader.memberId && next === reader.memberId;
    reader.held = new Set(queues.flatMap((queue, at) => (isOwn(queue) ? [at] : [])));
    this.#expectAlone(reader);
  }

  #expectAlone(reader: Reader): void {
    const { coverage } = this.#session.cluster.judge;
    for (const other of this.#readers) {
      if (other === reader || !other.isIn) continue;
      const shared = [...other.held].filter((queue) => reader.held.has(queue));
      const text = () => `${this.group}: ${reader.memberId}, ${other.memberId}: ${shared}`;
      expect(shared.length === 0, 'group-held-once', text);
      if (other.held.size > 0 && reader.held.size > 0) coverage.reach('members share a topic');
    }
  }

  #ask(command: Command, done: (result: ApplyResult, node: SimNode) => void): void {
    const target = this.#session.target(this.#shard);
    this.#session.request(
      this.#shard,
      { command },
      (reply) => {
        if (reply.status === 'applied') done(reply.result, target);
      },
      target,
    );
  }
}

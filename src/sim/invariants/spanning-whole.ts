/**
 * Transactions over shards (internals rule 9), told from the logs alone: one outcome, decided by
 * the coordinator's log before any part of it is seen; all parts or none; what is held is held
 * against everybody, until the outcome and no longer; offsets move with the commit, once.
 */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { ApplyResult, Command, StoredAt } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import type { TopicOffsets } from '../../broker/transaction-commands.ts';
import { globalText } from '../../broker/transaction-parts.ts';
import { expect } from '../failure.ts';
import { SIM_LIMITS } from '../limits.ts';
import type { CopiedBodies } from './copied-bodies.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;
type ResultOf<Type extends ApplyResult['type']> = Extract<ApplyResult, { type: Type }>;

interface Span {
  readonly plan: CommandOf<'begin'>;
  readonly begunAtMs: number;
  /** Since it is prepared. */
  places: readonly StoredAt[] | undefined;
  outcome: 'committed' | 'rolledBack' | undefined;
  /** Participants that have applied the outcome. */
  readonly applied: Set<ShardId>;
}

interface Part {
  readonly span: string;
  readonly part: number;
  state: 'held' | 'shown' | 'dropped';
}

interface Hold {
  readonly span: string;
  readonly at: LogIndex;
  readonly group: string;
  readonly topics: readonly TopicOffsets[];
}

/** Offsets that a transaction moves. */
export type Moved = Pick<Hold, 'group' | 'topics'>;
type CommittedOffset = (group: string, topicId: string, queue: number) => number | undefined;

export class SpanningWhole {
  readonly #copies: CopiedBodies;
  readonly #spans = new Map<string, Span>();
  /** By shard and log index. */
  readonly #parts = new Map<string, Part>();
  /** By shard and transaction. */
  readonly #holds = new Map<string, Hold>();
  /** By shard, group, topic and queue. */
  readonly #places = new Map<string, Hold>();

  constructor(copies: CopiedBodies) {
    this.#copies = copies;
  }

  applied(
    shard: ShardId,
    entry: Entry,
    command: Command,
    result: ApplyResult,
    current: CommittedOffset,
  ): void {
    switch (command.type) {
      case 'begin':
        this.#begun(shard, entry, command, result);
        break;
      case 'prepared':
        if (result.type === 'prepared' && !result.duplicate) this.#prepared(shard, command);
        break;
      case 'end':
        if (result.type === 'ended') this.#ended(shard, entry, command, result);
        break;
      case 'preparePart':
        this.#stored(shard, entry, command, result);
        break;
      case 'prepareOffsets':
        this.#held(shard, entry, command, result, current);
        break;
      case 'commitOffsets':
      case 'resetOffsets':
        this.#moved(shard, command, result);
        break;
      case 'resolved':
        for (const participant of command.shards) this.#told(shard, command, participant);
        break;
      default:
    }
  }

  /** Before `resolved`: a row that the outcome made visible. */
  shows(shard: ShardId, entry: Entry, command: CommandOf<'resolve'>, row: QueueIndexRow): void {
    const name = globalText(command.transaction);
    const span = this.#spans.get(name);
    const first = this.#copies.firstOf(shard, row.index);
    const part = this.#parts.get(`${shard}/${first}`);
    const what = () => `shard ${shard}: entry ${entry.index} shows ${row.index} of ${name}`;
    expect(part?.span === name, 'part-of-another', what);
    expect(span?.outcome === 'committed', 'part-before-commit', what);
    const isListed = span!.places?.[part!.part]?.index === first;
    expect(isListed && part!.state === 'held', 'part-once', what);
    part!.state = 'shown';
  }

  /** The participant applies the outcome; `hasMoved`: it wrote offsets of a group. */
  resolved(
    shard: ShardId,
    { index }: Entry,
    command: CommandOf<'resolve'>,
    hasMoved: boolean,
  ): Moved | undefined {
    const name = globalText(command.transaction);
    const span = this.#spans.get(name);
    const what = () => `shard ${shard}: entry ${index}, ${name} ${command.commits}`;
    expect(span?.outcome !== undefined, 'resolved-undecided', what);
    const isCommit = span!.outcome === 'committed';
    expect(isCommit === command.commits, 'one-outcome', what);
    span!.applied.add(shard);
    for (const [place, part] of this.#parts) {
      const isOwn = part.span === name && part.state === 'held' && place.startsWith(`${shard}/`);
      if (isOwn) part.state = 'dropped';
    }
    if (isCommit) this.#expectWhole(shard, name, span!);
    const hold = this.#free(shard, name);
    const isGood = isCommit && hold !== undefined && this.#isListed(span!, hold);
    expect(hasMoved === isGood, 'offsets-once', what);
    return isGood ? hold : undefined;
  }

  /** Of this shard. */
  #expectWhole(shard: ShardId, name: string, { places, plan }: Span): void {
    for (const [at, part] of plan.parts.entries()) {
      const place = `${part.shard}/${places?.[at]?.index}`;
      const isShown = part.shard !== shard || this.#parts.get(place)?.state === 'shown';
      expect(isShown, 'all-or-none', () => `${name}: part ${at} at ${place}`);
    }
  }

  #isListed({ places, plan }: Span, { at }: Hold): boolean {
    return places?.[plan.parts.length]?.index === at;
  }

  #free(shard: ShardId, name: string): Hold | undefined {
    const hold = this.#holds.get(`${shard}/${name}`);
    if (hold === undefined) return undefined;
    this.#holds.delete(`${shard}/${name}`);
    for (const place of placesOf(shard, hold)) this.#places.delete(place);
    return hold;
  }

  #begun(shard: ShardId, entry: Entry, plan: CommandOf<'begin'>, result: ApplyResult): void {
    if (result.type !== 'prepared' || result.duplicate) return;
    const name = globalText({ shard, ...result.id });
    const rest = { places: undefined, outcome: undefined, applied: new Set<ShardId>() };
    this.#spans.set(name, { plan, begunAtMs: entry.timeMs, ...rest });
  }

  #prepared(shard: ShardId, { transaction, parts: places }: CommandOf<'prepared'>): void {
    const name = globalText({ shard, ...transaction });
    const span = this.#spans.get(name)!;
    for (const [at, { shard: home }] of span.plan.parts.entries()) {
      const found = this.#parts.get(`${home}/${places[at]?.index}`);
      const isThere = found?.span === name && found.part === at && found.state === 'held';
      expect(isThere, 'prepared-whole', () => `${name}: part ${at}`);
    }
    const { offsets } = span.plan;
    const hold = offsets === undefined ? undefined : this.#holds.get(`${offsets.shard}/${name}`);
    const isHeld = hold?.at === places[span.plan.parts.length]?.index;
    expect(isHeld, 'prepared-whole', () => `${name}: its offsets`);
    span.places = places;
  }

  #ended(
    shard: ShardId,
    entry: Entry,
    command: CommandOf<'end'>,
    { id, state }: ResultOf<'ended'>,
  ): void {
    const name = globalText({ shard, ...id });
    const span = this.#spans.get(name);
    if (span === undefined || (state !== 'committed' && state !== 'rolledBack')) return;
    const what = () => `${name}: ${state} in ${entry.index}, by ${command.by}; ${span.outcome}`;
    if (span.outcome !== undefined) {
      expect(span.outcome === state, 'one-outcome', what);
      return;
    }
    const isPrepared = span.places !== undefined;
    expect(isPrepared || state === 'rolledBack', 'commit-unprepared', what);
    const isAbort = command.by === 'refusal' || command.by === 'timeout';
    expect(!(isAbort && isPrepared), 'prepared-stays', what);
    const isLate = entry.timeMs >= span.begunAtMs + SIM_LIMITS.prepareTimeoutMs;
    expect(command.by !== 'timeout' || isLate, 'aborted-early', what);
    span.outcome = state;
  }

  #stored(
    shard: ShardId,
    { index }: Entry,
    { transaction, part }: CommandOf<'preparePart'>,
    result: ApplyResult,
  ): void {
    if (result.type !== 'partPrepared') return;
    const span = globalText(transaction);
    if (result.at.index === index) {
      this.#parts.set(`${shard}/${index}`, { span, part, state: 'held' });
      return;
    }
    const known = this.#parts.get(`${shard}/${result.at.index}`);
    const isSame = known?.span === span && known.part === part && known.state !== 'dropped';
    expect(isSame, 'part-known', () => `shard ${shard}: ${index} of ${span} is no ${part}`);
  }

  #held(
    shard: ShardId,
    { index }: Entry,
    command: CommandOf<'prepareOffsets'>,
    result: ApplyResult,
    current: CommittedOffset,
  ): void {
    const { group, topics } = command;
    const span = globalText(command.transaction);
    const hold = { span, at: index, group, topics };
    const taken = [...placesOf(shard, hold)].some((place) => this.#places.has(place));
    const what = () => `shard ${shard}: entry ${index} of ${span}: ${JSON.stringify(result)}`;
    if (result.type === 'refused') {
      const isPending = result.refusal.reason === 'OFFSETS_PENDING';
      expect(!isPending || taken, 'hold-over', what);
    }
    if (result.type !== 'partPrepared' || result.at.index !== index) return;
    expect(!taken, 'hold-exclusive', what);
    for (const { topicId, offsets } of topics) {
      const isThere = offsets.every(({ queue, from }) => current(group, topicId, queue) === from);
      expect(isThere, 'offsets-from', what);
    }
    this.#holds.set(`${shard}/${span}`, hold);
    for (const place of placesOf(shard, hold)) this.#places.set(place, hold);
  }

  #moved(
    shard: ShardId,
    { group, offsets, topicId }: CommandOf<'commitOffsets' | 'resetOffsets'>,
    result: ApplyResult,
  ): void {
    const isHeld = offsets.some(({ queue }) => {
      return this.#places.has(`${shard}/${group}/${topicId}/${queue}`);
    });
    const what = () => `shard ${shard}: ${group} ${JSON.stringify([offsets, result])}`;
    expect(result.type !== 'offsets' || !isHeld, 'hold-kept', what);
    const isPending = result.type === 'refused' && result.refusal.reason === 'OFFSETS_PENDING';
    expect(!isPending || isHeld, 'hold-over', what);
  }

  #told(shard: ShardId, { transaction }: CommandOf<'resolved'>, participant: ShardId): void {
    const name = globalText({ shard, ...transaction });
    const isApplied = this.#spans.get(name)?.applied.has(participant) === true;
    expect(isApplied, 'resolved-early', () => `${name}: ${participant} has not applied it`);
  }

  /** What the state of a replica that has applied everything holds: this, and nothing else. */
  expectState(shard: ShardId, data: DataShard): void {
    const held = new Set([...data.heldSince(Number.MAX_SAFE_INTEGER)].map(globalText));
    const expected = new Set<string>();
    for (const [place, { span, state }] of this.#parts) {
      if (state === 'held' && place.startsWith(`${shard}/`)) expected.add(span);
    }
    for (const [place, { span }] of this.#holds) {
      if (place.startsWith(`${shard}/`)) expected.add(span);
    }
    const what = () => `shard ${shard} holds ${[...held]}, not ${[...expected]}`;
    expect([...held].sort().join() === [...expected].sort().join(), 'held-until-outcome', what);
  }

  /** At the end, when every participant has heard: all parts or none, and nothing is held. */
  expectEnd(): void {
    for (const { span: name, state } of this.#parts.values()) {
      const outcome = this.#spans.get(name)?.outcome;
      const isRight = state !== 'shown' ? outcome !== undefined : outcome === 'committed';
      const isOpen = state === 'held' && outcome === undefined;
      expect(isOpen || (isRight && state !== 'held'), 'all-or-none', () => `${name}: ${state}`);
    }
    for (const [name, span] of this.#spans) {
      if (span.outcome !== 'committed') continue;
      for (const { shard } of span.plan.parts) this.#expectWhole(shard, name, span);
    }
    for (const { span: name } of this.#holds.values()) {
      const isOpen = this.#spans.get(name)?.outcome === undefined;
      expect(isOpen, 'hold-over', () => `${name} still holds offsets`);
    }
  }
}

function* placesOf(shard: ShardId, { group, topics }: Moved): Generator<string> {
  for (const { topicId, offsets } of topics) {
    for (const { queue } of offsets) yield `${shard}/${group}/${topicId}/${queue}`;
  }
}

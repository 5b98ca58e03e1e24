/**
 * What clients were told is true (internals rule 12): an acknowledged entry stays where it was said
 * to be, a definite refusal never takes effect, a read sees everything acknowledged before it
 * began.
 */
import type { ProposalOutcome, ReadOutcome } from '../../../raft/driver.ts';
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import { textOf } from '../payload.ts';
import type { Committed } from './committed.ts';

interface Acked {
  readonly shard: ShardId;
  readonly index: LogIndex;
  readonly text: string;
}

export class Answers {
  readonly #committed: Committed;
  readonly #acked: Acked[] = [];
  readonly #refused = new Set<string>();
  readonly #highestAck = new Map<ShardId, LogIndex>();
  readonly counts: Record<ProposalOutcome['status'], number> = {
    applied: 0,
    written: 0,
    notLeader: 0,
    overloaded: 0,
    replaced: 0,
    unknown: 0,
  };
  readsOk = 0;

  constructor(committed: Committed) {
    this.#committed = committed;
  }

  get acked(): number {
    return this.#acked.length;
  }

  highestAck(shard: ShardId): LogIndex {
    return this.#highestAck.get(shard) ?? 0;
  }

  proposed(shard: ShardId, text: string, outcome: ProposalOutcome): void {
    this.counts[outcome.status]++;
    if (outcome.status === 'applied') {
      const { index, result } = outcome;
      expect(result === index, 'own-result', () => `${text}: ${String(result)} at ${index}`);
      this.#acked.push({ shard, index, text });
      this.#highestAck.set(shard, Math.max(index, this.highestAck(shard)));
      this.#expectThere({ shard, index, text });
    } else if (outcome.status !== 'unknown' && outcome.status !== 'written') {
      this.#refused.add(`${shard}/${text}`);
    }
  }

  read(shard: ShardId, ackedBefore: LogIndex, applied: LogIndex, outcome: ReadOutcome): void {
    if (outcome.status !== 'ok') return;
    this.readsOk++;
    const { index } = outcome;
    expect(index >= ackedBefore, 'read-fresh', () => `${shard}: read ${index} < ${ackedBefore}`);
    expect(applied >= index, 'read-applied', () => `${shard}: applied ${applied} < ${index}`);
  }

  #expectThere({ shard, index, text }: Acked): void {
    const entry = this.#committed.of(shard)[index - 1];
    const found = entry === undefined ? 'nothing' : textOf(entry);
    expect(found === text, 'acked-survives', () => `${shard}/${index}: ${text}, found ${found}`);
  }

  /** At the end of a run. */
  expectAll(shards: readonly ShardId[]): void {
    for (const acked of this.#acked) this.#expectThere(acked);
    for (const shard of shards) {
      const seen = new Set<string>();
      for (const text of this.#committed.of(shard).map(textOf)) {
        if (text === '') continue;
        expect(!seen.has(text), 'applied-once', () => `${shard}: ${text}`);
        expect(!this.#refused.has(`${shard}/${text}`), 'refused-stays-out', () => text);
        seen.add(text);
      }
    }
  }
}

/**
 * Holds what clients were told (workload/history.ts) against what the committed entries did
 * (ledger.ts). Outcomes that stayed unknown are settled by the latter: such a batch stands in its
 * queue once or not at all, and either is right.
 */
import type { QueueId } from '../../broker/commands.ts';
import {
  type History,
  isBefore,
  type Moment,
  type OffsetCommit,
  type QueueRead,
  type SentBatch,
  type Stand,
} from '../workload/history.ts';
import type { Shown } from './ledger.ts';

/** The part of the ledger that is looked at. */
export interface Truth {
  queues(): Iterable<QueueId>;
  shown(queueId: QueueId): readonly Shown[];
  /** The first offset that was not deleted. */
  startOf(queueId: QueueId): number;
  /** Delayed, and neither shown nor recalled so far. */
  waits(batch: string): boolean;
  committed(group: string, topicId: string, queue: number): Stand;
}

export interface Findings {
  /** Batches that were acknowledged. */
  readonly acked: number;
  /** Of those, not where they were said to be. */
  readonly lost: number;
  /** Batches that stand in a queue more than once. */
  readonly duplicated: number;
  readonly unknownApplied: number;
  readonly unknownLost: number;
  /** In words, first the worst; empty = all is well. */
  readonly problems: readonly string[];
}

interface Placed {
  readonly sent: SentBatch;
  readonly baseOffset: number;
}

export function checkHistory(history: History, truth: Truth): Findings {
  const checker = new Checker(history, truth);
  return checker.findings();
}

class Checker {
  readonly #history: History;
  readonly #truth: Truth;
  readonly #problems: string[] = [];
  readonly #positions = new Map<string, Shown[]>();
  readonly #placed = new Map<QueueId, Placed[]>();
  #lost = 0;
  #duplicated = 0;

  constructor(history: History, truth: Truth) {
    this.#history = history;
    this.#truth = truth;
  }

  findings(): Findings {
    const { batches } = this.#history;
    this.#locate();
    for (const sent of batches) this.#judge(sent);
    for (const placed of this.#placed.values()) {
      this.#expectRealTimeOrder(placed);
      this.#expectSendOrder(placed);
    }
    this.#judgeReads();
    this.#judgeOffsets();
    const unknown = batches.filter(({ outcome }) => outcome === 'unknown');
    const unknownApplied = unknown.filter(({ batch }) => this.#positions.has(batch)).length;
    return {
      acked: batches.filter(({ outcome }) => outcome === 'ok').length,
      lost: this.#lost,
      duplicated: this.#duplicated,
      unknownApplied,
      unknownLost: unknown.length - unknownApplied,
      problems: this.#problems,
    };
  }

  /** Phantoms (P4) and duplicates (P7). */
  #locate(): void {
    const known = new Map(this.#history.batches.map((sent) => [sent.batch, sent]));
    for (const queueId of this.#truth.queues()) {
      const placed: Placed[] = [];
      for (const shown of this.#truth.shown(queueId)) {
        const sent = known.get(shown.batch);
        const before = this.#positions.get(shown.batch);
        this.#positions.set(shown.batch, [...(before ?? []), shown]);
        if (sent?.queueId !== queueId || sent.count !== shown.count) {
          this.#problems.push(
            `phantom: queue ${queueId} offset ${shown.baseOffset} ${shown.batch}`,
          );
        } else if (before !== undefined) {
          this.#duplicated++;
          this.#problems.push(`duplicate: ${shown.batch} at ${shown.baseOffset} once more`);
        } else placed.push({ sent, baseOffset: shown.baseOffset });
      }
      this.#placed.set(queueId, placed);
    }
  }

  /** Lost writes (P1) and effects of what was refused or rolled back (P5). */
  #judge({ batch, outcome, baseOffset }: SentBatch): void {
    const positions = this.#positions.get(batch) ?? [];
    if (outcome === 'failed' && positions.length > 0) {
      this.#problems.push(`aborted: ${batch} failed and is visible`);
    }
    if (outcome !== 'ok') return;
    const isThere = (shown: Shown): boolean =>
      baseOffset === undefined || shown.baseOffset === baseOffset;
    const isKept = baseOffset === undefined && this.#truth.waits(batch);
    if (isKept || positions.some(isThere)) return;
    this.#lost++;
    const found = positions.length === 0 ? 'nowhere' : `at ${positions[0]!.baseOffset}`;
    this.#problems.push(`lost: ${batch} was acknowledged at ${baseOffset}, is ${found}`);
  }

  /** P10: what was acknowledged before another began stands before it; what is delayed need not. */
  #expectRealTimeOrder(placed: readonly Placed[]): void {
    const prompt = placed.filter(({ sent }) => sent.kind !== 'delayed');
    const descending = prompt.sort((a, b) => b.baseOffset - a.baseOffset);
    let earliest = Number.POSITIVE_INFINITY;
    for (const { sent, baseOffset } of descending) {
      if (earliest < sent.invokedAt) {
        this.#problems.push(`real time: ${sent.batch} at ${baseOffset} began after a later one`);
      }
      if (sent.completedAt !== undefined) earliest = Math.min(earliest, sent.completedAt);
    }
  }

  /** P9: an idempotent producer's batches stand in the order in which it sent them. */
  #expectSendOrder(placed: readonly Placed[]): void {
    const last = new Map<string, Moment>();
    const ascending = [...placed].sort((a, b) => a.baseOffset - b.baseOffset);
    for (const { sent } of ascending) {
      if (sent.kind !== 'idempotent') continue;
      if (sent.invokedAt < (last.get(sent.client) ?? 0)) {
        this.#problems.push(`send order: ${sent.batch} of ${sent.client} stands too late`);
      }
      last.set(sent.client, sent.invokedAt);
    }
  }

  /** P11: a read sees what was acknowledged or read before it began, and nothing that is not. */
  #judgeReads(): void {
    const byQueue = new Map<QueueId, QueueRead[]>();
    for (const read of this.#history.reads) {
      const reads = byQueue.get(read.queueId);
      if (reads === undefined) byQueue.set(read.queueId, [read]);
      else reads.push(read);
    }
    for (const [queueId, reads] of byQueue) {
      const last = this.#truth.shown(queueId).at(-1);
      const end = last === undefined ? 0 : last.baseOffset + last.count;
      const floors = this.#floors(queueId, reads);
      this.#judgeStarts(queueId, reads);
      for (const read of reads) {
        const { endOffset, invokedAt } = read;
        const floor = floorAt(floors, invokedAt);
        if (endOffset < floor) {
          this.#problems.push(`stale read: queue ${queueId} ends at ${endOffset}, not ${floor}`);
        }
        if (endOffset > end) this.#problems.push(`read of nothing: queue ${queueId} ${endOffset}`);
      }
    }
  }

  /** What was deleted stays deleted, and nothing else is gone. */
  #judgeStarts(queueId: QueueId, reads: readonly QueueRead[]): void {
    const trims = this.#history.trims.filter((trim) => trim.queueId === queueId);
    const floors = rising(
      [...trims, ...reads].map(({ completedAt, startOffset }) => [completedAt, startOffset]),
    );
    const start = this.#truth.startOf(queueId);
    for (const { startOffset, invokedAt } of reads) {
      const floor = floorAt(floors, invokedAt);
      if (startOffset < floor) {
        this.#problems.push(`deleted and back: queue ${queueId} from ${startOffset}, not ${floor}`);
      }
      if (startOffset > start) {
        this.#problems.push(`deleted by nobody: queue ${queueId} ${startOffset}, not ${start}`);
      }
    }
  }

  /** What must be seen from which moment on, both rising. */
  #floors(queueId: QueueId, reads: readonly QueueRead[]): (readonly [Moment, number])[] {
    const floors: (readonly [Moment, number])[] = [];
    for (const { sent, baseOffset } of this.#placed.get(queueId) ?? []) {
      if (sent.outcome !== 'ok' || sent.completedAt === undefined) continue;
      if (sent.baseOffset === undefined) continue;
      floors.push([sent.completedAt, baseOffset + sent.count]);
    }
    for (const { completedAt, endOffset } of reads) floors.push([completedAt, endOffset]);
    return rising(floors);
  }

  /** P13: a group's committed offset does not fall, but by a reset, which begins an epoch. */
  #judgeOffsets(): void {
    const commits = new Map<string, OffsetCommit[]>();
    for (const commit of this.#history.commits) {
      const { group, topicId, queue } = commit;
      const key = `${group}/${topicId}/${queue}`;
      commits.set(key, [...(commits.get(key) ?? []), commit]);
      const stands = this.#truth.committed(group, topicId, queue);
      if (isBefore(stands, commit)) {
        this.#problems.push(`offset lost: ${key} is ${textOf(stands)}, not ${textOf(commit)}`);
      }
    }
    for (const read of this.#history.offsetReads) {
      const key = `${read.group}/${read.topicId}/${read.queue}`;
      const later = (commits.get(key) ?? []).find(
        (commit) => commit.completedAt < read.invokedAt && isBefore(read, commit),
      );
      if (later === undefined) continue;
      this.#problems.push(`stale offset: ${key} read ${textOf(read)}, not ${textOf(later)}`);
    }
  }
}

function textOf({ epoch, offset }: Stand): string {
  return `${offset} of epoch ${epoch}`;
}

/** By moment, each with the highest so far. */
function rising(points: (readonly [Moment, number])[]): (readonly [Moment, number])[] {
  points.sort(([a], [b]) => a - b);
  let highest = 0;
  return points.map(([moment, offset]) => {
    highest = Math.max(highest, offset);
    return [moment, highest] as const;
  });
}

/** The floor of the last moment before `moment`; the list ascends. */
function floorAt(floors: readonly (readonly [Moment, number])[], moment: Moment): number {
  let low = 0;
  let high = floors.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (floors[middle]![0] < moment) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? 0 : floors[low - 1]![1];
}

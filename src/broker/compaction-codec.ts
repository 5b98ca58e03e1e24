/**
 * What commands say about compaction:
 *
 *   openQueue      = queueId topicId queue, version 2: minLagMs tombstoneMs
 *   keys           = [isTombstone:u8 key]*
 *   compactRows    = queueId baseOffset count storedAtMs cumulativeBytes [offset]* [run]*
 *                    left before lowest until; offsets count from baseOffset, and on
 *   run            = offset count storedAtMs firstIndex firstPosition; offsets count from the end
 *                    of the run before
 */
import { type ByteReader, type ByteWriter, FormatError } from './bytes.ts';
import { readChoice, readCount, readList } from './command-fields.ts';
import type { Command, KeptRun, MessageKey } from './commands.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

const PLAIN_QUEUE_VERSION = 1;
export const COMPACTED_QUEUE_VERSION = 2;

export function openingVersion({ compaction }: CommandOf<'openQueue'>): number {
  return compaction === undefined ? PLAIN_QUEUE_VERSION : COMPACTED_QUEUE_VERSION;
}

export function encodeOpening(command: CommandOf<'openQueue'>, out: ByteWriter): Uint8Array {
  const { compaction, queue, queueId, topicId } = command;
  out.uint(queueId).text(topicId).uint(queue);
  if (compaction !== undefined) out.uint(compaction.minLagMs).uint(compaction.tombstoneMs);
  return out.finish();
}

export function decodeOpening(version: number, from: ByteReader): CommandOf<'openQueue'> {
  const queue = { queueId: from.uint(), topicId: from.text(), queue: from.uint() };
  if (version < COMPACTED_QUEUE_VERSION) return { type: 'openQueue', ...queue };
  const compaction = { minLagMs: from.uint(), tombstoneMs: from.uint() };
  return { type: 'openQueue', ...queue, compaction };
}

export function writeMessageKeys(keys: readonly MessageKey[], out: ByteWriter): void {
  out.uint(keys.length);
  for (const { isTombstone, key } of keys) out.u8(isTombstone ? 1 : 0).text(key);
}

export function readMessageKeys(from: ByteReader): MessageKey[] {
  return readList(from, () => {
    const isTombstone = readChoice(from, 2) === 1;
    return { key: from.text(), isTombstone };
  });
}

export function encodeCompaction(command: CommandOf<'compactRows'>, out: ByteWriter): Uint8Array {
  const { before, left, lowest, replaced, row, runs, until } = command;
  out.uint(row.queueId).uint(row.baseOffset).uint(row.count);
  out.uint(row.storedAtMs).uint(row.cumulativeBytes).uint(replaced.length);
  let at = row.baseOffset;
  for (const offset of replaced) {
    out.uint(offset - at);
    at = offset;
  }
  out.uint(runs.length);
  let end = row.baseOffset;
  for (const { count, firstIndex, firstPosition, offset, storedAtMs } of runs) {
    out
      .uint(offset - end)
      .uint(count)
      .uint(storedAtMs)
      .uint(firstIndex)
      .uint(firstPosition);
    end = offset + count;
  }
  return out.uint(left).uint(before).uint(lowest).uint(until).finish();
}

export function decodeCompaction(from: ByteReader): CommandOf<'compactRows'> {
  const row = {
    queueId: from.uint(),
    baseOffset: from.uint(),
    count: readCount(from),
    storedAtMs: from.uint(),
    cumulativeBytes: from.uint(),
  };
  let at = row.baseOffset;
  const replaced = readList(from, () => {
    at += from.uint();
    return at;
  });
  let end = row.baseOffset;
  const runs = readList(from, () => {
    const run = readRun(from, end);
    end = run.offset + run.count;
    return run;
  });
  const rowEnd = row.baseOffset + row.count;
  if (end > rowEnd || at >= rowEnd) throw new FormatError('more than the row that is compacted');
  const rest = { left: from.uint(), before: from.uint(), lowest: from.uint(), until: from.uint() };
  return { type: 'compactRows', row, replaced, runs, ...rest };
}

function readRun(from: ByteReader, after: number): KeptRun {
  const offset = after + from.uint();
  const count = readCount(from);
  const storedAtMs = from.uint();
  return { offset, count, storedAtMs, firstIndex: from.uint(), firstPosition: from.uint() };
}

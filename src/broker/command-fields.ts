/** Parts of commands that several kinds share: ids, lists, choices. */
import { type ByteReader, type ByteWriter, FormatError } from './bytes.ts';
import type { StoredAt } from './commands.ts';

export function writeIds(ids: readonly StoredAt[], out: ByteWriter): ByteWriter {
  out.uint(ids.length);
  for (const { term, index } of ids) out.uint(term).uint(index);
  return out;
}

export function readEntryId(from: ByteReader): StoredAt {
  return { term: from.uint(), index: from.uint() };
}

export function readList<Item>(from: ByteReader, readItem: (from: ByteReader) => Item): Item[] {
  const length = from.listLength();
  const items: Item[] = [];
  for (let i = 0; i < length; i += 1) items.push(readItem(from));
  return items;
}

export function readCount(from: ByteReader): number {
  const count = from.uint();
  if (count < 1) throw new FormatError('a batch without messages');
  return count;
}

export function readChoice(from: ByteReader, choices: number): number {
  const choice = from.u8();
  if (choice >= choices) throw new FormatError(`choice ${choice} of ${choices}`);
  return choice;
}

/**
 * What the simulated clients put into commands. Every attempt (one proposal) has a tag of its own
 * in its payload, every batch of messages a name that its repeated attempts share:
 *
 *   payload = tag ' ' batch '\n' padding        messages of batch b7 = b7.0, b7.1, ...
 *
 * What somebody looks into, as compaction does, has its messages in place of the padding.
 */
import type { CommandBody } from '../../../raft/replication.ts';
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import { bodyCrcOf } from '../../../storage/record.ts';
import { encodeCommand } from '../../broker/command-codec.ts';
import type { Command } from '../../broker/commands.ts';

export interface Tagged {
  readonly tag: string;
  /** '' for commands that carry no messages. */
  readonly batch: string;
}

export function bodyOf(command: Command, tagged: Tagged, rest = EMPTY_BYTES): CommandBody {
  return bodyWith(encodeCommand(command), tagged, rest);
}

export function bodyWith(encoded: Uint8Array, { tag, batch }: Tagged, rest = EMPTY_BYTES) {
  // Own memory each: the log counts what its entries hold on to, and what Buffer's shared pool is
  // used for depends on everything else in the process.
  const head = new Uint8Array(encoded);
  const text = `${tag} ${batch}\n`;
  const payload = new Uint8Array(text.length + rest.length);
  for (let at = 0; at < text.length; at++) payload[at] = text.charCodeAt(at);
  payload.set(rest, text.length);
  return { head, payload, bodyCrc: bodyCrcOf(head, payload) };
}

/** undefined for entries of Raft's own. */
export function taggedOf({ type, payload }: Entry): Tagged | undefined {
  if (type !== EntryType.command) return undefined;
  const end = payload.indexOf(0x0a);
  const [tag, batch] = Buffer.from(payload.subarray(0, Math.max(end, 0)))
    .toString('latin1')
    .split(' ');
  return { tag: tag ?? '', batch: batch ?? '' };
}

/** The entry as production knows it: nothing but messages in its payload. */
export function untagged(entry: Entry): Entry {
  return { ...entry, payload: entry.payload.subarray(entry.payload.indexOf(0x0a) + 1) };
}

/** One of the `messages` of a request (message-slice.ts); without a body it deletes its key. */
export function messageBytes(key: string, body: string): Buffer {
  const fields = [textField([0x0a], key), body === '' ? [] : textField([0x22], body)].flat();
  return Buffer.from([0xc2, 0x3e, fields.length, ...fields]);
}

/** Short: its length is one byte. */
function textField(tag: readonly number[], text: string): number[] {
  return [...tag, text.length, ...Buffer.from(text, 'latin1')];
}

/** By the checksum over all bytes, which the real log verifies whenever it reads. */
export function isSameEntry(left: Entry, right: Entry): boolean {
  if (left === right) return true;
  if (left.term !== right.term || left.timeMs !== right.timeMs) return false;
  const isLong = left.payload.length === right.payload.length;
  return isLong && left.type === right.type && left.bodyCrc === right.bodyCrc;
}

export function describeEntry(entry: Entry | undefined): string {
  if (entry === undefined) return 'nothing';
  const tagged = taggedOf(entry);
  const what = tagged === undefined ? `type ${entry.type}` : `${tagged.tag} ${tagged.batch}`;
  return `${what.trim()} of term ${entry.term}`;
}

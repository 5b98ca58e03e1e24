/**
 * The input of the main job: every line of every text file under a directory, as the bytes between
 * two newlines, whatever their encoding. A file with a NUL byte near its start is no text, unless
 * its first bytes say UTF-16.
 */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

const CHUNK_BYTES = 1024 * 1024;
const SNIFFED_BYTES = 8192;
const NEWLINE = 10;
/** UTF-16, big and little endian. */
const BYTE_ORDER_MARKS = [0xfeff, 0xfffe];

/** All files below, in a fixed order. */
export function* filesBelow(directory: string): Generator<string> {
  const entries = readdirSync(directory, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile() && statSync(path).size > 0) yield path;
  }
}

function looksLikeText(bytes: Buffer): boolean {
  const mark = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
  return BYTE_ORDER_MARKS.includes(mark) || !bytes.subarray(0, SNIFFED_BYTES).includes(0);
}

/** Lines of one file; the last one also without a newline. Nothing for binary files. */
export function* linesOf(path: string): Generator<Buffer> {
  const file = openSync(path, 'r');
  try {
    let rest: Buffer = Buffer.alloc(0);
    for (let first = true; ; first = false) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const length = readSync(file, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) break;
      const bytes = chunk.subarray(0, length);
      if (first && !looksLikeText(bytes)) return;
      let start = 0;
      for (;;) {
        const end = bytes.indexOf(NEWLINE, start);
        if (end === -1) break;
        const line = bytes.subarray(start, end);
        yield rest.length === 0 ? line : Buffer.concat([rest, line]);
        rest = Buffer.alloc(0);
        start = end + 1;
      }
      rest = Buffer.concat([rest, bytes.subarray(start)]);
    }
    if (rest.length > 0) yield rest;
  } finally {
    closeSync(file);
  }
}

/** Lines of all text files below `directory`, up to about `maxBytes` in all. */
export function* linesBelow(directory: string, maxBytes: number): Generator<Buffer> {
  let bytes = 0;
  for (const path of filesBelow(directory)) {
    for (const line of linesOf(path)) {
      yield line;
      bytes += line.length;
      if (bytes >= maxBytes) return;
    }
  }
}

/**
 * The control of a catch-up: all nodes of the benchmark share one disk, so a part of what others
 * feel is that somebody writes to it at all. This one writes and syncs at a given pace, and nothing
 * else: no network, no node.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const PIECE_BYTES = 1024 * 1024;
/** Then a new file, as the log has segments. */
const FILE_BYTES = 64 * PIECE_BYTES;

/** Writes pieces of 1 MiB and syncs each, at `mbPerS`, until `signal`. */
export async function writePlainly(
  directory: string,
  mbPerS: number,
  signal: AbortSignal,
): Promise<void> {
  const piece = Buffer.alloc(PIECE_BYTES, 'x');
  const start = performance.now();
  let written = 0;
  while (!signal.aborted) {
    const handle = await open(join(directory, 'plain-writer'), 'w');
    for (let at = 0; at < FILE_BYTES && !signal.aborted; at += PIECE_BYTES) {
      await handle.write(piece, 0, PIECE_BYTES, at);
      await handle.datasync();
      written += PIECE_BYTES;
      const dueMs = start + written / (mbPerS * 1000);
      await delay(Math.max(0, dueMs - performance.now()));
    }
    await handle.close();
  }
}

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Replaces a small file so that after a power cut it holds either the old or the new text: written
 * beside, synced, renamed over, and the directory synced so that the new name is durable too.
 */
export function writeDurably(file: string, text: string, mode = 0o644): void {
  const temporary = `${file}.new`;
  const descriptor = openSync(temporary, 'w', mode);
  try {
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, file);
  syncDirectory(dirname(file));
}

/** Creates a directory with its parents, for its owner alone; durable when this returns. */
export function makeDirectoryDurably(directory: string): void {
  if (existsSync(directory)) return;
  const parent = dirname(join(directory));
  if (parent !== directory) makeDirectoryDurably(parent);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  syncDirectory(parent);
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

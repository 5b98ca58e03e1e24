/**
 * Takes back what a power cut takes back, on the directory of a process that was killed: writes
 * that no sync covers are lost, kept or torn, each by chance; names made, moved or removed since
 * their directory was last synced are undone, the newest first, for file systems keep their order.
 * A torn write ends at a sector, or has a hole of sectors: disks reorder what no barrier separates.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type FileHistory, type Pending, readJournal } from './journal.ts';

const SECTOR_BYTES = 512;
const SHARE_KEPT = 0.3;
const SHARE_CUT_SHORT = 0.25;
const SHARE_HOLED = 0.15;

export interface PowerCut {
  /** Those that lost bytes, below the root. */
  readonly files: readonly string[];
  readonly lostBytes: number;
  readonly tornWrites: number;
  readonly undoneNames: number;
}

/** Draws from 0 up to, but not including, 1. */
export type Draw = () => number;

interface Span {
  readonly from: number;
  readonly to: number;
}

interface NameChange {
  readonly kind: 'made' | 'folder' | 'moved' | 'removed' | 'folder removed';
  readonly path: string;
  readonly to: string;
  /** Under which number the content was put aside; 0 = there was none. */
  readonly aside: number;
}

export function cutPower(rootFolder: string, stateFolder: string, draw: Draw): PowerCut {
  const changes = unsyncedNames(stateFolder);
  const undone = changes.slice(changes.length - Math.floor(draw() * (changes.length + 1)));
  for (const change of undone.reverse()) undo(change, stateFolder);
  const files: string[] = [];
  const result = { files, lostBytes: 0, tornWrites: 0, undoneNames: undone.length };
  for (const name of filesUnder(rootFolder)) {
    const journal = join(stateFolder, `${statSync(name).ino}.journal`);
    // An empty one: all that the file holds was synced.
    if (!existsSync(journal) || statSync(journal).size === 0) continue;
    const { lost, torn } = takeBack(name, readJournal(journal), draw);
    result.lostBytes += lost;
    result.tornWrites += torn;
    if (lost > 0) files.push(relative(rootFolder, name));
  }
  // What is left is on the disk now.
  for (const name of readdirSync(stateFolder)) {
    if (name !== 'control') rmSync(join(stateFolder, name));
  }
  return result;
}

/** In their order, of all directories. */
function unsyncedNames(stateFolder: string): NameChange[] {
  const list = join(stateFolder, 'ops');
  const lines = existsSync(list) ? readFileSync(list, 'utf8').split('\n') : [];
  const syncedAt = new Map<string, number>();
  const found: (NameChange & { readonly seq: number })[] = [];
  for (const line of lines.filter((one) => one !== '')) {
    const [kind, number, path, ...rest] = line.split('\t') as [string, string, string, ...string[]];
    const seq = Number(number);
    if (kind === 'D') syncedAt.set(path, seq);
    else if (kind === 'C') found.push({ seq, kind: 'made', path, to: '', aside: 0 });
    else if (kind === 'X') found.push({ seq, kind: 'folder removed', path, to: '', aside: 0 });
    else if (kind === 'M') found.push({ seq, kind: 'folder', path, to: '', aside: 0 });
    else if (kind === 'U')
      found.push({ seq, kind: 'removed', path, to: '', aside: Number(rest[0]) });
    else {
      const [to, aside] = rest as [string, string];
      found.push({ seq, kind: 'moved', path, to, aside: Number(aside) });
    }
  }
  return found
    .filter(({ seq, path }) => seq > (syncedAt.get(dirname(path)) ?? 0))
    .sort((one, two) => one.seq - two.seq);
}

function undo({ kind, path, to, aside }: NameChange, stateFolder: string): void {
  const content = join(stateFolder, `${aside}.aside`);
  if (kind === 'made') rmSync(path, { force: true });
  else if (kind === 'folder') rmSync(path, { recursive: true, force: true });
  else if (kind === 'folder removed') mkdirSync(path);
  else {
    if (kind === 'moved' && existsSync(to)) renameSync(to, path);
    const name = kind === 'moved' ? to : path;
    if (aside > 0 && existsSync(content) && !existsSync(name)) linkSync(content, name);
  }
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function takeBack(
  name: string,
  { durableBytes, pending, durable }: FileHistory,
  draw: Draw,
): { readonly lost: number; readonly torn: number } {
  const file = openSync(name, 'r+');
  const sizeBefore = fstatSync(file).size;
  let end = durableBytes;
  let lost = 0;
  let torn = 0;
  // LevelDB writes with stdio: what its last sync does not cover is one write.
  const tail = { seq: 0, from: end, to: sizeBefore, isWhole: false, before: Buffer.alloc(0) };
  const isTail = pending.length === 0 && durable.length === 0 && sizeBefore > end;
  for (const group of isTail ? [[tail]] : overlapping(pending)) {
    const whole = spanOf(group);
    const gone = goneOf(group, draw);
    if (gone.to < whole.to) end = Math.max(end, whole.to);
    else if (gone.from > whole.from) end = Math.max(end, gone.from);
    lost += gone.to - gone.from;
    if (gone.from > whole.from || gone.to < whole.to) torn += gone.from < gone.to ? 1 : 0;
    for (const one of [...group].reverse()) {
      const safe = durable.filter(({ seq }) => seq > one.seq);
      restore(file, one, gone, safe);
    }
  }
  if (fstatSync(file).size > end) ftruncateSync(file, end);
  closeSync(file);
  return { lost, torn };
}

function spanOf(group: readonly Pending[]): Span {
  return {
    from: Math.min(...group.map(({ from }) => from)),
    to: Math.max(...group.map(({ to }) => to)),
  };
}

/** What of these writes to one place did not reach the disk; an empty span: all of it did. */
function goneOf(group: readonly Pending[], draw: Draw): Span {
  const { from, to } = spanOf(group);
  const fate = draw();
  if (fate < SHARE_KEPT) return { from, to: from };
  // Of several writes to one place none of what lies between them is known.
  const isWhole = group.length > 1 || group.some((one) => one.isWhole);
  if (isWhole || fate >= SHARE_KEPT + SHARE_CUT_SHORT + SHARE_HOLED) return { from, to };
  const start = sectorIn({ from, to }, draw);
  if (fate < SHARE_KEPT + SHARE_CUT_SHORT) return { from: start, to };
  return { from: start, to: sectorIn({ from: start, to }, draw) };
}

/** Where a sector begins, or the beginning of the span itself. */
function sectorIn({ from, to }: Span, draw: Draw): number {
  const at = from + Math.floor(draw() * (to - from));
  return Math.max(from, Math.floor(at / SECTOR_BYTES) * SECTOR_BYTES);
}

function overlapping(pending: readonly Pending[]): Pending[][] {
  const groups: Pending[][] = [];
  for (const one of [...pending].sort((a, b) => a.from - b.from || a.seq - b.seq)) {
    const group = groups.at(-1);
    const reaches = Math.max(0, ...(group ?? []).map(({ to }) => to));
    if (group !== undefined && one.from < reaches) group.push(one);
    else groups.push([one]);
  }
  return groups.map((group) => group.sort((a, b) => a.seq - b.seq));
}

/** What stood there before the write, where it is gone, but for what became durable after it. */
function restore(file: number, one: Pending, gone: Span, durable: readonly Span[]): void {
  const bytes = Buffer.alloc(one.to - one.from);
  one.before.copy(bytes);
  let pieces: Span[] = [{ from: Math.max(one.from, gone.from), to: Math.min(one.to, gone.to) }];
  for (const safe of durable) {
    pieces = pieces.flatMap((piece) => [
      { from: piece.from, to: Math.min(piece.to, safe.from) },
      { from: Math.max(piece.from, safe.to), to: piece.to },
    ]);
  }
  for (const { from, to } of pieces) {
    if (from < to) writeSync(file, bytes, from - one.from, to - from, from);
  }
}
